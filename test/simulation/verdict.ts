import { hasCode } from "../../replication/errors.ts";
import { listJobs } from "../../replication/jobs/job-record.ts";
import { findManaged } from "../../replication/jobs/managed-item.ts";
import { SECTOR_BYTES } from "../../replication/limits.ts";
import { PROGRESS_RECORD, manifestName } from "../../replication/names.ts";
import { readOverview } from "../../replication/operations/overview.ts";
import { type PointManifest, decodePoint } from "../../replication/points/manifest.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { findItem } from "../../replication/records/item-record.ts";
import type { Progress } from "../../replication/records/item.ts";
import { decodeProgress, readProgress } from "../../replication/records/progress.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import { checkCatalog, checkRestores, checkTold, isOver, restoresOf } from "./aftermath.ts";
import { markOf } from "./oracle.ts";
import type { ProtectedMachine, World } from "./world.ts";

/** Rules checked at the moment at which something changes, and at the end of a history. */
export interface Verdict {
  /** The same stores; every manifest is checked when it is written. */
  readonly watch: (stores: ItemStores) => ItemStores;
  /** Compares the reported health and RPO with the truth. */
  checkHealth(): Promise<void>;
  /** True when nothing more has to happen for this machine. `why` says what is missing. */
  isDone(machine: ProtectedMachine): Promise<{ readonly done: boolean; readonly why: string }>;
  /** True while data is left of an item that is no longer protected: a late write. */
  isLeft(): Promise<boolean>;
  /** True while Azure may still make resources that a disabled item has requested. */
  mayComeBack(): Promise<boolean>;
  /** Checks everything that must hold in the end. */
  checkEnd(): Promise<void>;
  readonly points: number;
}

/**
 * The clocks' difference is measured when a request arrives, so the measurement may be wrong by the time for which a
 * request may be on its way.
 */
const SLACK_MS = 12_000;

interface SeenPoint {
  readonly itemId: string;
  readonly pointId: string;
  readonly stream: number;
  readonly epoch: number;
  readonly state: number;
}

