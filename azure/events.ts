import type { EventGridPublisherClient } from "@azure/eventgrid";
import { LeewardError } from "../replication/errors.ts";
import type { LeewardEvent } from "../replication/events/event.ts";
import type { EventPublisher } from "../replication/events/publisher.ts";
import { EVENTS_PAUSE_MS, EVENTS_SEND_MS } from "../replication/limits.ts";
import type { Clock } from "../replication/ports.ts";
import { defaultCredential } from "./credential.ts";
import { isCredentialFailure } from "./errors.ts";

/** An Event Grid topic that takes the Event Grid schema. */
export interface TopicAddress {
  /** For example `https://name.region-1.eventgrid.azure.net/api/events`. Without https only with a key. */
  readonly endpoint: string;
  /** Undefined: the app's identity, which needs the role EventGrid Data Sender. */
  readonly key: string | undefined;
}

/** Publishes to one topic. The client is loaded with the first event, so that the app's start does not pay for it. */
export function openEventPublisher(address: TopicAddress, clock: Clock): EventPublisher {
  let made: Promise<EventGridPublisherClient<"EventGrid">> | undefined;
  let failed: { readonly error: LeewardError; readonly untilMs: number } | undefined;
  return {
    publish: async (events) => {
      if (failed !== undefined && clock.now() < failed.untilMs) throw stillAway(failed.error);
      made ??= connect(address);
      const client = await made;
      try {
        await client.send(events.map(topicEvent), { abortSignal: AbortSignal.timeout(EVENTS_SEND_MS) });
        failed = undefined;
      } catch (error) {
        failed = { error: topicError(error), untilMs: clock.now() + EVENTS_PAUSE_MS };
        throw failed.error;
      }
    },
  };
}

async function connect({ endpoint, key }: TopicAddress): Promise<EventGridPublisherClient<"EventGrid">> {
  const { AzureKeyCredential, EventGridPublisherClient: Client } = await import("@azure/eventgrid");
  return new Client(endpoint, "EventGrid", key === undefined ? defaultCredential() : new AzureKeyCredential(key), {
    // A redirect would take the key elsewhere; the caller retries by itself.
    redirectOptions: { maxRetries: 0 },
    retryOptions: { maxRetries: 1, retryDelayInMs: 200 },
    allowInsecureConnection: key !== undefined,
  });
}

function topicEvent({ id, eventType, subject, eventTimeMs, dataVersion, data, times }: LeewardEvent) {
  const shown = Object.entries(times).map(([field, timeMs]) => [
    field,
    timeMs === undefined ? undefined : new Date(timeMs).toISOString(),
  ]);
  return {
    id,
    eventType,
    subject,
    eventTime: new Date(eventTimeMs),
    dataVersion,
    data: { ...data, ...Object.fromEntries(shown) },
  };
}

/** The first failure was reported with its cause; `repeated` lets the log report it only once. */
function stillAway({ code, message, facts }: LeewardError): LeewardError {
  return new LeewardError(code, message, { ...facts, repeated: true });
}

/** Facts carry only the status: the client's own errors hold the request with its key. */
function topicError(error: unknown): LeewardError {
  const status =
    error instanceof Error && "statusCode" in error && typeof error.statusCode === "number"
      ? error.statusCode
      : undefined;
  const text = (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
  if (isCredentialFailure(error))
    return new LeewardError("events-refused", `No token for the Event Grid topic: ${text}`, { status });
  const passing = status === undefined || status === 408 || status === 429 || status >= 500;
  return passing
    ? new LeewardError("events-unavailable", `The Event Grid topic did not take the events: ${text}`, { status })
    : new LeewardError("events-refused", `The Event Grid topic refused the events: ${text}`, { status });
}
