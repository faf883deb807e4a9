import { forEachConcurrently } from "../concurrency.ts";
import { LeewardError, invariant } from "../errors.ts";
import { DISK_REQUESTS_IN_FLIGHT } from "../limits.ts";
import type { TargetDisk } from "../ports.ts";
import type { LastPoint, Progress, ProtectedItem, StopReason } from "../records/item.ts";
import { isHeld, readProgress, replaceProgress, type StoredProgress } from "../records/progress.ts";
import { whileBusy } from "./busy.ts";
import type { OpenItem } from "./context.ts";
import { canGoOn } from "./next-delta.ts";

/**
 * The right to write the target disks of one item, until a newer generation is raised. It ends with its first unknown
 * outcome.
 */
export interface Claim {
  readonly open: OpenItem;
  /** The claim's current generation. */
  readonly generation: number;
  progress(): Progress;
  /**
   * Compare-and-set of the progress record, which also renews the claim. Errors: `fenced` if another worker changed it,
   * `outcome-unknown`.
   */
  change(changes: ProgressChanges): Promise<void>;
  /**
   * Like `change`, with a new generation that is raised on every disk before this returns: no earlier request can land
   * any more.
   */
  changeAnew(changes: ProgressChanges): Promise<void>;
  /**
   * Renews the claim when little of it is left; called before every step that may be the last of many. Errors as for
   * `change`.
   */
  keep(): Promise<void>;
  /**
   * Remembers a point; the next change writes it. If that write is lost, the next point comes a little early, which is
   * harmless.
   */
  notePoint(point: LastPoint): void;
  /** Releases the claim, so that the next wake-up is acted on at once. */
  release(): Promise<void>;
  /** Records why the item is stopped, and releases the claim (rule 5). */
  stop(reason: StopReason): Promise<void>;
}

export type ProgressChanges = Partial<
  Omit<Progress, "version" | "stream" | "generation" | "holder" | "expiresMs" | "stopped" | "lastPoint">
>;

export type ClaimAttempt =
  | { readonly kind: "claimed"; readonly claim: Claim }
  | { readonly kind: "held"; readonly untilMs: number }
  | { readonly kind: "stopped"; readonly reason: StopReason }
  /** The record changed between read and write: read it again. */
  | { readonly kind: "lost" }
  /** The item has no progress in this stream: it is still being enabled, or its stream has been closed. */
  | { readonly kind: "absent" };

/**
 * Steps a and b of applying (docs/architecture.md). The compare-and-set gives each generation to at most one worker,
 * even when an earlier attempt of ours lands late: it carries an older etag. Only when the sequence number of **every**
 * disk equals the generation may this worker read deltas, write or snapshot: from then on no request of an older
 * generation can change a disk (rule 3). Errors: `outcome-unknown` (claim again), `fenced` (a disk got a newer
 * generation meanwhile), `store-busy` (for as long as the claim would have held).
 */
export async function claimItem(open: OpenItem): Promise<ClaimAttempt> {
  const { context, item } = open;
  const stored = await readProgress(open.records);
  if (stored === undefined || stored.progress.stream !== item.stream) return { kind: "absent" };
  const { progress } = stored;
  const nowMs = context.clock.now();
  if (progress.stopped !== undefined && !(await canGoOn(open, progress)))
    return { kind: "stopped", reason: progress.stopped };
  if (progress.holder !== context.holder && isHeld(progress, nowMs)) {
    return { kind: "held", untilMs: progress.expiresMs };
  }
  const expiresMs = nowMs + open.bounds.claimMs;
  const claimWith = (before: StoredProgress, generation: number): Promise<StoredProgress | undefined> => {
    const next = { ...progress, generation, holder: context.holder, expiresMs, stopped: undefined };
    return whileBusy(context, { send: () => replaceProgress(open.records, before, next), untilMs: () => expiresMs });
  };
  let claimed = await claimWith(stored, progress.generation + 1);
  if (claimed === undefined) return { kind: "lost" };
  const highest = await raiseAll(open, claimed.progress);
  if (highest > claimed.progress.generation) {
    // Either a newer worker has the item and has changed the record: then this changes nothing. Or the record lags
    // behind the disks, because it was restored from a copy: then the next generation is one above the highest number
    // found.
    claimed = await claimWith(claimed, highest + 1);
    if (claimed === undefined) return { kind: "lost" };
    await fenceAll(open, claimed.progress);
  }
  context.log({ kind: "claimed", itemId: item.itemId, generation: claimed.progress.generation });
  return { kind: "claimed", claim: holdClaim(open, claimed) };
}

