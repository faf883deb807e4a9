import type { HttpFunctionOptions } from "@azure/functions";
import { recordHeartbeat } from "../replication/service/heartbeat.ts";
import { heartbeatBody } from "./request-shapes.ts";
import { serviceHandler } from "./service-route.ts";
import type { ApplicationSource } from "./wiring.ts";

/** The word of a registered mobility service; the answer grants its next uploads. */
export const heartbeatMobility = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "anonymous",
  route: "mobility/{item}/heartbeat",
  handler: serviceHandler(
    application,
    heartbeatBody,
    ({ gates }) => gates.heartbeat,
    ({ app, itemId, token }, body) => recordHeartbeat(app, itemId, token, body),
  ),
});
