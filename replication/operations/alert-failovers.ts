import type { FailoverStarter } from "../alerts/handle-alert.ts";
import { findManaged } from "../jobs/managed-item.ts";
import { offeredOperations } from "../states/offered.ts";
import type { FlowContext } from "./context.ts";
import { type StartFlow, requestOperation } from "./request.ts";
import { situationNow } from "./situation.ts";

/** Failovers started by alerts: the same way as an operator's, under the alert's operation id. */
export function alertFailovers(context: FlowContext, start: StartFlow): FailoverStarter {
  return {
    isFailoverAllowed: async (itemId) => {
      const managed = context.management === undefined ? undefined : await findManaged(context.stores, itemId);
      if (managed === undefined) return false;
      return offeredOperations((await situationNow(context, managed)).state).includes("UnplannedFailover");
    },
    startFailover: async (itemId, request, operationId) => {
      await requestOperation(context, { ...request, itemId, requestId: operationId }, start);
    },
  };
}