export function targetDisks({ item }: OpenItem): readonly TargetDisk[] {
  return disksOf(item);
}

function disksOf({ itemId, stream, disks }: ProtectedItem): readonly TargetDisk[] {
  return disks.map((disk) => ({ itemId, stream, diskId: disk.id }));
}

/** Step b. Errors: `fenced` when a disk has a higher number. */
async function fenceAll(open: OpenItem, progress: Progress): Promise<void> {
  const { generation } = progress;
  const found = await raiseAll(open, progress);
  if (found > generation)
    throw new LeewardError("fenced", "A disk belongs to a newer generation.", { generation, found });
}

/**
 * Returns the highest sequence number of all disks. The store reports success even when the number is higher already,
 * so only the number read back counts.
 */
async function raiseAll({ context, item }: OpenItem, { generation, expiresMs }: Progress): Promise<number> {
  let highest = generation;
  await forEachConcurrently(DISK_REQUESTS_IN_FLIGHT, disksOf(item), async (disk) => {
    const send = (): Promise<number> => context.stores.disks.raiseSequenceNumber(disk, generation);
    const found = await whileBusy(context, { send, untilMs: () => expiresMs });
    invariant(found >= generation, "a raised sequence number is not lower", { generation, found });
    highest = Math.max(highest, found);
  });
  return highest;
}

function holdClaim(open: OpenItem, claimed: StoredProgress): Claim {
  const { context, bounds, records } = open;
  let stored = claimed;
  let lastPoint = claimed.progress.lastPoint;
  let valid = true;
  let renewal: Promise<void> | undefined;

  async function set(next: Progress): Promise<void> {
    invariant(valid, "a claim is not used after an unknown outcome or after letting go (rule 3)", {
      generation: next.generation,
    });
    // Until the answer is known to be good, this claim counts as ended.
    valid = false;
    const before = stored;
    const written = await whileBusy(context, {
      send: () => replaceProgress(records, before, { ...next, lastPoint }),
      // Once expired, the claim may belong to another worker.
      untilMs: () => before.progress.expiresMs,
    });
    if (written === undefined) {
      throw new LeewardError("fenced", "Someone else changed the progress record.", { generation: next.generation });
    }
    stored = written;
    valid = next.holder !== undefined;
  }
  const change = (changes: ProgressChanges): Promise<void> =>
    set({ ...stored.progress, ...changes, expiresMs: context.clock.now() + bounds.claimMs });

  return {
    open,
    get generation() {
      return stored.progress.generation;
    },
    progress: () => ({ ...stored.progress, lastPoint }),
    change,
    async changeAnew(changes) {
      const generation = stored.progress.generation + 1;
      await set({ ...stored.progress, ...changes, generation, expiresMs: context.clock.now() + bounds.claimMs });
      valid = false;
      await fenceAll(open, stored.progress);
      valid = true;
    },
    async keep() {
      if (renewal === undefined && stored.progress.expiresMs - context.clock.now() > bounds.claimRenewMs) return;
      // Concurrent calls share one renewal: each compare-and-set needs the etag of the previous one.
      renewal ??= change({});
      try {
        await renewal;
      } finally {
        renewal = undefined;
      }
    },
    notePoint(point) {
      lastPoint = point;
    },
    release: () => set({ ...stored.progress, holder: undefined, expiresMs: 0 }),
    stop: (reason) => set({ ...stored.progress, holder: undefined, expiresMs: 0, stopped: reason }),
  };
}
