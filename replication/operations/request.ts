import { LeewardError } from "../errors.ts";
import { readPolicy } from "../items/policy-records.ts";
import { changeJob, ensureJob, findJob, forgetOldJobs } from "../jobs/job-record.ts";
import { type JobRecord, failJob, isEnded, newJob, remadeJob, requireSameRequest } from "../jobs/job.ts";
import {
  type FailoverRequest,
  type ManagedItem,
  changeManaged,
  ensureManaged,
  findManaged,
  readManaged,
  removeDamagedManaged,
} from "../jobs/managed-item.ts";
import { nothing, unlessDamaged } from "../records/damaged.ts";
import { findReadableItem } from "../records/item-record.ts";
import { requireItemId } from "../records/request-rules.ts";
import { changeLedger, hasLedger } from "../resources/ledger-record.ts";
import { handOver } from "../resources/ledger.ts";
import { UNPROTECTED, decideOperation, refusalError } from "../states/decide.ts";
import { offeredOperations } from "../states/offered.ts";
import type { Flow, Operation } from "../states/states.ts";
import { type FlowContext, managementOf } from "./context.ts";
import { FLOW_VERSION, type FlowRun, versionOf } from "./flow-run.ts";
import { errorOf, mendJob, reportOutcome } from "./job-outcome.ts";
import { publishJob, publishState } from "./publish.ts";
import { situationNow, situationToRepair } from "./situation.ts";

/** An operator's request. `requestId` makes it repeatable. */
export type OperationRequest = { readonly itemId: string; readonly requestId: string | undefined } & (
  | ({ readonly operation: "EnableProtection" } & EnableRequest)
  | { readonly operation: "DisableProtection" | "Commit" }
  | ({ readonly operation: "UnplannedFailover"; readonly alertId?: string | undefined } & FailoverRequest)
);

type EnableRequest = Pick<ManagedItem, "sourceVmId" | "options" | "policy" | "policyName">;

/** Starts a flow; idempotent. */
export type StartFlow = (run: FlowRun) => Promise<void>;

/** The flow host, as those who request flows see it. */
export interface FlowHost {
  readonly start: StartFlow;
  /** The state of a job's run; undefined when it was never started. */
  readonly stateOf: (jobId: string) => Promise<"open" | "ended" | undefined>;
}

const FLOW_OF: Readonly<Record<OperationRequest["operation"], Flow>> = {
  EnableProtection: "enable-protection",
  DisableProtection: "disable-protection",
  UnplannedFailover: "unplanned-failover",
  Commit: "commit-failover",
};

/**
 * Decides on a request and starts its flow (docs/architecture.md, "The rules of the flows"): job record, situation,
 * start. Repeating the request gives the same job. Errors: `operation-not-allowed`, `item-unknown`, `item-exists`,
 * `invalid-request`, `conflict`, `configuration-invalid`.
 */
export async function requestOperation(
  context: FlowContext,
  asked: OperationRequest,
  start: StartFlow,
): Promise<JobRecord> {
  managementOf(context);
  const { itemId, requestId, ...request } = asked;
  const { stores, clock } = context;
  const alertId = asked.operation === "UnplannedFailover" ? asked.alertId : undefined;
  const jobRequest = {
    itemId,
    flow: FLOW_OF[asked.operation],
    flowVersion: FLOW_VERSION,
    operationId: requestId ?? context.ids.next(),
    request,
    alertId,
  };
  // Made first: an invalid operation id leaves nothing behind.
  const first = newJob(jobRequest, clock.now());
  await prepareManaged(context, asked);
  const job = await ensureJob(stores, first);
  requireSameRequest(job, jobRequest);
  if (isEnded(job)) return job;
  const running = (await readManaged(stores, itemId)).situation.job;
  await forgetOldJobs(stores, itemId, running?.jobId);
  // A caller that waited for the end of a job may ask at once, before its flow has updated the item.
  if (running !== undefined && running.jobId !== job.jobId) await reportOutcome(context, itemId, running.jobId);
  const before = await readManaged(stores, itemId);
  const situation = await situationNow(context, before);
  try {
    await changeManaged(stores, itemId, (found) => {
      // What replication reported of another state says nothing about this one.
      const isSame = found.situation.state === before.situation.state && found.situation.job === undefined;
      return startedItem(isSame ? { ...found, situation } : found, found, asked, job.jobId);
    });
  } catch (error) {
    if (error instanceof LeewardError && !error.retryable)
      await changeJob(stores, itemId, job.jobId, (record) => failJob(record, errorOf(error), clock.now()));
    throw error;
  }
  // A job that an older app made and never started keeps its version.
  await start({ version: versionOf(job), itemId, jobId: job.jobId, flow: job.flow });
  return (await findJob(stores, itemId, job.jobId)) ?? job;
}

