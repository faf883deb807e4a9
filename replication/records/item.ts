import type { Consistency } from "../delta/delta.ts";
import type { DiskDescription, Position } from "../position.ts";

/** The policy of one item, in milliseconds. The API speaks Site Recovery's minutes. */
export interface ReplicationPolicy {
  /** How often a crash-consistent point is due (Site Recovery: 5 minutes). */
  readonly pointIntervalMs: number;
  /** How long points are kept (Site Recovery: 24 h, at most 15 days). 0 keeps the latest only. */
  readonly retentionMs: number;
  /**
   * How often an app-consistent point is asked for (Site Recovery: at least an hour). 0 or undefined: never, as in Site
   * Recovery's default.
   */
  readonly appConsistentIntervalMs?: number | undefined;
  /** A target that lies further behind is a warning (Site Recovery: 15 minutes, the default). */
  readonly rpoThresholdMs?: number | undefined;
}

/**
 * A repair of the replication that an operator asked for: it opened the item's stream. Its id follows from the
 * request's.
 */
export interface RepairRequest {
  readonly id: string;
  readonly requestedMs: number;
  /** `requested`: no heartbeat speaks of the stream yet; `done`: its disks are an image of the source again. */
  readonly state: "requested" | "running" | "done";
  readonly changedMs: number;
}

/** `item.json`: what the control plane decided about a protected item. Changed by compare-and-set only. */
export interface ProtectedItem {
  readonly version: 1;
  readonly itemId: string;
  /**
   * The open stream: deltas of any other stream are refused and swept. Minted (streams.ts): no other stream of any life
   * of the item has this number.
   */
  readonly stream: number;
  /**
   * Drawn when the stream was opened, a part of its start position: 32 hex digits. Undefined once the stream has ended
   * and none follows.
   */
  readonly nonce: string | undefined;
  /** When this stream was announced. */
  readonly openedMs: number;
  /** Ordered by id. */
  readonly disks: readonly DiskDescription[];
  readonly policy: ReplicationPolicy;
  /** The stored policy that `policy` follows; undefined for one of its own. */
  readonly policyName?: string | undefined;
  readonly createdMs: number;
  /** SHA-256 (hex) of the one-time registration token; undefined once used. */
  readonly registrationHash: string | undefined;
  /** SHA-256 (hex) of the item token that the registered mobility service chose. */
  readonly tokenHash: string | undefined;
  /**
   * The machine that registered: no other one may speak for the item. Undefined before the first registration, and for
   * items registered before it was kept.
   */
  readonly machineId?: string | undefined;
  /** Since when `tokenHash` counts: an old token is exchanged (docs/mobility-protocol.md). */
  readonly tokenSinceMs?: number | undefined;
  /**
   * SHA-256 (hex) of the token that follows. It counts beside `tokenHash` until it is used for the first time, and
   * takes its place then.
   */
  readonly nextTokenHash?: string | undefined;
  /** An operator wants another token, whatever the age of this one. */
  readonly rotateToken?: boolean | undefined;
  readonly repair?: RepairRequest | undefined;
  /** The last request of an operator for an app-consistent point; the record of heartbeats tells what became of it. */
  readonly appPointRequest?: { readonly id: string; readonly requestedMs: number } | undefined;
  /** Ids of the latest operations, oldest first: a request that is sent again begins nothing anew. */
  readonly operations?: readonly string[] | undefined;
}

/**
 * The right of one run of a mobility service to speak for its item: one at a time, kept up by heartbeats
 * (docs/mobility-protocol.md).
 */
export interface ServiceSession {
  readonly id: string;
  readonly machineId: string;
  readonly bootId: string;
  readonly sinceMs: number;
  /** The service was stopped in order; its session never comes back. */
  readonly ended: boolean;
}

/** The app-consistent point that was asked for last, and what the service made of it. */
export interface AppPointState {
  readonly requestId: string;
  readonly askedMs: number;
  /** The last request of an operator that was handed on: it is not asked for again. */
  readonly onDemandId: string | undefined;
  /** Undefined while the service has not reported yet. */
  readonly outcome:
    | { readonly state: "done" | "failed"; readonly reason: string | undefined; readonly reportedMs: number }
    | undefined;
}

