import type { HttpFunctionOptions } from "@azure/functions";
import { requestTokenRotation } from "../replication/service/rotation.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import { itemPath } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** The mobility service exchanges its token with its next heartbeats; nothing has to be done on the VM. */
export const rotateToken = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/rotateToken",
  handler: httpHandler(async (request) => {
    const itemId = itemOf(request);
    await requestTokenRotation(application(), itemId);
    return { status: 202, headers: { location: itemPath(itemId) }, body: { name: itemId } };
  }),
});
