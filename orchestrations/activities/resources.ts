import { LeewardError } from "../../replication/errors.ts";
import { AZURE_BUSY_MS } from "../../replication/limits.ts";
import { type FlowContext, azureError, managedOf } from "../../replication/operations/context.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import { isNotShownYet } from "../../replication/resources/azure-lag.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import type { Begun, ResourceJson } from "../../replication/resources/resource-manager.ts";

/** The state of a change after one request. A `delayMs` of 0: Azure named no delay. */
export type StepAnswer =
  | { readonly kind: "done" }
  | { readonly kind: "look"; readonly operation: string; readonly delayMs: number }
  /** Begin again then. `failed`: Azure failed it for a transient reason; otherwise the resource is busy. */
  | { readonly kind: "again"; readonly delayMs: number; readonly failed: string | undefined };

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

/**
 * The same for a change that refers to resources this item's ledger has just made: waits for those that Azure does not
 * know yet. `body`: of a PUT; its id and the ids it names are looked up in the ledger.
 */
export async function answerOfChange(
  { stores, clock }: FlowContext,
  { itemId }: FlowRun,
  { id, body }: { readonly id: string; readonly body?: ResourceJson | undefined },
  begun: Begun,
): Promise<StepAnswer> {
  if (begun.kind !== "failed" || begun.code !== "azure-resource-missing") return stepAnswer(begun);
  const isWaited = isNotShownYet(await readLedger(stores, itemId), id, body, begun.message, clock.now());
  return isWaited ? { kind: "again", delayMs: AZURE_BUSY_MS, failed: undefined } : stepAnswer(begun);
}

export async function planOf(context: FlowContext, { itemId }: FlowRun): Promise<TargetPlan> {
  const { plan } = await managedOf(context, itemId);
  if (plan === undefined) throw new LeewardError("internal", "The item has no plan.", { itemId });
  return plan;
}
