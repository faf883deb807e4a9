import type { ApplyContext } from "../../replication/apply/context.ts";
import { type LargeBatches, createLargeBatches } from "../../replication/apply/large-batches.ts";
import { applySlice } from "../../replication/apply/run.ts";
import { LeewardError, hasCode } from "../../replication/errors.ts";
import { HEARTBEAT_RECORD, PROGRESS_RECORD, deltaName, journalName, parseDeltaName } from "../../replication/names.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import type { HeartbeatRecord, Progress, ProtectedItem } from "../../replication/records/item.ts";
import { decodeProgress, readProgress } from "../../replication/records/progress.ts";
import { createMemoryStores, type MemoryStores } from "../memory/memory-stores.ts";
import { createRandom, type Random } from "../memory/random.ts";
import { createScheduler, type Scheduler } from "../memory/scheduler.ts";
import { wrapStores } from "../memory/wrapped-stores.ts";
import { randomEpochs } from "./random-epochs.ts";
import {
  ITEM_ID,
  SOURCE_START_MS,
  STREAM,
  enable,
  modelAfter,
  sealEpochs,
  smallItem,
  targetDisk,
  twoDisks,
  upload,
  type SealedEpoch,
} from "./small-world.ts";

/** Breaks a promise of the stores on their way to one worker: the check must then find something wrong. */
export interface Mutant {
  /** Below faults and scheduling: what the store itself does. */
  readonly store?: (inner: ItemStores) => ItemStores;
  /** Above them: what the adapter does with their answers. */
  readonly adapter?: (inner: ItemStores) => ItemStores;
}

export interface HistoryResult {
  /** Sentences about everything that must not be; empty for a correct engine. */
  readonly wrong: readonly string[];
  /** What the history went through, so that a test can tell whether it went through enough. */
  readonly points: number;
  readonly claimsAgain: number;
  /** Claims of an item whose batch another worker, or an earlier claim, had left unfinished. */
  readonly tornClaims: number;
  readonly regionLost: boolean;
}

const SECTORS = 24;
const STEPS = 900;
const WORKERS_MAX = 3;
/** Faults as in the model that comes with the design: one write in 17 times out, and lands up to 40 steps late. */
const FAULTS = { timeoutChance: 0.06, readFailureChance: 0.004, busyChance: 0.05, lateSteps: 40 };
const CLEAN_STEPS_MAX = 4_000;
/** When the target begins, the source has written all its epochs: none of their times is still to come. */
const TEN_MINUTES_MS = 600_000;

interface Seen {
  claimsAgain: number;
  tornClaims: number;
}

interface World {
  readonly random: Random;
  readonly item: ProtectedItem;
  readonly epochs: readonly SealedEpoch[];
  readonly memory: MemoryStores;
  readonly scheduler: Scheduler;
  readonly wrong: string[];
  /** Stores that watch what reaches them, below all faults. */
  readonly watched: ItemStores;
  readonly mutant: Mutant;
  readonly seen: Seen;
  largeBatches: LargeBatches;
  workers: { readonly name: string; ended: boolean }[];
  started: number;
  regionLost: boolean;
}

/**
 * One history: real deltas arrive in any order, hints start up to three workers at any time, each with batch bounds of
 * its own; calls time out, workers stall and crash, and the source region may vanish. Then a clean worker finishes. The
 * same seed gives the same history.
 */
