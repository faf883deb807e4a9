import { decodeDelta, verifyFrames } from "../../replication/delta/decode.ts";
import { hasCode } from "../../replication/errors.ts";
import {
  EVENTS_RECORD,
  HEARTBEAT_RECORD,
  STREAMS_RECORD,
  deltaName,
  journalName,
  manifestName,
} from "../../replication/names.ts";
import type { RecordStore } from "../../replication/ports.ts";
import { type Position, samePosition } from "../../replication/position.ts";
import type { Progress } from "../../replication/records/item.ts";
import { readProgress } from "../../replication/records/progress.ts";
import type { Step } from "./plan.ts";
import { readablePoints } from "./verdict.ts";
import type { ProtectedMachine, World } from "./world.ts";

export type DamageStep = Extract<
  Step,
  { readonly kind: "delta-damaged" | "delta-removed" | "journal-damaged" | "manifest-damaged" | "record-damaged" }
>;

/** How soon after a batch was begun all workers die, so that the next one has to finish it. */
const IN_BATCH_MS = 50;
const APP_DOWN_MS = 4_000;

/** Damages blobs in the accounts, and perhaps restores them. */
export async function damage(world: World, machine: ProtectedMachine, step: DamageStep): Promise<void> {
  if (step.kind === "journal-damaged" && step.inBatch === true) return damageBatch(world, machine, step);
  const progress = (await readProgress(world.stores.records(machine.itemId)))?.progress;
  const victim = progress && (await victimOf(world, machine, progress, step.kind));
  if (victim !== undefined) await strike(world, victim.place, victim.name, step);
}

/**
 * Kills all workers in the middle of the next batch, and damages a journal entry that the batch needs before new
 * workers start.
 */
function damageBatch(world: World, { itemId }: ProtectedMachine, step: DamageStep): void {
  const listener = (changedId: string, { stream, applied, intent }: Progress): void => {
    if (changedId !== itemId || intent.epoch === applied.epoch || world.isCalm) return;
    world.progressListeners.delete(listener);
    world.timeline.after(world.random.below(IN_BATCH_MS), () => {
      world.killWholeApp(APP_DOWN_MS);
      const epoch = applied.epoch + 1 + world.random.below(intent.epoch - applied.epoch);
      const failed = (error: unknown): void => void world.wrong.push(`${step.kind} threw ${String(error)}`);
      strike(world, world.stores.records(itemId), journalName(stream, epoch), step).catch(failed);
    });
  };
  world.progressListeners.add(listener);
}

interface Victim {
  readonly place: RecordStore;
  readonly name: string;
}

async function victimOf(
  { stores, random }: World,
  { itemId }: ProtectedMachine,
  { stream, applied }: Progress,
  kind: DamageStep["kind"],
): Promise<Victim | undefined> {
  const records = stores.records(itemId);
  if (kind === "journal-damaged") return { place: records, name: journalName(stream, applied.epoch + 1) };
  // Each of these is made anew with the next write to it.
  if (kind === "record-damaged") {
    const name = random.pick([HEARTBEAT_RECORD, STREAMS_RECORD, EVENTS_RECORD]);
    return { place: name === STREAMS_RECORD ? stores.management(itemId) : records, name };
  }
  if (kind === "manifest-damaged") {
    const point = (await readablePoints(stores, itemId)).at(0);
    return point && { place: records, name: manifestName(point.pointId) };
  }
  const place = stores.cache(itemId, stream);
  const deltas = await place.list("", 10);
  return deltas.length === 0 ? undefined : { place, name: random.pick(deltas).name };
}

async function strike(world: World, place: RecordStore, name: string, step: DamageStep): Promise<void> {
  const { random, timeline, surroundings } = world;
  const stored = await place.read(name);
  if (stored === undefined) return;
  const damaged = Uint8Array.from(stored.bytes);
  const at = random.below(damaged.length);
  damaged[at] = (damaged[at] ?? 0) ^ 0x10;
  if (step.kind === "delta-removed") await place.remove(name);
  else await place.put(name, damaged);
  surroundings.trace(`${step.kind}: ${name}`);
  if (step.backMs === undefined) return;
  timeline.after(step.backMs, () => {
    surroundings.trace(`${name} is put back`);
    world.putBackMs = timeline.now();
    place
      .put(name, stored.bytes)
      .catch((error: unknown) => surroundings.trace(`${name} cannot be put back: ${String(error)}`));
  });
}

/**
 * True when the cache or the journal holds each delta that is needed next undamaged: the next one, or all that are
 * left of a batch that was begun. Then nothing has to be repaired.
 */
export async function canGoOn(
  { stores, regionLost }: World,
  { itemId }: ProtectedMachine,
  progress: Progress,
): Promise<boolean> {
  const { stream, applied, intent } = progress;
  const lastEpoch = Math.max(applied.epoch + 1, intent.epoch);
  let previous: Position = applied;
  for (let epoch = applied.epoch + 1; epoch <= lastEpoch; epoch += 1) {
    const journalled = await endOf(stores.records(itemId), journalName(stream, epoch), previous);
    const end =
      journalled ??
      (regionLost ? undefined : await endOf(stores.cache(itemId, stream), deltaName(stream, epoch), previous));
    if (end === undefined) return false;
    previous = end;
  }
  return lastEpoch > intent.epoch || samePosition(previous, intent);
}

async function endOf(place: RecordStore, name: string, previous: Position): Promise<Position | undefined> {
  const stored = await place.read(name);
  if (stored === undefined) return undefined;
  try {
    const delta = decodeDelta(stored.bytes);
    verifyFrames(delta);
    return samePosition(delta.header.start, previous) ? delta.end : undefined;
  } catch (error) {
    if (hasCode(error, "delta-corrupt", "delta-unsupported", "delta-too-large")) return undefined;
    throw error;
  }
}
