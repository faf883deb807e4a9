import type { HttpFunctionOptions } from "@azure/functions";
import { flowClient } from "../orchestrations/durable.ts";
import { httpHandler, itemOf, requestIdOf } from "./http-edge.ts";
import { operationReply } from "./operation-reply.ts";
import type { ApplicationSource } from "./wiring.ts";

/** Commits a failover: its recovery points go, and the machine in the target region is the operator's. */
export const failoverCommit = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/failoverCommit",
  extraInputs: [flowClient],
  handler: httpHandler(async (request, context) =>
    operationReply(application(), context, {
      operation: "Commit",
      itemId: itemOf(request),
      requestId: requestIdOf(request),
    }),
  ),
});