export async function runHistory(seed: number, mutant: Mutant = {}): Promise<HistoryResult> {
  const world = await createWorld(seed, mutant);
  const { random, scheduler } = world;
  let arriving = nearlyInOrder(random, world.epochs.length);
  const regionLossChance = random.chance(0.3) ? 0.003 : 0;
  for (let step = 0; step < STEPS; step += 1) {
    if (!world.regionLost && random.chance(0.05)) {
      const [next, ...rest] = arriving;
      arriving = rest;
      const epoch = world.epochs[next ?? -1];
      if (epoch !== undefined) await upload(world.watched, epoch);
    }
    if (!world.regionLost && random.chance(0.03)) await beat(world);
    if (random.chance(regionLossChance)) await loseRegion(world);
    if (world.workers.length < WORKERS_MAX && random.chance(0.1)) startWorker(world);
    const victim = world.workers.length > 0 ? random.pick(world.workers) : undefined;
    if (victim !== undefined && random.chance(0.01)) scheduler.stall(victim.name, 20 + random.below(120));
    if (victim !== undefined && random.chance(0.008)) {
      scheduler.crash(victim.name);
      victim.ended = true;
      world.largeBatches = createLargeBatches(1);
    }
    await scheduler.step();
    world.workers = world.workers.filter((worker) => !worker.ended);
  }
  for (const worker of world.workers) scheduler.crash(worker.name);
  if (!world.regionLost)
    for (const index of arriving) await upload(world.watched, world.epochs[index] ?? fail("no such epoch"));
  await finishCleanly(world);
  await scheduler.landAll();
  await judge(world);
  return {
    wrong: world.wrong,
    points: (await listPoints(world.memory.stores.records(ITEM_ID))).points.length,
    ...world.seen,
    regionLost: world.regionLost,
  };
}

/** Uploads overtake each other by a few places. */
function nearlyInOrder(random: Random, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => ({ index, order: index + 3 * random.next() }))
    .toSorted((left, right) => left.order - right.order)
    .map(({ index }) => index);
}

async function createWorld(seed: number, mutant: Mutant): Promise<World> {
  const random = createRandom(seed);
  const scheduler = createScheduler(random, SOURCE_START_MS + TEN_MINUTES_MS, FAULTS);
  const memory = createMemoryStores(scheduler.clock);
  const item = smallItem(twoDisks(SECTORS), random.pick([1, 20_000, 60_000]));
  const wrong: string[] = [];
  const seen: Seen = { claimsAgain: 0, tornClaims: 0 };
  await enable(memory.stores, item);
  const base: ItemStores = mutant.store?.(memory.stores) ?? memory.stores;
  return {
    random,
    item,
    epochs: sealEpochs(item, randomEpochs(random, 2, SECTORS)),
    memory,
    scheduler,
    wrong,
    watched: watch(memory, base, wrong, seen),
    mutant,
    seen,
    largeBatches: createLargeBatches(1),
    workers: [],
    started: 0,
    regionLost: false,
  };
}

function startWorker(world: World): void {
  const { random } = world;
  world.started += 1;
  const worker = { name: `worker-${world.started}`, ended: false };
  world.workers.push(worker);
  const bounds = {
    batchMaxDeltas: 1 + random.below(3),
    batchMaxExtents: random.pick([1, 12, 10_000]),
    // Deltas of some hundred bytes: most workers find large ones among them, and wait for each other's.
    smallBatchMaxBytes: random.pick([300, 1_000, 1_000_000]),
    pageWritesInFlight: 1 + random.below(4),
    claimRenewMs: random.pick([0, 10_000, 20_000]),
  };
  const slice = applySlice(contextOf(world, worker.name, bounds, (40 + random.below(400)) * 1_000), ITEM_ID);
  void slice.then(
    () => {
      worker.ended = true;
    },
    (error: unknown) => {
      worker.ended = true;
      // What a store may answer goes back to the queue; anything else, a broken assumption first of all, is a fault of
      // the engine.
      if (!hasCode(error, "outcome-unknown", "conflict", "store-unavailable", "store-busy"))
        world.wrong.push(`${worker.name} failed: ${String(error)}`);
    },
  );
}

