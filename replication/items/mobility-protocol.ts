/**
 * What the mobility service and the function app say to each other, over HTTPS with JSON bodies. The service calls; nothing calls the VM.
 * All requests but `register` carry `authorization: Bearer <item token>`. Errors come as `{ error: { code, message, hint } }`.
 */
import type { DiskDescription, Position } from "../position.ts";

/** POST /api/mobility/{item}/register. Repeating it with the same `itemToken` succeeds, so a lost answer is harmless. */
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
export interface RegisterAnswer {
  readonly stream: number;
  /** The position before epoch 1 of the stream. */
  readonly start: Position;
}

/** POST /api/mobility/{item}/heartbeat. */
export interface HeartbeatRequest {
  readonly bootId: string;
  readonly sentMs: number;
  readonly uploaded: Position;
  readonly currentAtMs?: number | undefined;
  readonly pendingBytes: number;
  readonly seeding?: { readonly doneBytes: number; readonly totalBytes: number } | undefined;
  /** `required`: the service has lost its log, and no recovery point can be taken until `running` is over. */
  readonly resynchronization?:
    | { readonly state: "required" | "running"; readonly reason: string; readonly doneBytes: number; readonly totalBytes: number }
    | undefined;
}
export interface HeartbeatAnswer {
  readonly stream: number;
  /** Where to upload: container address with a create-only SAS. Kept in memory only, never logged. */
  readonly upload: { readonly containerUrl: string; readonly expiresMs: number };
  /** How far the target stands. */
  readonly applied: Position;
  /** When the next heartbeat is expected. */
  readonly intervalMs: number;
}

/** POST /api/mobility/{item}/settle: the cache said 'exists' for this epoch; does it hold the service's own delta? */
export interface SettleRequest {
  readonly stream: number;
  readonly epoch: number;
  /** End position checksum of the service's delta. */
  readonly checksum: string;
}
/**
 * `same`: the cache, the journal or the applied position has exactly this delta; count it as uploaded.
 * `again`: an unreadable blob stood there and was quarantined; upload once more.
 * `other`: a valid delta with other content is there: two services write one item. Stop.
 */
export type SettleAnswer = { readonly outcome: "same" | "again" | "other" };
