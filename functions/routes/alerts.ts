import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import { LeewardError } from "../../replication/errors.ts";
import { ALERT_MESSAGE_MAX_BYTES } from "../../replication/limits.ts";
import { alertOf } from "../serving/alert-message.ts";
import { serve } from "../serving/http-edge.ts";
import type { ApplicationSource } from "../wiring.ts";

/** Answers at once: an action group that gets no 2xx tries five times and then skips the endpoint for 15 minutes. */
export const receiveAlert = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.receiveAlert, application, async ({ body }) => {
    const alert = alertOf(await body());
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
  });
