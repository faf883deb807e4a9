import type { CONTRACT } from "../../api/contract.ts";
import type { Told } from "../../api/operation.ts";
import type { protectedItem, repair as shownRepair } from "../../api/protected-items.ts";
import type { LeewardError } from "../../replication/errors.ts";
import type { HealthError } from "../../replication/items/health.ts";
import type { ItemStatus } from "../../replication/items/status.ts";
import type { ManagedItem } from "../../replication/jobs/managed-item.ts";
import type { ItemOverview } from "../../replication/operations/overview.ts";
import type { Position } from "../../replication/position.ts";
import type { ProtectedItem, RepairRequest, ServiceSession } from "../../replication/records/item.ts";
import { policyInMinutes } from "../../replication/records/policy.ts";
import type { AppPointStatus } from "../../replication/service/app-point.ts";
import type { Situation } from "../../replication/states/decide.ts";
import { offeredOperations } from "../../replication/states/offered.ts";
import { stateWords } from "../../replication/states/words.ts";
import { optionalTimeView, timeView } from "./time-view.ts";

type ItemView = Told<typeof protectedItem>;

/** The answer to enabling replication. */
export function protectedView(item: ProtectedItem): Told<(typeof CONTRACT.protectItem.answers)[200]["body"]> {
  const { itemId, stream, disks, policy, policyName, createdMs } = item;
  return { name: itemId, stream, disks, policyName, policy: policyInMinutes(policy), created: timeView(createdMs) };
}

/** One item, in a list or alone. The state given by the flows takes precedence. */
export function overviewView({ itemId, status, managed, damaged }: ItemOverview): ItemView {
  return {
    name: itemId,
    ...(status === undefined ? {} : itemView(status)),
    ...(managed === undefined ? {} : managedView(managed.item, managed.situation)),
    ...(damaged === undefined ? {} : damagedView(damaged, status)),
  };
}

/** A record of the item is unreadable: shown as the worst health, beside any other faults. */
function damagedView({ code, message, hint }: LeewardError, status: ItemStatus | undefined): Partial<ItemView> {
  const error: HealthError = { code, level: "Critical", message, hint };
  return { replicationHealth: "Critical", healthErrors: [error, ...(status?.healthErrors ?? [])] };
}

function itemView(status: ItemStatus): ItemView {
  const { itemId, lastHeartbeatMs, policy, lastRecoveryPoint, stopped, createdMs, uploaded, applied, ...others } =
    status;
  const { appConsistentPoint, repair, session, ...shown } = others;
  return {
    name: itemId,
    ...shown,
    uploaded: uploaded === undefined ? undefined : positionView(uploaded),
    applied: positionView(applied),
    lastHeartbeat: optionalTimeView(lastHeartbeatMs),
    policy: policyInMinutes(policy),
    lastRecoveryPoint:
      lastRecoveryPoint === undefined
        ? undefined
        : {
            name: lastRecoveryPoint.pointId,
            recoveryPointTime: timeView(lastRecoveryPoint.targetTimeMs),
            sourceTime: timeView(lastRecoveryPoint.sourceTimeMs),
            stream: lastRecoveryPoint.stream,
            epoch: lastRecoveryPoint.epoch,
          },
    appConsistentPoint: appConsistentPoint === undefined ? undefined : appPointView(appConsistentPoint),
    repair: repair === undefined ? undefined : repairView(repair),
    session: session === undefined ? undefined : sessionView(session),
    stopped: stopped === undefined ? undefined : stopView(stopped),
    created: timeView(createdMs),
  };
}

/** What the flows add to an item, in the terms of its state. */
function managedView({ itemId, sourceVmId, plan }: ManagedItem, situation: Situation): ItemView {
  return {
    name: itemId,
    ...stateWords(situation, false),
    allowedOperations: offeredOperations(situation.state),
    currentJob: situation.job === undefined ? undefined : `${itemId}.${situation.job.jobId}`,
    sourceVmId,
    targetVmId: plan?.machine.id,
    notices: plan?.notices,
  };
}

/** Where the API shows the progress of a request to an item. */
export const itemPath = (itemId: string): string => `/api/replicationProtectedItems/${itemId}`;

/** A repair of the replication, in the terms of long-running operations. */
export function repairView({ id, state, requestedMs, changedMs }: RepairRequest): Told<typeof shownRepair> {
  return { name: id, state: REPAIR_STATES[state], requested: timeView(requestedMs), updated: timeView(changedMs) };
}

const REPAIR_STATES: Readonly<Record<RepairRequest["state"], Told<typeof shownRepair>["state"]>> = {
  requested: "Pending",
  running: "InProgress",
  done: "Succeeded",
};

function appPointView({
  requestId,
  state,
  requestedMs,
  reportedMs,
  reason,
}: AppPointStatus): ItemView["appConsistentPoint"] {
  return { name: requestId, state, requested: timeView(requestedMs), reported: optionalTimeView(reportedMs), reason };
}

/** The machine's id is shown: the operator compares it with the machine's own. */
function sessionView({ machineId, bootId, sinceMs, ended }: ServiceSession): ItemView["session"] {
  return { machineId, bootId, since: timeView(sinceMs), ended };
}

function positionView({ stream, epoch, checksum }: Position): Position {
  return { stream, epoch, checksum };
}

function stopView(stopped: NonNullable<ItemStatus["stopped"]>): ItemView["stopped"] {
  const { atMs, ...reason } = stopped;
  return { ...reason, at: timeView(atMs) };
}
