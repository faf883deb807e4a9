import { invariant } from "../errors.ts";
import {
  BATCH_MAX_BYTES,
  BATCH_MAX_DELTAS,
  BATCH_MAX_EXTENTS,
  CLAIM_MS,
  CLAIM_RENEW_MS,
  CLAIMS_PER_RUN,
  PAGE_WRITES_IN_FLIGHT,
} from "../limits.ts";
import type { PointReason } from "../points/point-due.ts";
import type { Clock, ItemStores, RecordStore, Timer } from "../ports.ts";
import type { ProtectedItem, StopReason } from "../records/item.ts";
import { type LargeBatches, UNBOUNDED } from "./large-batches.ts";
import { SMALL_BATCH_MAX_BYTES } from "./limits.ts";
import { type Pace, createPace } from "./pace.ts";

/** What a run of the apply engine needs from its caller. */
export interface ApplyContext {
  readonly stores: ItemStores;
  readonly clock: Clock;
  readonly timer: Timer;
  /**
   * Names this run in the progress record. Unique for each run: two runs with one name would take the claim from each
   * other.
   */
  readonly holder: string;
  /**
   * At the first boundary after this moment (Unix milliseconds) the run hands over; usually now + SLICE_MS. Read at
   * every boundary, so that a process which ends can bring it forward.
   */
  readonly deadlineMs: number;
  /** Structured events without secrets. */
  readonly log: (event: ApplyEvent) => void;
  /**
   * Lets a holder stay warm when no delta is left: resolves to true as soon as a wake-up for the item reaches this
   * process, to false at `untilMs`. Without it the run releases the claim at once.
   */
  readonly awaitHint?: (itemId: string, untilMs: number) => Promise<boolean>;
  /** Shared by all runs of the process; without it every batch may be large. */
  readonly largeBatches?: LargeBatches;
  /**
   * Replaces the bounds of limits.ts: correctness must not depend on them (rule 1), so tests vary them from worker to
   * worker.
   */
  readonly bounds?: Partial<ApplyBounds>;
}

interface ApplyBounds {
  readonly batchMaxBytes: number;
  readonly batchMaxDeltas: number;
  readonly smallBatchMaxBytes: number;
  readonly batchMaxExtents: number;
  readonly pageWritesInFlight: number;
  readonly claimMs: number;
  readonly claimRenewMs: number;
  readonly claimsPerRun: number;
}

/** What happened, for logs and metrics. */
export type ApplyEvent = { readonly itemId: string; /** 0 while there is no claim. */ readonly generation: number } & (
  | { readonly kind: "claimed" }
  | {
      readonly kind: "batch-applied";
      readonly fromEpoch: number;
      readonly toEpoch: number;
      readonly lengthBytes: number;
      readonly putPages: number;
      readonly clearPages: number;
      readonly plainBytes: number;
      /** Page writes that the store was at first too busy for. */
      readonly refusals: number;
    }
  | { readonly kind: "point-taken"; readonly pointId: string; readonly epoch: number; readonly reason: PointReason }
  | { readonly kind: "point-name-taken"; readonly pointId: string }
  | { readonly kind: "claiming-again"; readonly code: string; readonly message: string }
  | { readonly kind: "cache-unreachable"; readonly message: string }
  | { readonly kind: "deltas-left-in-cache"; readonly code: string; readonly message: string }
  | { readonly kind: "stopped"; readonly reason: StopReason }
);

/** One item with its stores open. */
export interface OpenItem {
  readonly context: ApplyContext;
  readonly bounds: ApplyBounds;
  readonly item: ProtectedItem;
  readonly records: RecordStore;
  readonly cache: RecordStore;
  /** The pace of one target disk, shared by all claims of the run. */
  readonly paceOf: (diskId: string) => Pace;
  readonly largeBatches: LargeBatches;
}

export function openItem(context: ApplyContext, item: ProtectedItem): OpenItem {
  const { stores } = context;
  const paces = new Map(item.disks.map(({ id }) => [id, createPace()]));
  return {
    context,
    bounds: { ...BOUNDS, ...context.bounds },
    item,
    records: stores.records(item.itemId),
    cache: stores.cache(item.itemId, item.stream),
    largeBatches: context.largeBatches ?? UNBOUNDED,
    paceOf: (diskId) => {
      const pace = paces.get(diskId);
      invariant(pace !== undefined, "the run writes the disks of its item only", { disk: diskId });
      return pace;
    },
  };
}

const BOUNDS: ApplyBounds = {
  batchMaxBytes: BATCH_MAX_BYTES,
  batchMaxDeltas: BATCH_MAX_DELTAS,
  smallBatchMaxBytes: SMALL_BATCH_MAX_BYTES,
  batchMaxExtents: BATCH_MAX_EXTENTS,
  pageWritesInFlight: PAGE_WRITES_IN_FLIGHT,
  claimMs: CLAIM_MS,
  claimRenewMs: CLAIM_RENEW_MS,
  claimsPerRun: CLAIMS_PER_RUN,
};