function contextOf(world: World, name: string, bounds: ApplyContext["bounds"], sliceMs: number): ApplyContext {
  const { scheduler, mutant } = world;
  const stores = wrapStores(world.watched, scheduler.around(name));
  return {
    stores: mutant.adapter?.(stores) ?? stores,
    clock: scheduler.clock,
    timer: scheduler.timer(name),
    holder: name,
    largeBatches: world.largeBatches,
    deadlineMs: scheduler.clock.now() + sliceMs,
    log: (event) => {
      if (event.kind === "claiming-again") world.seen.claimsAgain += 1;
      if (event.kind === "stopped") world.wrong.push(`${name} stopped the item: ${event.reason.message}`);
    },
    ...(bounds === undefined ? {} : { bounds }),
  };
}

/** The mobility service says how far it has uploaded, and that nothing was written since. */
async function beat(world: World): Promise<void> {
  const { random, epochs, memory, scheduler } = world;
  const epoch = epochs[random.below(epochs.length)] ?? fail("no epochs");
  const nowMs = scheduler.clock.now();
  const heartbeat: HeartbeatRecord = {
    version: 1,
    receivedMs: nowMs,
    sentMs: nowMs - 40,
    bootId: "boot-1",
    uploaded: epoch.end,
    currentAtMs: random.chance(0.7) ? epoch.lastWriteMs + random.below(20_000) : undefined,
    pendingBytes: 0,
    seeding: undefined,
  };
  await memory.stores.records(ITEM_ID).put(HEARTBEAT_RECORD, encodeRecord(heartbeat));
}

async function loseRegion(world: World): Promise<void> {
  world.regionLost = true;
  const cache = world.memory.stores.cache(ITEM_ID, STREAM);
  for (const name of world.memory.cacheNames(ITEM_ID)) await cache.remove(name);
}

/** Rules 3, 4 and 7, checked at the moment at which the store changes. */
function watch(memory: MemoryStores, base: ItemStores, wrong: string[], seen: Seen): ItemStores {
  let last: Progress | undefined;
  const journaled = (stream: number, epoch: number): boolean =>
    memory.recordNames(ITEM_ID).includes(journalName(stream, epoch));
  const looksAtProgress = async (): Promise<void> => {
    const stored = await memory.stores.records(ITEM_ID).read(PROGRESS_RECORD);
    const progress = decodeProgress(stored?.bytes ?? fail("progress is gone"));
    const before = last ?? progress;
    if (
      progress.generation < before.generation ||
      progress.applied.epoch < before.applied.epoch ||
      progress.intent.epoch < before.intent.epoch
    ) {
      wrong.push(
        `progress moved back from ${before.applied.epoch}/${before.intent.epoch} to ${progress.applied.epoch}/${progress.intent.epoch}`,
      );
    }
    if (progress.generation > before.generation && progress.intent.epoch > progress.applied.epoch) seen.tornClaims += 1;
    for (let epoch = 1; epoch <= progress.intent.epoch; epoch += 1) {
      if (!journaled(progress.stream, epoch)) wrong.push(`epoch ${epoch} is recorded as intent but not in the journal`);
    }
    last = progress;
  };
  return wrapStores(base, async (call, run) => {
    const isDelta = call.port === "cache" && call.method === "remove" ? parseDeltaName(call.target) : undefined;
    if (
      isDelta !== undefined &&
      (isDelta.epoch > (last?.applied.epoch ?? 0) || !journaled(isDelta.stream, isDelta.epoch))
    ) {
      wrong.push(`epoch ${isDelta.epoch} was removed from the cache too early`);
    }
    const result = await run();
    if (call.port === "records" && call.target === PROGRESS_RECORD && call.method === "replace")
      await looksAtProgress();
    return result;
  });
}

/**
 * A worker without faults, while late requests of its predecessors still land, brings the item to the end of what can
 * be had.
 */
