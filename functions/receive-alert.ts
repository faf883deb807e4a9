import type { HttpFunctionOptions } from "@azure/functions";
import { ALERT_BODY_MAX_BYTES } from "../replication/limits.ts";
import { alertPayload } from "./alert-message.ts";
import { bodyOf, httpHandler } from "./http-edge.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * Takes an alert of an action group and answers at once: one that does not get its 2xx tries five times and then leaves the endpoint alone for 15 minutes.
 * What comes of it is decided by message.
 */
export const receiveAlert = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "alerts",
  handler: httpHandler(async (request) => {
    const alert = await bodyOf(request, alertPayload, ALERT_BODY_MAX_BYTES);
    await application().queue.send({ kind: "alert", alert }, 0);
    return { status: 202, body: { alertId: alert.alertId } };
  }),
});
