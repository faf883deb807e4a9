import type { HttpFunctionOptions } from "@azure/functions";
import { registerService } from "../replication/items/register.ts";
import { bodyOf, httpHandler, itemOf } from "./http-edge.ts";
import { registerBody } from "./request-shapes.ts";
import type { ApplicationSource } from "./wiring.ts";

/** A mobility service makes itself known; its one-time token stands in the body, so that no function key is shared with a VM (DESIGN 5). */
export const registerMobility = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "anonymous",
  route: "mobility/{item}/register",
  handler: httpHandler(async (request) => {
    const itemId = itemOf(request);
    return { status: 200, body: await registerService(application(), itemId, await bodyOf(request, registerBody)) };
  }),
});
