import { LeewardError } from "../../replication/errors.ts";
import { AZURE_BUSY_MS } from "../../replication/limits.ts";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import type { Begun } from "../../replication/ports-resource-manager.ts";
import type { FlowRun } from "../flow-run.ts";
import { type FlowContext, azureError, managedOf } from "./context.ts";

/** How a change stands after one request. A `delayMs` of 0: nobody named a time. */
export type StepAnswer =
  | { readonly kind: "done" }
  | { readonly kind: "look"; readonly operation: string; readonly delayMs: number }
  /** Begin again then. `failed`: Azure failed it for a reason that can pass; otherwise somebody holds the resource. */
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

export async function planOf(context: FlowContext, { itemId }: FlowRun): Promise<TargetPlan> {
  const { plan } = await managedOf(context, itemId);
  if (plan === undefined) throw new LeewardError("internal", "The item has no plan.", { itemId });
  return plan;
}
