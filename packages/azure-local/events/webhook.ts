import { randomUUID } from "node:crypto";
import { LocalError } from "../errors.ts";
import { EVENT_DELIVERY_TIMEOUT_MS } from "../limits.ts";
import type { TopicEvent } from "./topic-request.ts";

/**
 * The handshake before the first delivery: the endpoint answers 200 with the code it was sent, so that events cannot be
 * aimed at servers that do not want them. Errors: `configuration-invalid`. Manual validation (validationUrl) is not
 * offered.
 */
export async function validateWebhook(url: string, topic: string): Promise<void> {
  const validationCode = randomUUID();
  const event: TopicEvent = {
    id: randomUUID(),
    topic,
    subject: "",
    data: { validationCode },
    eventType: "Microsoft.EventGrid.SubscriptionValidationEvent",
    eventTime: new Date().toISOString(),
    metadataVersion: "1",
    dataVersion: "2",
  };
  let found: string;
  try {
    const answer = await post(url, event, "SubscriptionValidation");
    const body: unknown = answer.status === 200 ? await answer.json() : undefined;
    if (
      typeof body === "object" &&
      body !== null &&
      "validationResponse" in body &&
      body.validationResponse === validationCode
    )
      return;
    found = answer.status === 200 ? "an answer without the right validationResponse" : `status ${answer.status}`;
  } catch (error) {
    found = error instanceof Error ? error.message : String(error);
  }
  throw new LocalError(
    "configuration-invalid",
    `Webhook validation handshake failed for ${url}: ${found}.`,
    { url },
    {
      hint: "Start the receiver first. It has to answer the event Microsoft.EventGrid.SubscriptionValidationEvent with 200 and { validationResponse: <data.validationCode> }.",
    },
  );
}

/**
 * Delivers one event; throws the endpoint's failure unless it answered 200 to 204. `isFinal`: Azure does not retry
 * after it.
 */
export async function deliverToWebhook(url: string, event: TopicEvent): Promise<void> {
  const answer = await post(url, event, "Notification");
  await answer.body?.cancel();
  if (answer.status < 200 || answer.status > 204) throw new WebhookRefusal(answer.status);
}

export class WebhookRefusal extends Error {
  readonly isFinal: boolean;

  constructor(status: number) {
    super(`The webhook answered ${status}.`);
    this.isFinal = status === 400 || status === 413;
  }
}

function post(url: string, event: TopicEvent, kind: string): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json; charset=utf-8",
      "aeg-event-type": kind,
      "aeg-data-version": event.dataVersion,
    },
    body: JSON.stringify([event]),
    redirect: "manual",
    signal: AbortSignal.timeout(EVENT_DELIVERY_TIMEOUT_MS),
  });
}
