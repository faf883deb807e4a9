import type { HttpFunctionOptions } from "@azure/functions";
import { settleEpoch } from "../replication/service/settle.ts";
import { settleBody } from "./request-shapes.ts";
import { serviceHandler } from "./service-route.ts";
import type { ApplicationSource } from "./wiring.ts";

/** The cache said 'exists' to a mobility service: is it the service's own delta that stands there? */
export const settleMobility = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "anonymous",
  route: "mobility/{item}/settle",
  handler: serviceHandler(
    application,
    settleBody,
    ({ gates }) => gates.settle,
    ({ app, itemId, token }, body) => settleEpoch(app, itemId, token, body),
  ),
});
