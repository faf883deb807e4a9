import type { HttpFunctionOptions } from "@azure/functions";
import { LeewardError } from "../replication/errors.ts";
import { ALERT_BODY_MAX_BYTES, ALERT_MESSAGE_MAX_BYTES } from "../replication/limits.ts";
import { alertPayload } from "./alert-message.ts";
import { bodyOf, httpHandler } from "./http-edge.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * Takes an alert of an action group and answers at once: one that does not get its 2xx tries five times and then leaves
 * the endpoint alone for 15 minutes. What comes of it is decided by message.
 */
export const receiveAlert = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "alerts",
  handler: httpHandler(async (request) => {
    const alert = await bodyOf(request, alertPayload, ALERT_BODY_MAX_BYTES);
    const message = { kind: "alert", alert } as const;
    if (Buffer.byteLength(JSON.stringify(message)) > ALERT_MESSAGE_MAX_BYTES) {
      throw new LeewardError(
        "invalid-request",
        `What counts of an alert has at most ${ALERT_MESSAGE_MAX_BYTES} bytes.`,
        {
          maxBytes: ALERT_MESSAGE_MAX_BYTES,
        },
      );
    }
    await application().queue.send(message, 0);
    return { status: 202, body: { alertId: alert.alertId } };
  }),
});
