import type { LeewardError } from "../errors.ts";
import type { ItemContext } from "../points/context.ts";
import { type DiskDescription, type Position, samePosition } from "../position.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { readItem } from "../records/item-record.ts";
import type {
  HeartbeatRecord,
  LastPoint,
  Progress,
  ProtectedItem,
  RepairRequest,
  ReplicationPolicy,
  Resynchronization,
  ServiceSession,
  StopReason,
} from "../records/item.ts";
import { emptyProgress } from "../records/progress.ts";
import { type AppPointStatus, appPointStatus } from "../service/app-point.ts";
import { isHeartbeatDamaged, readHeartbeat, requireProgress } from "../service/heartbeat.ts";
import { speaksOf } from "../service/repair-report.ts";
import { type HealthError, type ReplicationHealth, coveredUntilMs, healthErrors, healthOf } from "./health.ts";
import type { ProtectionStage, StatusFacts } from "./status-facts.ts";

/**
 * One protected item as the API shows it, in Site Recovery's terms. Times are Unix milliseconds of the target's clock
 * unless stated otherwise.
 */
export interface ItemStatus {
  readonly itemId: string;
  readonly stream: number;
  readonly stage: ProtectionStage;
  readonly protectionState: string;
  readonly protectionStateDescription: string;
  readonly replicationHealth: ReplicationHealth;
  readonly healthErrors: readonly HealthError[];
  /**
   * Age of the newest source state that the target region holds completely; undefined before initial replication is
   * done.
   */
  readonly rpoInSeconds: number | undefined;
  readonly lastHeartbeatMs: number | undefined;
  /** What the mobility service has confirmed as uploaded. */
  readonly uploaded: Position | undefined;
  readonly applied: Position;
  readonly backlog: Backlog;
  /** 0 to 100; 100 only when the target is a full image. */
  readonly initialReplicationPercentage: number;
  readonly disks: readonly DiskStatus[];
  readonly policy: ReplicationPolicy;
  /** The stored policy that the item follows. */
  readonly policyName: string | undefined;
  readonly lastRecoveryPoint: LastPoint | undefined;
  /** The last requested app-consistent point. */
  readonly appConsistentPoint: AppPointStatus | undefined;
  /** Site Recovery's flag: the source has content that the log of writes no longer delivers. */
  readonly resyncRequired: boolean;
  readonly resynchronization: Resynchronization | undefined;
  /** The last repair requested by an operator. */
  readonly repair: RepairRequest | undefined;
  /** The service that reports for the source. */
  readonly session: ServiceSession | undefined;
  readonly stopped: StopReason | undefined;
  readonly createdMs: number;
}

interface Backlog {
  /** Uploaded and not yet applied. */
  readonly epochs: number;
  /** Captured and not yet uploaded, as reported by the mobility service. */
  readonly pendingAtSourceBytes: number;
}

interface DiskStatus extends DiskDescription {
  readonly diskState: string;
}

/** Named as in Site Recovery's health errors of a replicated item. */
const WORDS: Readonly<
  Record<ProtectionStage, { readonly state: string; readonly description: string; readonly diskState: string }>
> = {
  enabling: {
    state: "UnprotectedStatesBegin",
    description: "Waiting for the mobility service to register",
    diskState: "InitialReplicationPending",
  },
  "initial-replication": {
    state: "InitialReplicationInProgress",
    description: "Initial replication is in progress",
    diskState: "InitialReplicationPending",
  },
  resynchronizing: {
    state: "Protected",
    description: "Resynchronization is in progress",
    diskState: "ResynchronizationInProgress",
  },
  protected: { state: "Protected", description: "Protected", diskState: "Protected" },
};

