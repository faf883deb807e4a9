import { intend, markCreated } from "../../replication/failover/ledger.ts";
import { changeLedger } from "../../replication/failover/ledger-record.ts";
import { LeewardError } from "../../replication/errors.ts";
import { AZURE_BUSY_MS } from "../../replication/limits.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import type { Begun } from "../../replication/ports-resource-manager.ts";
import { judgeStep } from "../../replication/resources/judge-step.ts";
import { type ResourceStep, type Walk, protectionWalk } from "../../replication/resources/walk.ts";
import type { FlowRun } from "../steps.ts";
import { type FlowContext, azureError, managementOf } from "./context.ts";
import { restoredWalk } from "./restore.ts";

/** `protection`: what items share. `failover`: the machine, on the disks that this job restored. */
export type WalkName = "protection" | "failover";

export interface StepPlace {
  readonly walk: WalkName;
  readonly stage: number;
  readonly step: number;
}

/** How a change stands after one request. */
export type StepAnswer =
  | { readonly kind: "done" }
  | { readonly kind: "look"; readonly operation: string; readonly delayMs: number }
  /** Begin again then. `failed`: Azure failed it for a reason that can pass; otherwise somebody holds the resource. */
  | { readonly kind: "again"; readonly delayMs: number; readonly failed: string | undefined };

/** The stages, by the number of their steps. */
export async function describeWalk(context: FlowContext, run: FlowRun, { walk }: { readonly walk: WalkName }): Promise<readonly number[]> {
  return (await walkOf(context, run, walk)).map(({ length }) => length);
}

/** Reads, judges, writes the ledger, begins. */
export async function beginStep(context: FlowContext, run: FlowRun, place: StepPlace): Promise<StepAnswer> {
  const { resourceManager } = managementOf(context);
  const step = await stepOf(context, run, place);
  const judgement = judgeStep(step, await resourceManager.read(step.id), run);
  switch (judgement.kind) {
    case "refused":
      throw new LeewardError(judgement.code, judgement.message, { id: step.id });
    case "changing":
      return { kind: "again", delayMs: AZURE_BUSY_MS, failed: undefined };
    case "present":
      if (judgement.ours) await seen(context, run, step);
      return { kind: "done" };
    case "create":
      await changeLedger(context.stores, run.itemId, (ledger) => intend(ledger, [step], run.jobId));
      return answerOf(context, run, step, await resourceManager.begin({ kind: "put", id: step.id, body: judgement.body }));
  }
}

/** Looks at what was begun. */
export async function lookStep(
  context: FlowContext,
  run: FlowRun,
  { place, operation }: { readonly place: StepPlace; readonly operation: string },
): Promise<StepAnswer> {
  const step = await stepOf(context, run, place);
  return answerOf(context, run, step, await managementOf(context).resourceManager.look(operation));
}

async function answerOf(context: FlowContext, run: FlowRun, step: ResourceStep, begun: Begun): Promise<StepAnswer> {
  if (begun.kind === "done") await seen(context, run, step);
  return stepAnswer(begun);
}

/** Errors: what Azure failed for good. */
export function stepAnswer(begun: Begun): StepAnswer {
  switch (begun.kind) {
    case "done":
      return { kind: "done" };
    case "running":
      return { kind: "look", operation: begun.operation, delayMs: begun.retryAfterMs };
    case "busy":
      return { kind: "again", delayMs: begun.retryAfterMs, failed: undefined };
    case "failed":
      if (!begun.retryable) throw azureError(begun);
      return { kind: "again", delayMs: AZURE_BUSY_MS, failed: azureError(begun).message };
  }
}

async function seen({ stores }: FlowContext, { itemId, jobId }: FlowRun, step: ResourceStep): Promise<void> {
  await changeLedger(stores, itemId, (ledger) => markCreated(intend(ledger, [step], jobId), step.id));
}

async function stepOf(context: FlowContext, run: FlowRun, { walk, stage, step }: StepPlace): Promise<ResourceStep> {
  const found = (await walkOf(context, run, walk))[stage]?.[step];
  if (found === undefined) throw new LeewardError("internal", "The walk has no such step.", { walk, stage, step });
  return found;
}

/** The same plan gives the same walk, whoever asks. */
async function walkOf(context: FlowContext, run: FlowRun, walk: WalkName): Promise<Walk> {
  const plan = await planOf(context, run);
  return walk === "protection" ? protectionWalk(plan, run) : restoredWalk(context, run, plan);
}

export async function planOf({ stores }: FlowContext, { itemId }: FlowRun): Promise<TargetPlan> {
  const { plan } = await readManaged(stores, itemId);
  if (plan === undefined) throw new LeewardError("internal", "The item has no plan.", { itemId });
  return plan;
}
