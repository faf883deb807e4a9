/**
 * The protocol between the mobility service and the function app: HTTPS with JSON bodies. The service calls; nothing
 * calls the VM. All requests but `register` carry `authorization: Bearer <ticket>.<item token>`. Errors come as `{
 * error: { code, message, hint } }`. The rules of identity, sessions and requests are in docs/mobility-protocol.md.
 */
import type { DiskDescription, Position } from "../position.ts";
import type { OpenStream, Resynchronization, UploadsStopped } from "../records/item.ts";

/**
 * POST /api/mobility/{item}/register. Repeating it with the same `itemToken` succeeds, so a lost answer is harmless.
 */
export interface RegisterRequest {
  /** The one-time token that enabling replication gave to the operator. */
  readonly registrationToken: string;
  /** 64 hex digits, chosen by the service; only its hash is stored. */
  readonly itemToken: string;
  readonly machineId: string;
  readonly bootId: string;
  /** What the service serves; must equal the item's disks. */
  readonly disks: readonly DiskDescription[];
}
export interface RegisterAnswer extends OpenStream {
  /** Prefix of every token that the service sends from now on, separated by a dot: see `Tickets`. */
  readonly ticket: string;
  /**
   * The address of the cache account, without a trailing slash: the service sends to no other account until it
   * registers again.
   */
  readonly cacheEndpoint: string;
}

/** POST /api/mobility/{item}/heartbeat. */
export interface HeartbeatRequest {
  /** Must be the machine that registered. */
  readonly machineId: string;
  readonly bootId: string;
  /**
   * Names one run of the service: chosen at its start, kept by a start that provably follows it in the same boot and
   * state folder.
   */
  readonly sessionId: string;
  /** The session is over: the service is stopping, and sends nothing more. */
  readonly ended?: boolean | undefined;
  /**
   * By the clock that the service uses: the machine's, or, while that is wrong, the control plane's as last reported.
   */
  readonly sentMs: number;
  /** How far the machine's clock is ahead (negative: behind), while the service does not use it. */
  readonly clockAheadMs?: number | undefined;
  /** The start of the stream that the service replicates; the two positions refer to that stream. */
  readonly start?: Position | undefined;
  readonly uploaded: Position;
  /**
   * The end of the last sealed delta. A service that asks for a session must know at least what the target has applied.
   */
  readonly sealed?: Position | undefined;
  readonly currentAtMs?: number | undefined;
  readonly pendingBytes: number;
  readonly seeding?: { readonly doneBytes: number; readonly totalBytes: number } | undefined;
  readonly resynchronization?: Resynchronization | undefined;
  /** Nothing more is uploaded in this stream: only a new one helps (`repairReplication`). */
  readonly uploadsStopped?: UploadsStopped | undefined;
  /** The outcome of the requested app-consistent point; sent until an answer no longer asks for it. */
  readonly consistency?: ConsistencyOutcome | undefined;
  /**
   * SHA-256 (64 hex digits) of the token that the service wants to use next. The token itself is not sent before its
   * first use.
   */
  readonly nextTokenHash?: string | undefined;
}
export type ConsistencyOutcome =
  | { readonly requestId: string; readonly state: "done" }
  | { readonly requestId: string; readonly state: "failed"; readonly reason: string };

export interface HeartbeatAnswer extends OpenStream {
  /**
   * Where to upload deltas of the open stream: container address with a create-only SAS. Kept in memory only, never
   * logged.
   */
  readonly upload: { readonly containerUrl: string; readonly expiresMs: number };
  /** The target's position in the open stream. */
  readonly applied: Position;
  /** The target's clock. Unknown when an older control plane does not send it. */
  readonly nowMs?: number | undefined;
  /** When the next heartbeat is expected. */
  readonly intervalMs: number;
  /** The session that this answer grants or renews: others wait until it has been silent for `leaseMs`. */
  readonly session: { readonly sinceMs: number; readonly leaseMs: number };
  /**
   * The target has stopped because this epoch is missing or damaged: it is to be sent again, if the service still has
   * it.
   */
  readonly resend?: { readonly epoch: number } | undefined;
  /** An app-consistent point is wanted now. Sent until a heartbeat reports its outcome. */
  readonly consistency?: { readonly requestId: string } | undefined;
  /**
   * `wanted`: the service is to choose another token; `accepted`: the proposed one is now valid, beside the old one
   * until its first use.
   */
  readonly rotation?: "wanted" | "accepted" | undefined;
}

/**
 * POST /api/mobility/{item}/settle: the cache answered 'exists' for this epoch; does it hold the service's own delta?
 */
export interface SettleRequest {
  /** Must be the item's current session. */
  readonly sessionId: string;
  readonly stream: number;
  readonly epoch: number;
  /** End position checksum of the service's delta. */
  readonly checksum: string;
}
/**
 * `same`: the cache, the journal or the applied position has exactly this delta; count it as uploaded.
 * `again`: an unreadable blob was there and was quarantined; upload once more.
 * `other`: a valid delta with other content is there: two services write one item. Stop.
 */
export type SettleAnswer = { readonly outcome: "same" | "again" | "other" };
