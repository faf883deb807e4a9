import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { LocalError } from "../errors.ts";
import { EVENTS_WAITING_MAX, TOPIC_BODY_MAX_BYTES } from "../limits.ts";
import type { LocalStorage } from "../storage/storage.ts";
import { openEventLog, type Waiting } from "./event-log.ts";
import { matches, type EventFilter } from "./event.ts";
import { queueDelivery } from "./queue-delivery.ts";
import { RETRY_POLICY, retryAfterMs, type RetryPolicy } from "./retry.ts";
import { Timetable } from "./timetable.ts";
import { judgeRequest, topicId, type TopicAnswer, type TopicEvent } from "./topic-request.ts";
import { deliverToWebhook, validateWebhook, WebhookRefusal } from "./webhook.ts";

export interface TopicOptions {
  readonly name: string;
  /** Holds waiting events and dead letters. */
  readonly folder: string;
  /** 0: any free port. */
  readonly port: number;
  /** What a publisher sends as `aeg-sas-key`. */
  readonly key: string;
  readonly storage: LocalStorage;
  readonly subscriptions: readonly TopicSubscription[];
  /** Other than Azure's only where a test cannot wait so long. */
  readonly retry?: RetryPolicy;
}

export interface TopicSubscription extends EventFilter {
  /** Unique in its topic. Its waiting events on disk carry this name. */
  readonly name: string;
  /** Undefined: all. */
  readonly includedEventTypes?: readonly string[];
  readonly destination:
    | { readonly kind: "storage-queue"; readonly account: string; readonly queue: string }
    | { readonly kind: "webhook"; readonly url: string };
}

export interface Topic {
  /** Where events are posted. */
  readonly endpoint: string;
  readonly key: string;
  counts(): {
    readonly accepted: number;
    readonly delivered: number;
    readonly failedAttempts: number;
    readonly deadLettered: number;
    readonly waiting: number;
  };
  /** Finishes the current deliveries; waiting ones stay on disk for the next start. */
  close(): Promise<void>;
}

interface TopicDelivery {
  readonly subscription: string;
  readonly event: TopicEvent;
}

/**
 * A custom topic of Event Grid with its subscriptions. Events are on disk before the publisher's request is answered,
 * and delivered at least once; a slow subscriber does not delay the others. Errors: `configuration-invalid` when a
 * webhook does not answer the handshake, `port-in-use`.
 */
export async function startTopic(options: TopicOptions): Promise<Topic> {
  const { name, subscriptions } = options;
  for (const { destination } of subscriptions)
    if (destination.kind === "webhook") await validateWebhook(destination.url, topicId(name));
  const counts = { accepted: 0, delivered: 0, failedAttempts: 0, deadLettered: 0 };
  const log = openEventLog<TopicDelivery>(options.folder);
  const send = sender(options);
  const bury = (number: number, reason: string, attempts: number): void => {
    log.bury(number, reason, attempts);
    counts.deadLettered++;
  };
  const attempt = (subscription: TopicSubscription) => async (delivery: Waiting<TopicDelivery>, attempts: number) => {
    try {
      await send(subscription, delivery.event);
    } catch (error) {
      counts.failedAttempts++;
      const waitMs =
        error instanceof WebhookRefusal && error.isFinal
          ? undefined
          : retryAfterMs(options.retry ?? RETRY_POLICY, attempts);
      if (waitMs === undefined) bury(delivery.number, error instanceof Error ? error.message : String(error), attempts);
      return waitMs;
    }
    log.finish(delivery.number);
    counts.delivered++;
    return undefined;
  };
  const timetables = new Map(
    subscriptions.map((each) => [each.name, new Timetable<Waiting<TopicDelivery>>(attempt(each))]),
  );
  for (const delivery of log.waiting.values()) {
    const timetable = timetables.get(delivery.subscription);
    if (timetable === undefined) bury(delivery.number, "The subscription is gone.", 0);
    else timetable.add(delivery, 0);
  }
  const accept = (event: TopicEvent): void => {
    counts.accepted++;
    for (const subscription of subscriptions.filter((each) => wants(each, event))) {
      const delivery = log.add({ subscription: subscription.name, event });
      if (log.waiting.size > EVENTS_WAITING_MAX) bury(delivery.number, "Too many events are waiting.", 0);
      else timetables.get(subscription.name)?.add(delivery, 0);
    }
  };
  const server = await listen(options, accept);
  return {
    endpoint: server.endpoint,
    key: options.key,
    counts: () => ({ ...counts, waiting: log.waiting.size }),
    close: async () => {
      await server.close();
      await Promise.all([...timetables.values()].map((timetable) => timetable.close()));
      log.close();
    },
  };
}

function wants(subscription: TopicSubscription, { eventType, subject }: TopicEvent): boolean {
  const types = subscription.includedEventTypes?.map((type) => type.toLowerCase());
  return (types === undefined || types.includes(eventType.toLowerCase())) && matches(subscription, subject);
}

function sender({ storage }: TopicOptions): (subscription: TopicSubscription, event: TopicEvent) => Promise<void> {
  const toQueue = queueDelivery(storage);
  return ({ destination }, event) =>
    destination.kind === "webhook"
      ? deliverToWebhook(destination.url, event)
      : toQueue({ account: destination.account, queue: destination.queue, event });
}

async function listen(
  options: TopicOptions,
  accept: (event: TopicEvent) => void,
): Promise<{ endpoint: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    answer(request, options).then(
      (answered) => {
        if (answered.kind === "accepted") answered.events.forEach(accept);
        reply(response, answered);
      },
      () => response.destroy(),
    );
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? new LocalError("port-in-use", `Port ${options.port} is taken. Another program listens there.`, {
              port: options.port,
            })
          : error,
      ),
    );
    server.listen(options.port, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    endpoint: `http://127.0.0.1:${port}/api/events`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function answer(request: IncomingMessage, { name, key }: TopicOptions): Promise<TopicAnswer> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const pieces: Buffer[] = [];
  let lengthBytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    lengthBytes += piece.length;
    // Drains the rest, so that the publisher gets its answer.
    if (lengthBytes <= TOPIC_BODY_MAX_BYTES) pieces.push(piece);
  }
  const body = lengthBytes > TOPIC_BODY_MAX_BYTES ? undefined : Buffer.concat(pieces).toString("utf8");
  const apiVersion = url.searchParams.get("api-version") ?? undefined;
  return judgeRequest(
    { method: request.method ?? "GET", path: url.pathname, apiVersion, headers: request.headers, body },
    name,
    key,
  );
}

function reply(response: ServerResponse, answered: TopicAnswer): void {
  if (answered.kind === "accepted") {
    response.writeHead(200, { "content-length": 0 }).end();
    return;
  }
  const { status, code, message, detail } = answered;
  const text = JSON.stringify({ error: { code, message, details: [{ code: detail, message }] } });
  response
    .writeHead(status, { "content-type": "application/json; charset=utf-8", "content-length": Buffer.byteLength(text) })
    .end(text);
}
