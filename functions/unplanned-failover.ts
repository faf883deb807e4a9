import type { HttpFunctionOptions } from "@azure/functions";
import { flowClient } from "../orchestrations/durable.ts";
import { pointRequest } from "../replication/points/choose-point.ts";
import { bodyOf, httpHandler, itemOf, requestIdOf } from "./http-edge.ts";
import { operationReply } from "./operation-reply.ts";
import { failoverBody } from "./request-shapes.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * Fails over to a recovery point; `sourceSiteOperations: "Required"` shuts the source down first, if that is possible.
 */
export const unplannedFailover = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/unplannedFailover",
  extraInputs: [flowClient],
  handler: httpHandler(async (request, context) => {
    const { recoveryPointId, recoveryPointType, sourceSiteOperations } = await bodyOf(request, failoverBody);
    return operationReply(application(), context, {
      operation: "UnplannedFailover",
      itemId: itemOf(request),
      requestId: requestIdOf(request),
      point: recoveryPointType === undefined ? pointRequest(recoveryPointId) : { kind: recoveryPointType },
      shutDownSource: sourceSiteOperations === "Required",
    });
  }),
});