export function createVerdict(world: World): Verdict {
  const { stores, memory, wrong } = world;
  const context = { stores, clock: { now: world.timeline.now }, ids: { next: () => "" } };
  const seen: SeenPoint[] = [];
  // If two services claim the same identity, the idle copy may hold the session. The times that it reports are its own,
  // and the product cannot know better.
  const hasTwoServices = world.plan.steps.some(({ kind }) => kind === "second-service");
  const lookedAt = new Map<string, string>();
  const say = (sentence: string): void => {
    world.surroundings.trace(`WRONG ${sentence}`);
    if (!wrong.includes(sentence)) wrong.push(sentence);
  };
  const machineOf = (itemId: string): ProtectedMachine | undefined =>
    world.machines.find((machine) => machine.itemId === itemId);

  /** What a point holds, by disk and sector. */
  const marksOf = (machine: ProtectedMachine, point: PointManifest): (number | undefined)[][] =>
    machine.source.disks.map((disk) => {
      const named = point.disks.find(({ id }) => id === disk.id);
      const target = { itemId: point.itemId, stream: point.stream, diskId: disk.id };
      const pages = named && memory.memory.snapshotPages(target, named.snapshot);
      return Array.from({ length: disk.sizeBytes / SECTOR_BYTES }, (_, at) =>
        pages === undefined ? undefined : markOf(pages.get(at)),
      );
    });

  const checkNewPoint = (point: PointManifest): void => {
    const machine = machineOf(point.itemId);
    if (machine === undefined) return;
    const { source } = machine;
    const name = `the point of ${point.itemId} at ${point.position.stream}/${point.position.epoch}`;
    // The manifest was on its way when its item was disabled, and the disks are gone. The last check finds leftovers.
    const isLate = machine.source.disks.every(
      ({ id }) => memory.memory.pages({ itemId: point.itemId, stream: point.stream, diskId: id }) === undefined,
    );
    if (isLate) return;
    const state = source.model.find(marksOf(machine, point));
    if (state === undefined) return say(`rule 1: ${name} is no state that the source ever had`);
    const before = seen.findLast(({ itemId }) => itemId === point.itemId);
    seen.push({
      itemId: point.itemId,
      pointId: point.pointId,
      stream: point.stream,
      epoch: point.position.epoch,
      state,
    });
    if (before !== undefined && isBehind(before, point) && before.state > state) {
      say(`rule 1: ${name} is an older state (${state}) than the point before it (${before.state})`);
    }
    const left = source.leftAt[state];
    if (left !== undefined && !hasTwoServices && !source.clockJumped && left.ownMs < point.sourceTimeMs - SLACK_MS) {
      say(
        `${name} says that it holds all writes up to ${point.sourceTimeMs - left.ownMs} ms after the first that it lacks`,
      );
    }
  };

  /** The state that the target disks hold: undefined when they are gone, `none` when the source was never in it. */
  const targetState = (machine: ProtectedMachine, progress: Progress): number | "none" | undefined => {
    const targets = machine.source.disks.map(({ id }) => ({
      itemId: machine.itemId,
      stream: progress.stream,
      diskId: id,
    }));
    if (targets.some((target) => memory.memory.pages(target) === undefined)) return undefined;
    const marks = machine.source.disks.map((disk) => {
      const pages = memory.memory.pages({ itemId: machine.itemId, stream: progress.stream, diskId: disk.id });
      return Array.from({ length: disk.sizeBytes / SECTOR_BYTES }, (_, at) => markOf(pages?.get(at)));
    });
    return machine.source.model.find(marks) ?? "none";
  };

  /**
   * At the end of a batch the disks are in a state of the source, unless initial replication says that they are not
   * yet.
   */
  const checkBatch = (itemId: string, progress: Progress): void => {
    const machine = machineOf(itemId);
    const { applied, intent, seeding } = progress;
    if (machine === undefined || seeding || applied.epoch !== intent.epoch || applied.epoch === 0) return;
    const position = `${applied.stream}/${applied.epoch}`;
    if (lookedAt.get(itemId) === position) return;
    lookedAt.set(itemId, position);
    if (targetState(machine, progress) === "none")
      say(`rule 1: the target of ${itemId} at ${position} is no state that the source ever had`);
  };

  const checkMachine = async (machine: ProtectedMachine): Promise<void> => {
    const { itemId, source } = machine;
    const progress = (await readProgress(stores.records(itemId)))?.progress;
    if (progress === undefined || (await findItem(stores, itemId)) === undefined) return;
    const { status } = await readOverview(context, itemId);
    if (status?.rpoInSeconds === undefined || progress.seeding) return;
    if (progress.applied.epoch !== progress.intent.epoch || source.clockJumped) return;
    if (hasTwoServices) return;
    const state = targetState(machine, progress);
    if (state === undefined) return;
    if (state === "none")
      return say(`rule 1: between batches the target of ${itemId} is no state that the source ever had`);
    const left = source.leftAt[state];
    const coveredMs = world.timeline.now() - status.rpoInSeconds * 1_000 - SLACK_MS;
    if (left !== undefined && left.trueMs < coveredMs) {
      say(
        `${itemId} says an RPO of ${status.rpoInSeconds} s and lacks a write of ${Math.round((world.timeline.now() - left.trueMs) / 1000)} s ago`,
      );
    }
  };

  const isDone: Verdict["isDone"] = async (machine) => {
    const { itemId, source } = machine;
    const no = (why: string) => ({ done: false, why });
    const managed = await findManaged(stores, itemId);
    if (managed?.situation.job !== undefined) return no(`its flow ${managed.situation.job.flow} has not ended`);
    const item = await findItem(stores, itemId);
    if (managed?.situation.state === "Unprotected") {
      const [stray] = straysInReach(world, itemId);
      return stray === undefined ? { done: true, why: "" } : no(`it is not protected, and ${stray} is left`);
    }
    if (item === undefined) return { done: true, why: "" };
    const progress = (await readProgress(stores.records(itemId)))?.progress;
    // The job says what the operator must do.
    if (["EnableFailed", "DisableFailed"].includes(managed?.situation.state ?? "")) return { done: true, why: "" };
    if (progress === undefined) return no("it has no progress");
    if ((await restoresOf(stores, itemId)).some((restore) => !isOver(restore))) return no("a restore has not ended");
    if (["FailoverCommitPending", "FailoverCommitted"].includes(managed?.situation.state ?? ""))
      return { done: true, why: "" };
    if (world.regionLost)
      return { done: progress.applied.epoch === progress.intent.epoch, why: "a batch that was begun is not finished" };
    if (progress.stopped !== undefined) return no(`it stopped: ${progress.stopped.code}`);
    if (progress.seeding || item.item.stream !== progress.stream) return no("initial replication has not ended");
    if (!source.isRunning) return no("its service does not run");
    const points = await readablePoints(stores, itemId);
    const last = points.at(-1);
    if (last === undefined) return no("it has no recovery point");
    const state = source.model.find(marksOf(machine, last));
    return state === source.model.index
      ? { done: true, why: "" }
      : no(`its last point is state ${state}, the source is at ${source.model.index}`);
  };

  const stateOfPoint = (machine: ProtectedMachine, pointId: string): number | undefined =>
    seen.find((point) => point.itemId === machine.itemId && point.pointId === pointId)?.state;

  return {
    get points() {
      return seen.length;
    },
    watch: (inner) => ({
      ...inner,
      records: (itemId) => {
        const records = inner.records(itemId);
        return {
          ...records,
          create: async (name, bytes) => {
            const etag = await records.create(name, bytes);
            const pointId = pointOfManifest(name);
            if (etag !== undefined && pointId !== undefined) {
              const point = decodePoint(pointId, bytes);
              if (point.kind === "point") checkNewPoint(point);
            }
            return etag;
          },
          replace: async (name, bytes, before) => {
            const etag = await records.replace(name, bytes, before);
            if (etag === undefined || name !== PROGRESS_RECORD) return etag;
            const progress = decodeProgress(bytes);
            checkBatch(itemId, progress);
            for (const listener of world.progressListeners) listener(itemId, progress);
            return etag;
          },
        };
      },
    }),
    checkHealth: async () => {
      for (const machine of world.machines) await checkMachine(machine);
    },
    isDone,
    isLeft: async () => {
      for (const { itemId } of world.machines) {
        const managed = await findManaged(stores, itemId);
        if (managed?.situation.state === "Unprotected" && straysInReach(world, itemId).length > 0) return true;
      }
      return false;
    },
    mayComeBack: async () => {
      for (const { itemId } of world.machines) {
        const managed = await findManaged(stores, itemId);
        if (managed?.situation.state !== "Unprotected" || world.regionLost) continue;
        const { entries } = await readLedger(stores, itemId);
        // While a sweep removes one it is `removing`, until Azure has answered.
        const isOpen = entries.some(
          ({ state, answer }) => state === "removing" || (state === "left" && answer !== undefined),
        );
        if (isOpen) return true;
      }
      return false;
    },
    checkEnd: async () => {
      for (const id of world.strangers)
        if (!world.manager.resources.has(id)) say(`${id} is gone, and nobody but its owner may remove it`);
      for (const machine of world.machines) {
        await checkKept(world, machine, seen, marksOf, say);
        await checkRemoved(world, machine, say);
        await checkJobs(world, machine, say);
        await checkRestores(world, machine, (pointId) => stateOfPoint(machine, pointId), say);
        await checkTold(world, machine, await readablePoints(stores, machine.itemId), say);
      }
      for (const machine of world.machines)
        await checkCatalog(world, machine, () => readablePoints(stores, machine.itemId), say);
    },
  };
}