/** What the source misses at the target, as its mobility service says. */
export interface Resynchronization {
  /**
   * `required`: writes are only marked, not recorded, or a part of the log was lost; `running`: what is missing is
   * being sent.
   */
  readonly state: "required" | "running";
  readonly reason: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Why the mobility service uploads nothing more in this stream: another service has written it too. */
export interface UploadsStopped {
  readonly code: string;
  readonly message: string;
}

/**
 * `heartbeat.json`: the last word of the mobility service, and the session that it has. Changed by compare-and-set
 * only, so that of two services one has the session. Records of before have no session.
 */
export interface HeartbeatRecord {
  readonly version: 1;
  /** When the target's clock received it. */
  readonly receivedMs: number;
  /** When it was sent, by the clock that the service goes by. */
  readonly sentMs: number;
  /**
   * How far the target's clock is ahead of the service's, as the quicker of the last two heartbeats shows: what a
   * request spends on its way looks like a difference of the clocks. Records of before have none.
   */
  readonly clockOffsetMs?: number | undefined;
  /** How far the machine's own clock is ahead, while the service says that it does not go by it. */
  readonly clockAheadMs?: number | undefined;
  readonly bootId: string;
  /**
   * Where the stream begins that `uploaded` speaks of: the item's open one, or one before of which the service has not
   * heard yet that it ended.
   */
  readonly start?: Position | undefined;
  readonly uploaded: Position;
  /**
   * Every write up to this moment lies at or before `uploaded`, if the service knows of one: an idle VM uploads
   * nothing.
   */
  readonly currentAtMs: number | undefined;
  readonly pendingBytes: number;
  readonly seeding: { readonly doneBytes: number; readonly totalBytes: number } | undefined;
  readonly session?: ServiceSession | undefined;
  readonly resynchronization?: Resynchronization | undefined;
  readonly uploadsStopped?: UploadsStopped | undefined;
  readonly appPoint?: AppPointState | undefined;
}

/**
 * Why an item stands still, in words for the operator. Applying goes on when the next delta of the chain can be read,
 * and in another stream after a repair.
 */
export interface StopReason {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly facts: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly atMs: number;
}

/**
 * `progress.json`: the one record that says who may write the target disks and how far they stand. Changed by
 * compare-and-set only.
 */
export interface Progress {
  readonly version: 1;
  readonly stream: number;
  readonly generation: number;
  /** Who holds the claim; undefined when nobody does. */
  readonly holder: string | undefined;
  readonly expiresMs: number;
  readonly applied: Position;
  /** The end of the batch under way; equal to `applied` between batches. */
  readonly intent: Position;
  /** The delta applied last carried `seeding`: no recovery point here. */
  readonly seeding: boolean;
  /** Source time of the last write applied; 0 before the first. */
  readonly appliedSourceMs: number;
  /** What the delta applied last left on the disks; `crash` before the first. */
  readonly consistency: Consistency;
  /** The delta applied last carried the mark of a replication group. */
  readonly groupMark: boolean;
  /** The delta applied last was the final one: nothing follows in this stream. */
  readonly final: boolean;
  /**
   * The newest point that a worker of this item recorded here. It may lag behind the catalog by one lost write: then a
   * point comes a little early.
   */
  readonly lastPoint: LastPoint | undefined;
  readonly stopped: StopReason | undefined;
}

/** What deciding on the next recovery point needs to know of the last one, so that no listing is needed. */
export interface LastPoint {
  readonly pointId: string;
  readonly stream: number;
  readonly epoch: number;
  readonly targetTimeMs: number;
  readonly sourceTimeMs: number;
}

/**
 * The stream that the item has open. A service that replicated another one begins this one: it reads all disks again.
 */
export interface OpenStream {
  readonly stream: number;
  /**
   * The position before epoch 1 of the stream. It is made of the item, the stream, the disks and the nonce, so that the
   * service can check it.
   */
  readonly start: Position;
  /** 32 hex digits. */
  readonly nonce: string;
}
