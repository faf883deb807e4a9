import type { HeartbeatRecord, LastPoint, Progress, ProtectedItem } from "../records/item.ts";

/** The facts from which an item's status is derived. */
export interface StatusFacts {
  readonly item: ProtectedItem;
  readonly progress: Progress;
  readonly heartbeat: HeartbeatRecord | undefined;
  /** The record of heartbeats exists but is unreadable. */
  readonly heartbeatDamaged?: boolean;
  readonly lastPoint: LastPoint | undefined;
  readonly nowMs: number;
}

/** The closed set of states; Site Recovery's terms for them are in one table of status.ts. */
export type ProtectionStage = "enabling" | "initial-replication" | "resynchronizing" | "protected";
