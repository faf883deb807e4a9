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
 * A repair of the replication that an operator requested: it opened the item's stream. Its id follows from the
 * request's.
 */
export interface RepairRequest {
  readonly id: string;
  readonly requestedMs: number;
  /** `requested`: no heartbeat names the stream yet; `done`: its disks are an image of the source again. */
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
   * The machine that registered: no other machine may act for the item. Undefined before the first registration, and
   * for items registered before this field existed.
   */
  readonly machineId?: string | undefined;
  /** Since when `tokenHash` counts: an old token is exchanged (docs/mobility-protocol.md). */
  readonly tokenSinceMs?: number | undefined;
  /** SHA-256 (hex) of the next token. It is valid beside `tokenHash` until its first use, and then replaces it. */
  readonly nextTokenHash?: string | undefined;
  /** An operator wants a new token, whatever the age of this one. */
  readonly rotateToken?: boolean | undefined;
  readonly repair?: RepairRequest | undefined;
  /** The last request of an operator for an app-consistent point; the heartbeat record has its outcome. */
  readonly appPointRequest?: { readonly id: string; readonly requestedMs: number } | undefined;
  /** Ids of the latest operations, oldest first: a repeated request starts nothing again. */
  readonly operations?: readonly string[] | undefined;
}

/**
 * The right of one run of a mobility service to act for its item: one at a time, renewed by heartbeats
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

/** The app-consistent point requested last, and its outcome at the service. */
export interface AppPointState {
  readonly requestId: string;
  readonly askedMs: number;
  /** The last request of an operator that was passed on: it is not requested again. */
  readonly onDemandId: string | undefined;
  /** Undefined while the service has not reported yet. */
  readonly outcome:
    | { readonly state: "done" | "failed"; readonly reason: string | undefined; readonly reportedMs: number }
    | undefined;
}

/** What the target lacks of the source, as the mobility service reports it. */
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
 * `heartbeat.json`: the last heartbeat of the mobility service, and its session. Changed by compare-and-set only, so
 * that of two services one has the session. Earlier records have no session.
 */
export interface HeartbeatRecord {
  readonly version: 1;
  /** When the target's clock received it. */
  readonly receivedMs: number;
  /** When it was sent, by the clock that the service uses. */
  readonly sentMs: number;
  /**
   * How far the target's clock is ahead of the service's, as the quicker of the last two heartbeats shows: a request's
   * transit time looks like a difference of the clocks. Earlier records have none.
   */
  readonly clockOffsetMs?: number | undefined;
  /** How far the machine's own clock is ahead, while the service reports that it does not use it. */
  readonly clockAheadMs?: number | undefined;
  readonly bootId: string;
  /**
   * The start of the stream that `uploaded` refers to: the item's open one, or an earlier one whose end the service has
   * not heard of yet.
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
 * Why an item is stopped, in words for the operator. Applying continues when the next delta of the chain can be read,
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
 * `progress.json`: the one record that says which worker may write the target disks, and their position. Changed by
 * compare-and-set only.
 */
export interface Progress {
  readonly version: 1;
  readonly stream: number;
  readonly generation: number;
  /** The holder of the claim; undefined when there is none. */
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

/** The facts about the last recovery point that decide on the next one, so that no listing is needed. */
export interface LastPoint {
  readonly pointId: string;
  readonly stream: number;
  readonly epoch: number;
  readonly targetTimeMs: number;
  readonly sourceTimeMs: number;
}

/** The item's open stream. A service that replicated another one starts this one by reading all disks again. */
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
