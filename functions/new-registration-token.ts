import type { HttpFunctionOptions } from "@azure/functions";
import { newRegistrationToken as mintToken } from "../replication/items/protect.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import type { ApplicationSource } from "./wiring.ts";

/** A new one-time token; the service's present token works until this one is used. */
export const newRegistrationToken = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/registrationToken",
  handler: httpHandler(async (request) => {
    const [app, itemId] = [application(), itemOf(request)];
    const registrationToken = await app.tickets.issue(itemId, await mintToken(app, itemId));
    return { status: 201, body: { registrationToken } };
  }),
});
