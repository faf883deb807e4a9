import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import { flowClient } from "../../orchestrations/durable.ts";
import { pointRequest } from "../../replication/points/choose-point.ts";
import { itemOf, serve } from "../serving/http-edge.ts";
import { operationReply } from "../serving/operation-reply.ts";
import type { ApplicationSource } from "../wiring.ts";

export const unplannedFailover = (application: ApplicationSource): HttpFunctionOptions => ({
  ...serve(CONTRACT.unplannedFailover, application, async ({ params, body, requestId, context }) => {
    const { recoveryPointId, recoveryPointType, sourceSiteOperations } = await body();
    return operationReply(application(), context, {
      operation: "UnplannedFailover",
      itemId: itemOf(params),
      requestId,
      point: recoveryPointType === undefined ? pointRequest(recoveryPointId) : { kind: recoveryPointType },
      shutDownSource: sourceSiteOperations === "Required",
    });
  }),
  extraInputs: [flowClient],
});

export const failoverCommit = (application: ApplicationSource): HttpFunctionOptions => ({
  ...serve(CONTRACT.failoverCommit, application, async ({ params, requestId, context }) =>
    operationReply(application(), context, { operation: "Commit", itemId: itemOf(params), requestId }),
  ),
  extraInputs: [flowClient],
});
