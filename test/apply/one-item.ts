import type { ApplyContext, ApplyEvent } from "../../replication/apply/context.ts";
import { applySlice, type ApplyOutcome } from "../../replication/apply/run.ts";
import type { DeltaFlags, ExtentContent } from "../../replication/delta/delta.ts";
import { SECTOR_BYTES, SLICE_MS } from "../../replication/limits.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import type { PointManifest } from "../../replication/points/manifest.ts";
import type { ItemStores } from "../../replication/ports.ts";
import type { Progress, ProtectedItem } from "../../replication/records/item.ts";
import { readProgress } from "../../replication/records/progress.ts";
import { createMemoryStores, type MemoryStores } from "../memory/memory-stores.ts";
import { wrapStores, type Around, type PortCall } from "../memory/wrapped-stores.ts";
import {
  CRASH,
  ITEM_ID,
  SOURCE_START_MS,
  enable,
  modelAfter,
  sealEpochs,
  smallItem,
  targetDisk,
  twoDisks,
  upload,
  type EpochPlan,
  type SealedEpoch,
} from "./small-world.ts";

/** One enabled item with two disks in memory, a clock that stands still, and workers that are started by hand. */
export interface OneItem {
  readonly item: ProtectedItem;
  readonly epochs: readonly SealedEpoch[];
  readonly memory: MemoryStores;
  readonly stores: ItemStores;
  readonly clock: { nowMs: number };
  /** Port calls of all workers so far. */
  readonly calls: PortCall[];
  readonly events: ApplyEvent[];
  /** Uploads epochs by their numbers. */
  arrive(...numbers: readonly number[]): Promise<void>;
  work(options?: WorkOptions): Promise<ApplyOutcome>;
  progress(): Promise<Progress>;
  points(): Promise<readonly PointManifest[]>;
  /** The epoch whose model the target disks equal, on all disks together; undefined if there is none. */
  diskEpoch(): number | undefined;
  /** The same for the snapshots of a point. */
  pointEpoch(point: PointManifest): number | undefined;
}

interface WorkOptions {
  readonly holder?: string;
  readonly bounds?: ApplyContext["bounds"];
  readonly sliceMs?: number;
  /** Instead of `sliceMs`: asked at every boundary. */
  readonly deadlineMs?: () => number;
  readonly around?: Around;
  readonly awaitHint?: ApplyContext["awaitHint"];
  readonly largeBatches?: ApplyContext["largeBatches"];
}

const SECTORS = 64;
/** No interval point unless a test asks for it, but the first. */
const NEVER_MS = 10 ** 12;

/**
 * Epoch e writes sector e of both disks, and sector 0: so every prefix is another state. Changes are by epoch number.
 */
export function plansOf(
  count: number,
  flags: Readonly<Record<number, Partial<DeltaFlags>>> = {},
): readonly EpochPlan[] {
  return Array.from({ length: count }, (_, index) => {
    const epoch = index + 1;
    const extents = [0, 1].flatMap((disk): readonly ExtentContent[] => [
      { kind: "data", disk, offsetBytes: 0, bytes: new Uint8Array(SECTOR_BYTES).fill(epoch) },
      {
        kind: "data",
        disk,
        offsetBytes: epoch * 2 * SECTOR_BYTES,
        bytes: new Uint8Array(SECTOR_BYTES).fill(100 + epoch),
      },
    ]);
    return { extents, flags: { ...CRASH, ...flags[epoch] } };
  });
}

let workers = 0;

export async function openOneItem(plans: readonly EpochPlan[], pointIntervalMs = NEVER_MS): Promise<OneItem> {
  const item = smallItem(twoDisks(SECTORS), pointIntervalMs);
  const epochs = sealEpochs(item, plans);
  const clock = { nowMs: SOURCE_START_MS };
  const memory = createMemoryStores({ now: () => clock.nowMs });
  const { stores } = memory;
  await enable(stores, item);
  const calls: PortCall[] = [];
  const events: ApplyEvent[] = [];
  const models = [...plans, undefined].map((_, count) => modelAfter(item, plans, count));
  const epochOf = (contents: readonly (Uint8Array | undefined)[]): number | undefined => {
    const found = models.findIndex((model) =>
      model.every((disk, index) => Buffer.compare(disk, contents[index] ?? new Uint8Array()) === 0),
    );
    return found < 0 ? undefined : found;
  };
  return {
    item,
    epochs,
    memory,
    stores,
    clock,
    calls,
    events,
    async arrive(...numbers) {
      for (const epoch of epochs.filter((each) => numbers.includes(each.end.epoch))) await upload(stores, epoch);
    },
    async work({ holder, bounds, sliceMs = SLICE_MS, deadlineMs, around, awaitHint, largeBatches } = {}) {
      workers += 1;
      const counted = wrapStores(stores, async (call, run) => {
        calls.push(call);
        return around === undefined ? run() : around(call, run);
      });
      const endMs = clock.nowMs + sliceMs;
      const context: ApplyContext = {
        stores: counted,
        clock: { now: () => clock.nowMs },
        timer: {
          pause: async (durationMs) => {
            clock.nowMs += durationMs;
          },
        },
        holder: holder ?? `worker-${workers}`,
        get deadlineMs() {
          return deadlineMs?.() ?? endMs;
        },
        log: (event) => events.push(event),
        ...(bounds === undefined ? {} : { bounds }),
        ...(awaitHint === undefined ? {} : { awaitHint }),
        ...(largeBatches === undefined ? {} : { largeBatches }),
      };
      return applySlice(context, ITEM_ID);
    },
    async progress() {
      const stored = await readProgress(stores.records(ITEM_ID));
      if (stored === undefined) throw new Error("the item has no progress");
      return stored.progress;
    },
    points: async () => (await listPoints(stores.records(ITEM_ID))).points,
    diskEpoch: () => epochOf(item.disks.map((disk) => memory.memory.content(targetDisk(item, disk.id)))),
    pointEpoch: (point) =>
      epochOf(point.disks.map((disk) => memory.memory.snapshotContent(targetDisk(item, disk.id), disk.snapshot))),
  };
}

/** The kinds of call, in order, that were made since `from`. */
export function callNames(world: OneItem, from = 0): readonly string[] {
  return world.calls.slice(from).map((call) => `${call.port} ${call.method}`);
}