async function finishCleanly(world: World): Promise<void> {
  const { scheduler } = world;
  scheduler.heal();
  // The process of a worker that crashed is gone, and what it held of memory with it.
  world.largeBatches = createLargeBatches(1);
  const reachable = await reachableEpoch(world);
  let steps = 0;
  for (let slice = 0; steps < CLEAN_STEPS_MAX; slice += 1) {
    const run: { ended?: string } = {};
    const context = contextOf(world, `clean-${slice}`, undefined, 60_000);
    void applySlice(context, ITEM_ID).then(
      (outcome) => (run.ended = outcome.kind),
      (error: unknown) => (run.ended = `failure ${String(error)}`),
    );
    for (; run.ended === undefined && steps < CLEAN_STEPS_MAX; steps += 1) await scheduler.step();
    const { ended } = run;
    const progress = await currentProgress(world);
    if (ended === "idle" && progress.applied.epoch === reachable && progress.intent.epoch === reachable) return;
    // Held by a worker that died, or fenced by its late request: the sweep would come again.
    if (ended === "held" || ended === "more" || ended === "fenced" || ended === "idle") {
      for (let pause = 0; pause < 31; pause += 1, steps += 1) await scheduler.step();
    } else {
      world.wrong.push(`the clean worker ended as ${ended ?? "unfinished"}`);
      return;
    }
  }
  world.wrong.push(`the clean worker did not reach epoch ${reachable}`);
}

/** The last epoch of the chain that cache and journal hold without a gap. */
async function reachableEpoch(world: World): Promise<number> {
  const records = new Set(world.memory.recordNames(ITEM_ID));
  const cache = new Set(world.memory.cacheNames(ITEM_ID));
  let epoch = 0;
  while (records.has(journalName(1, epoch + 1)) || cache.has(deltaName(1, epoch + 1))) epoch += 1;
  const finalIndex = world.epochs.findIndex((each) => each.flags.final);
  return finalIndex >= 0 ? Math.min(epoch, finalIndex + 1) : epoch;
}

/** Every recovery point, and the disks in the end, against the model (rules 1 and 2). */
async function judge(world: World): Promise<void> {
  const { item, epochs, memory, wrong } = world;
  for (const point of (await listPoints(memory.stores.records(ITEM_ID))).points) {
    const { epoch } = point.position;
    const sealed = epochs[epoch - 1];
    const expected = modelAfter(item, epochs, epoch);
    if (sealed === undefined || sealed.end.checksum !== point.position.checksum)
      wrong.push(`point ${point.pointId} has a position of its own`);
    if (sealed?.flags.seeding === true) wrong.push(`point ${point.pointId} was taken while the disks were seeded`);
    const next = epochs[epoch];
    if (point.sourceTimeMs < (sealed?.lastWriteMs ?? 0) || point.sourceTimeMs >= (next?.firstWriteMs ?? Infinity)) {
      wrong.push(`point ${point.pointId} claims a time at which the source was not at epoch ${epoch}`);
    }
    if (point.disks.map((disk) => disk.id).join() !== item.disks.map((disk) => disk.id).join())
      wrong.push(`point ${point.pointId} lacks a disk`);
    for (const [index, disk] of point.disks.entries()) {
      const content = memory.memory.snapshotContent(targetDisk(item, disk.id), disk.snapshot);
      if (!sameContent(content, expected[index]))
        wrong.push(`point ${point.pointId} at epoch ${epoch}: disk ${disk.id} is wrong`);
    }
  }
  const progress = await currentProgress(world);
  if (progress.intent.epoch !== progress.applied.epoch) return;
  for (const [index, disk] of item.disks.entries()) {
    const content = memory.memory.content(targetDisk(item, disk.id));
    if (!sameContent(content, modelAfter(item, epochs, progress.applied.epoch)[index]))
      wrong.push(`in the end disk ${disk.id} is wrong`);
  }
}

async function currentProgress(world: World): Promise<Progress> {
  return ((await readProgress(world.memory.stores.records(ITEM_ID))) ?? fail("progress is gone")).progress;
}

function sameContent(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  return left !== undefined && right !== undefined && Buffer.compare(left, right) === 0;
}

function fail(message: string): never {
  throw new LeewardError("internal", message);
}