/** An item that is managed already, or one that is not protected by its disks. */
async function prepareManaged(context: FlowContext, asked: OperationRequest): Promise<void> {
  const { stores } = context;
  const { itemId } = asked;
  if (asked.operation !== "EnableProtection") {
    await readManaged(stores, itemId);
    return;
  }
  requireItemId(itemId);
  if (asked.policyName !== undefined) await readPolicy(context, asked.policyName);
  await takeDamagedAway(context, itemId);
  if ((await findManaged(stores, itemId)) !== undefined) return;
  if ((await findReadableItem(stores, itemId)) !== undefined && !(await hasLedger(stores, itemId))) {
    throw new LeewardError(
      "item-exists",
      `The item "${itemId}" was protected by its disks, not as a virtual machine.`,
      { itemId },
    );
  }
  const { sourceVmId, options, policy, policyName } = asked;
  await ensureManaged(stores, {
    version: 1,
    itemId,
    situation: UNPROTECTED,
    running: undefined,
    sourceVmId,
    options,
    policy,
    policyName,
    plan: undefined,
  });
}

/**
 * Protecting the VM again rebuilds a damaged `managed.json`. It is unknown whether its machine has moved, so what a
 * failover made is first handed to the operator: nothing that may be in use is ever removed. The same when an operator
 * has removed the record. Errors: `record-corrupt` when the ledger is damaged too.
 */
async function takeDamagedAway({ stores, clock }: FlowContext, itemId: string): Promise<void> {
  const isManaged = await unlessDamaged(() => findManaged(stores, itemId), nothing);
  if (isManaged !== undefined || !(await hasLedger(stores, itemId))) return;
  await changeLedger(stores, itemId, (ledger) => handOver(ledger, clock.now()));
  await removeDamagedManaged(stores, itemId);
}

function startedItem(now: ManagedItem, found: ManagedItem, asked: OperationRequest, jobId: string): ManagedItem {
  const decision = decideOperation(now.situation, asked.operation satisfies Operation, jobId);
  switch (decision.kind) {
    case "refused":
      throw refusalError(found.itemId, now.situation.state, asked.operation, {
        ...decision,
        allowedOperations: offeredOperations(now.situation.state),
      });
    case "repeated":
      return found;
    case "started": {
      const enable =
        asked.operation === "EnableProtection"
          ? { sourceVmId: asked.sourceVmId, options: asked.options, policy: asked.policy, policyName: asked.policyName }
          : {};
      const failover =
        asked.operation === "UnplannedFailover"
          ? { point: asked.point, shutDownSource: asked.shutDownSource }
          : undefined;
      const running = { jobId, flow: decision.flow, endsJobId: decision.endsJobId, failover, from: now.situation };
      return { ...now, ...enable, situation: decision.situation, running };
    }
  }
}

/**
 * Reconciles an item for the sweep: stores what replication reports, starts the flow that a crash left unstarted,
 * reports an outcome that a crash left unreported, and ends the job of a flow that ended without an outcome.
 */
export async function reconcileFlow(context: FlowContext, itemId: string, flows: FlowHost): Promise<void> {
  const { stores, clock } = context;
  const managed = await findManaged(stores, itemId);
  if (managed === undefined) return;
  const situation = await situationNow(context, managed);
  if (situation !== managed.situation) {
    // After a crash before it is stored, it is published again under the same id.
    const reports = (managed.reports ?? 0) + 1;
    await publishState(context, itemId, managed.situation, situation, `report ${reports}`);
    await changeManaged(stores, itemId, (found) =>
      found.situation.state === managed.situation.state && found.situation.job === undefined
        ? { ...found, situation, reports }
        : found,
    );
  }
  const { job } = managed.situation;
  if (job === undefined || (await reportOutcome(context, itemId, job.jobId))) return;
  const state = await flows.stateOf(job.jobId);
  if (state === undefined) {
    const record = await unlessDamaged(() => findJob(stores, itemId, job.jobId), nothing);
    await flows.start({ version: versionOf(record), itemId, ...job });
  }
  if (state !== "ended" || (await reportOutcome(context, itemId, job.jobId))) return;
  const error = new LeewardError("internal", "The flow ended without an outcome.");
  const failed = await unlessDamaged(
    () => changeJob(stores, itemId, job.jobId, (record) => failJob(record, errorOf(error), clock.now())),
    nothing,
  );
  const ended = failed ?? remadeJob({ itemId, ...job }, "Failed", [error], clock.now());
  await mendJob(stores, ended);
  await publishJob(context, ended);
  await reportOutcome(context, itemId, job.jobId);
}

/** Repairing is not a flow: it is refused where the state forbids it. Errors: `operation-not-allowed`. */
export async function requireRepairable(context: Pick<FlowContext, "stores">, itemId: string): Promise<void> {
  const managed = await findManaged(context.stores, itemId);
  if (managed === undefined) return;
  const { state } = await situationToRepair(context, managed);
  const decision = decideOperation({ ...managed.situation, state }, "RepairReplication", "");
  if (decision.kind === "refused") {
    throw refusalError(itemId, state, "RepairReplication", {
      ...decision,
      allowedOperations: offeredOperations(state),
    });
  }
}