/** The points with undamaged manifests, oldest first. A damaged manifest makes only its own point unusable. */
export async function readablePoints(stores: ItemStores, itemId: string): Promise<readonly PointManifest[]> {
  const records = stores.records(itemId);
  const found: PointManifest[] = [];
  for (const { name } of await records.list("points/", 10_000)) {
    const pointId = pointOfManifest(name);
    const stored = pointId === undefined ? undefined : await records.read(name);
    try {
      const point = stored && pointId !== undefined ? decodePoint(pointId, stored.bytes) : undefined;
      if (point?.kind === "point") found.push(point);
    } catch (error) {
      if (!hasCode(error, "record-corrupt")) throw error;
    }
  }
  return found;
}

const pointOfManifest = (name: string): string | undefined => /^points\/([^/]+)\/manifest\.json$/.exec(name)?.[1];

const isBehind = (before: SeenPoint, { stream, position }: PointManifest): boolean =>
  stream > before.stream || (stream === before.stream && position.epoch >= before.epoch);

/** Rule 2: a point never changes after it was taken. */
async function checkKept(
  { stores, wrong }: World,
  machine: ProtectedMachine,
  seen: readonly SeenPoint[],
  marksOf: (machine: ProtectedMachine, point: PointManifest) => (number | undefined)[][],
  say: (sentence: string) => void,
): Promise<void> {
  if (wrong.length > 0) return;
  for (const point of await readablePoints(stores, machine.itemId)) {
    const known = seen.find(({ itemId, pointId }) => itemId === machine.itemId && pointId === point.pointId);
    const state = machine.source.model.find(marksOf(machine, point));
    if (state === undefined || (known !== undefined && state < known.state)) {
      say(`rule 2: the point ${manifestName(point.pointId)} of ${machine.itemId} has changed since it was taken`);
    }
  }
}

