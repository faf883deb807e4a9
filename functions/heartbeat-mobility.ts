import type { HttpFunctionOptions } from "@azure/functions";
import { recordHeartbeat } from "../replication/items/heartbeat.ts";
import { bearerOf, bodyOf, httpHandler, itemOf } from "./http-edge.ts";
import { heartbeatBody } from "./request-shapes.ts";
import type { ApplicationSource } from "./wiring.ts";

/** The word of a registered mobility service; the answer grants its next uploads. */
export const heartbeatMobility = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "anonymous",
  route: "mobility/{item}/heartbeat",
  handler: httpHandler(async (request) => {
    const [itemId, token] = [itemOf(request), bearerOf(request)];
    return { status: 200, body: await recordHeartbeat(application(), itemId, token, await bodyOf(request, heartbeatBody)) };
  }),
});