/** The status of an item; a pure function of its records and the clock. */
export function itemStatus(facts: StatusFacts): ItemStatus {
  const { item, progress, heartbeat, lastPoint, nowMs } = facts;
  const stage = stageOf(facts);
  const words = WORDS[stage];
  const errors = healthErrors(facts, stage);
  const coveredMs = progress.seeding ? undefined : coveredUntilMs(progress, heartbeat, nowMs);
  return {
    itemId: item.itemId,
    stream: item.stream,
    stage,
    protectionState: words.state,
    protectionStateDescription: words.description,
    replicationHealth: healthOf(stage, errors),
    healthErrors: errors,
    rpoInSeconds: coveredMs === undefined ? undefined : Math.max(0, Math.round((nowMs - coveredMs) / 1000)),
    lastHeartbeatMs: heartbeat?.receivedMs,
    uploaded: heartbeat?.uploaded,
    applied: progress.applied,
    backlog: backlogOf(progress, heartbeat),
    initialReplicationPercentage: seedingPercentage(
      progress,
      heartbeat && speaksOf(heartbeat, item) ? heartbeat : undefined,
    ),
    disks: item.disks.map((disk) => ({ ...disk, diskState: words.diskState })),
    policy: item.policy,
    policyName: item.policyName,
    lastRecoveryPoint: lastPoint,
    appConsistentPoint: appPointStatus(item, heartbeat?.appPoint),
    resyncRequired: heartbeat?.resynchronization?.state === "required",
    resynchronization: heartbeat?.resynchronization,
    repair: item.repair,
    session: heartbeat?.session,
    stopped: progress.stopped,
    createdMs: item.createdMs,
  };
}

/** Errors: `item-unknown`, `record-corrupt`. */
export async function readItemStatus(context: ItemContext, itemId: string): Promise<ItemStatus> {
  const { item } = await readItem(context.stores, itemId);
  return statusOf(context, item);
}

async function statusOf({ stores, clock }: ItemContext, item: ProtectedItem): Promise<ItemStatus> {
  const nowMs = clock.now();
  const heartbeat = await readHeartbeat(stores, item.itemId);
  const progress = await unlessDamaged(
    () => requireProgress(stores, item.itemId),
    (damage) => unreadableProgress(item, damage, nowMs),
  );
  const heartbeatDamaged = heartbeat === undefined && (await isHeartbeatDamaged(stores, item.itemId));
  return itemStatus({ item, progress, heartbeat, heartbeatDamaged, lastPoint: progress.lastPoint, nowMs });
}

/**
 * An item with unreadable progress stops, and says why. Between the two records of its enabling it waits for the second
 * one.
 */
function unreadableProgress(item: ProtectedItem, { code, message, facts }: LeewardError, nowMs: number): Progress {
  const unknown: Position = { stream: item.stream, epoch: 0, checksum: "0".repeat(64) };
  const hint =
    "Bring the record back from the account's soft delete, or ask for repairReplication. Recovery points stay usable.";
  const stopped = item.machineId === undefined ? undefined : { code, message, hint, facts, atMs: nowMs };
  return { ...emptyProgress(unknown), seeding: stopped === undefined, stopped };
}

function stageOf({ item, progress, heartbeat, lastPoint }: StatusFacts): ProtectionStage {
  const repairing = item.repair !== undefined && item.repair.state !== "done";
  if (!progress.seeding)
    return repairing || heartbeat?.resynchronization?.state === "running" ? "resynchronizing" : "protected";
  if (lastPoint !== undefined) return "resynchronizing";
  // A service whose token is about to be exchanged has reported before.
  const known = item.tokenHash !== undefined || heartbeat !== undefined || progress.applied.epoch > 0;
  return known ? "initial-replication" : "enabling";
}

function backlogOf(progress: Progress, heartbeat: HeartbeatRecord | undefined): Backlog {
  if (heartbeat === undefined) return { epochs: 0, pendingAtSourceBytes: 0 };
  const { uploaded, pendingBytes } = heartbeat;
  const behind = uploaded.stream === progress.stream && !samePosition(uploaded, progress.applied);
  return {
    epochs: behind ? Math.max(0, uploaded.epoch - progress.applied.epoch) : 0,
    pendingAtSourceBytes: pendingBytes,
  };
}

function seedingPercentage(progress: Progress, heartbeat: HeartbeatRecord | undefined): number {
  if (!progress.seeding) return 100;
  if (heartbeat === undefined) return 0;
  // The source has been read to its end, but the last seeding deltas are not applied yet.
  if (heartbeat.seeding === undefined || heartbeat.seeding.totalBytes === 0) return 99;
  return Math.min(99, Math.floor((heartbeat.seeding.doneBytes * 100) / heartbeat.seeding.totalBytes));
}