/** What flows must not report, and what they leave behind. */
async function checkJobs(
  { stores }: World,
  { itemId }: ProtectedMachine,
  say: (sentence: string) => void,
): Promise<void> {
  const managed = await findManaged(stores, itemId);
  if (managed === undefined) return;
  for (const { flow, errors } of (await listJobs(stores, itemId)).jobs) {
    // Only Leeward uses these resources, so none may be in use when Leeward removes it.
    const inUse = errors.find(
      ({ code, message }) => code === "azure-resource-conflict" && /in use|used by/.test(message),
    );
    if (inUse !== undefined)
      say(`${flow} of ${itemId} failed for something that Leeward itself has removed: ${inUse.message}`);
  }
  const { state, job } = managed.situation;
  if (state !== "FailoverCommitted" || job !== undefined) return;
  const points = await readablePoints(stores, itemId);
  if (points.length > 0) say(`after the commit of ${itemId} there are ${points.length} recovery points`);
}

/** Blobs of an item in both accounts, except the records that outlive it. */
function strays({ memory }: World, itemId: string): readonly string[] {
  return Object.keys(memory.dump()).filter(
    (name) =>
      name.includes(itemId) &&
      !/ (jobs\/|managed\.json|ledger\.json|streams\.json)/.test(name) &&
      !name.startsWith("quarantine"),
  );
}

/** Without those in a lost region, which nobody can remove. */
const straysInReach = (world: World, itemId: string): readonly string[] =>
  strays(world, itemId).filter((name) => !world.regionLost || !name.startsWith("cache "));

/** After disabling nothing is left but the records that outlive the item. */
async function checkRemoved(world: World, machine: ProtectedMachine, say: (sentence: string) => void): Promise<void> {
  const { stores, manager, plan, regionLost } = world;
  const { itemId } = machine;
  const managed = await findManaged(stores, itemId);
  if (managed === undefined || managed.situation.state !== "Unprotected") return;
  const job = managed.situation.job;
  if (job !== undefined) return;
  const ledger = await readLedger(stores, itemId);
  // Unreachable resources are named, and the sweep retries them.
  const open = ledger.entries.filter(({ state }) => state !== "left");
  if (open.length > 0)
    say(`after disabling ${itemId} its ledger still has ${open.map(({ id, state }) => `${id} (${state})`).join(", ")}`);
  const left = strays(world, itemId);
  if (left.length > 0 && !regionLost && ledger.entries.length === 0)
    say(`after disabling ${itemId} the accounts still have ${left.slice(0, 4).join(", ")}`);
  // A machine that was failed over belongs to the operator, with everything that it uses.
  const { jobs } = await listJobs(stores, itemId);
  if (jobs.some(({ flow, state }) => flow === "unplanned-failover" && state === "Succeeded")) return;
  // Resource groups and storage accounts stay and are named as leftovers: they may hold resources of others.
  const made = [...manager.resources.entries()].filter(
    ([id, body]) =>
      /\/providers\/(?!microsoft\.storage\/)/.test(id) &&
      JSON.stringify(body["tags"] ?? {}).includes(`"leeward-item":"${itemId}"`),
  );
  if (made.length > 0 && plan.machines.length === 1 && !regionLost)
    say(`after disabling ${itemId} Azure still has ${made.map(([id]) => id).join(", ")}`);
}
