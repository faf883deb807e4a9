import { flowClient } from "../orchestrations/durable.ts";
import type { HttpFunctionOptions } from "@azure/functions";
import { httpHandler, itemOf, requestIdOf } from "./http-edge.ts";
import { operationReply } from "./operation-reply.ts";
import type { ApplicationSource } from "./wiring.ts";

/** Ends protection and removes what Leeward made; a machine that failed over stays. */
export const disableProtection = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["DELETE"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}",
  extraInputs: [flowClient],
  handler: httpHandler(async (request, context) =>
    operationReply(application(), context, {
      operation: "DisableProtection",
      itemId: itemOf(request),
      requestId: requestIdOf(request),
    }),
  ),
});
