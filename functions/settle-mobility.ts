import type { HttpFunctionOptions } from "@azure/functions";
import { settleEpoch } from "../replication/items/settle.ts";
import { bearerOf, bodyOf, httpHandler, itemOf } from "./http-edge.ts";
import { settleBody } from "./request-shapes.ts";
import type { ApplicationSource } from "./wiring.ts";

/** The cache said 'exists' to a mobility service: is it the service's own delta that stands there? */
export const settleMobility = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "anonymous",
  route: "mobility/{item}/settle",
  handler: httpHandler(async (request) => {
    const [itemId, token] = [itemOf(request), bearerOf(request)];
    return { status: 200, body: await settleEpoch(application(), itemId, token, await bodyOf(request, settleBody)) };
  }),
});
