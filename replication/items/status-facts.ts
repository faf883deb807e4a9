import type { HeartbeatRecord, LastPoint, Progress, ProtectedItem } from "../records/item.ts";

/** All that the status of an item is derived from. */
export interface StatusFacts {
  readonly item: ProtectedItem;
  readonly progress: Progress;
  readonly heartbeat: HeartbeatRecord | undefined;
  /** There is a record of heartbeats, and it cannot be read. */
  readonly heartbeatDamaged?: boolean;
  readonly lastPoint: LastPoint | undefined;
  readonly nowMs: number;
}

/** The closed set of states; Site Recovery's words for them stand in one table of status.ts. */
export type ProtectionStage = "enabling" | "initial-replication" | "resynchronizing" | "protected";
