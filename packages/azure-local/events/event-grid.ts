import { randomUUID } from "node:crypto";
import { LocalError } from "../errors.ts";
import { EVENTS_WAITING_MAX, EVENT_REORDER_MS } from "../limits.ts";
import type { StorageOperation } from "../storage/operation.ts";
import type { LocalStorage } from "../storage/storage.ts";
import { openEventLog, type WaitingDelivery } from "./event-log.ts";
import { BLOB_CREATED, eventOf, matches, type EventFilter } from "./event.ts";
import { queueDelivery } from "./queue-delivery.ts";
import { RETRY_POLICY, retryAfterMs, type RetryPolicy } from "./retry.ts";
import { Timetable } from "./timetable.ts";

/**
 * Starts Event Grid for the storage that runs here: each created blob becomes an event, delivered at least once to the
 * queues of matching subscriptions. An event is on disk before the request that caused it is answered; events
 * undelivered when the process dies are delivered after the next start. Errors: `not-supported` for destinations and
 * event types that the local cloud lacks, `configuration-invalid` for unknown accounts.
 */
export async function startEventGrid(options: EventGridOptions): Promise<EventGrid> {
  for (const subscription of options.subscriptions) checkSubscription(options.storage, subscription);
  const switches: EventSwitches = { dropRatio: 0, repeatRatio: 0, delayMs: 0, reorder: false, ...options.switches };
  const counts = { published: 0, dropped: 0, repeated: 0, delivered: 0, failedAttempts: 0, deadLettered: 0 };
  const log = openEventLog(options.folder);
  const deliver = queueDelivery(options.storage);
  const policy = options.retry ?? RETRY_POLICY;
  const timetable = new Timetable<WaitingDelivery>(async (delivery, attempts) => {
    try {
      await deliver(delivery);
    } catch (error) {
      counts.failedAttempts++;
      const waitMs = retryAfterMs(policy, attempts);
      if (waitMs !== undefined) return waitMs;
      log.bury(delivery.number, error instanceof Error ? error.message : String(error), attempts);
      counts.deadLettered++;
      return undefined;
    }
    log.finish(delivery.number);
    counts.delivered++;
    return undefined;
  });
  const enqueue = (subscription: EventSubscription, event: WaitingDelivery["event"]): void => {
    if (subscription.destination.kind !== "storage-queue") return;
    const { account, queue } = subscription.destination;
    const delivery = log.add({ account, queue, event });
    if (log.waiting.size > EVENTS_WAITING_MAX) {
      log.bury(delivery.number, "Too many events are waiting.", 0);
      counts.deadLettered++;
      return;
    }
    timetable.add(delivery, switches.delayMs + (switches.reorder ? options.random() * EVENT_REORDER_MS : 0));
  };
  let sequence = 0n;
  const publish = (operation: StorageOperation): void => {
    if (operation.created === undefined) return;
    sequence = nextSequence(sequence, operation.atMs);
    const { blobUrl } = options.storage.account(operation.account);
    const event = eventOf(operation, { blobUrl, id: randomUUID(), batchId: randomUUID(), sequence });
    if (event === undefined) return;
    for (const subscription of options.subscriptions) {
      if (subscription.source !== operation.account || !matches(subscription, event.subject)) continue;
      counts.published++;
      if (options.random() < switches.dropRatio) {
        counts.dropped++;
        continue;
      }
      enqueue(subscription, event);
      if (options.random() >= switches.repeatRatio) continue;
      counts.repeated++;
      enqueue(subscription, event);
    }
  };
  for (const delivery of log.waiting.values()) timetable.add(delivery, 0);
  const stopObserving = options.storage.observe(publish);
  return {
    switches,
    counts: () => ({ ...counts, waiting: log.waiting.size }),
    drain: () => timetable.drain(),
    close: async () => {
      stopObserving();
      await timetable.close();
      log.close();
    },
  };
}

export interface EventGridOptions {
  /** Holds waiting events and dead letters. */
  readonly folder: string;
  readonly storage: LocalStorage;
  readonly subscriptions: readonly EventSubscription[];
  /** Numbers in [0, 1) for the switches; a seeded one makes a run repeatable. */
  readonly random: () => number;
  readonly switches?: Partial<EventSwitches>;
  /** Other than Azure's only where a test cannot wait so long. */
  readonly retry?: RetryPolicy;
}

export interface EventSubscription extends EventFilter {
  /** The storage account whose blobs cause the events. */
  readonly source: string;
  /** Only "Microsoft.Storage.BlobCreated" exists here; it is the default. */
  readonly includedEventTypes?: readonly string[];
  readonly destination: EventDestination;
}

type EventDestination =
  | { readonly kind: "storage-queue"; readonly account: string; readonly queue: string }
  /** Refused with `not-supported`. */
  | { readonly kind: "webhook"; readonly url: string };

/** What the grid does to events on purpose; each field may change while it runs and affects later events. */
export interface EventSwitches {
  /** Share of events lost, 0 to 1. */
  dropRatio: number;
  /** Share of events delivered twice. */
  repeatRatio: number;
  /** The delay of each delivery. */
  delayMs: number;
  /** Adds a random delay of at most EVENT_REORDER_MS to each delivery, so that later events overtake earlier ones. */
  reorder: boolean;
}

/**
 * Since the start; `waiting` also counts events from an earlier process. An event counts once per matching
 * subscription.
 */
interface EventCounts {
  readonly published: number;
  readonly dropped: number;
  readonly repeated: number;
  readonly delivered: number;
  readonly failedAttempts: number;
  readonly deadLettered: number;
  readonly waiting: number;
}

export interface EventGrid {
  readonly switches: EventSwitches;
  counts(): EventCounts;
  /** Resolves when nothing waits; rejects with `internal` when the grid closes first. */
  drain(): Promise<void>;
  /** Finishes the current delivery; waiting ones stay on disk for the next start. */
  close(): Promise<void>;
}

function checkSubscription(storage: LocalStorage, subscription: EventSubscription): void {
  const { destination, includedEventTypes = [BLOB_CREATED], source } = subscription;
  const unknownTypes = includedEventTypes.filter((type) => type !== BLOB_CREATED);
  if (unknownTypes.length > 0) {
    throw new LocalError("not-supported", `The local Event Grid has no events of type ${unknownTypes.join(", ")}.`, {
      source,
    });
  }
  if (destination.kind !== "storage-queue") {
    throw new LocalError("not-supported", `The local Event Grid does not deliver to a ${destination.kind}.`, {
      source,
    });
  }
  for (const account of [source, destination.account]) {
    if (storage.accounts.some(({ name }) => name === account)) continue;
    throw new LocalError(
      "configuration-invalid",
      `A subscription names the storage account ${account}, which does not run here.`,
      {
        account,
      },
    );
  }
}

/** Grows with the clock over restarts and by itself inside one millisecond. */
function nextSequence(last: bigint, nowMs: number): bigint {
  const clock = BigInt(nowMs) << 20n;
  return clock > last ? clock : last + 1n;
}
