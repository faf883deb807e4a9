import { randomBytes } from "node:crypto";
import type { InvocationContext } from "@azure/functions";
import { requireDescribed } from "../api/check-answer.ts";
import { onePair } from "../azure/accounts.ts";
import { openResourceManager } from "../azure/arm/resource-manager.ts";
import { openCacheAccess } from "../azure/cache-access.ts";
import { connectBlobs, connectQueues } from "../azure/connections.ts";
import { openEventPublisher } from "../azure/events.ts";
import { openItemStores } from "../azure/item-stores.ts";
import { openRecords } from "../azure/records.ts";
import { openRestoreAccess } from "../azure/restore-access.ts";
import { openWorkQueue } from "../azure/work-queue.ts";
import { flowHost } from "../orchestrations/durable.ts";
import { type LargeBatches, createLargeBatches } from "../replication/apply/large-batches.ts";
import type { EventPublisher } from "../replication/events/publisher.ts";
import { CONTROL_CONTAINER } from "../replication/names.ts";
import type { FlowManagement } from "../replication/operations/context.ts";
import type { FlowHost } from "../replication/operations/request.ts";
import type { WorkQueue } from "../replication/operations/work-queue.ts";
import { type PointCache, createPointCache } from "../replication/points/point-cache.ts";
import type { CacheAccess, Clock, Ids, ItemStores, RecordStore, RestoreAccess, Timer } from "../replication/ports.ts";
import { placedRecords } from "../replication/records/placed-records.ts";
import { type Tickets, openTickets } from "../replication/service/tickets.ts";
import { LARGE_BATCHES_AT_ONCE } from "./limits.ts";
import { type ServiceGates, openServiceGates } from "./serving/request-gate.ts";
import { type WakeUps, openWakeUps } from "./serving/wake-ups.ts";
import { type Settings, readSettings } from "./settings.ts";

/** Everything that handlers need from the outside, under the names that the domain's contexts use. */
export interface Application {
  readonly stores: ItemStores;
  /** Records that belong to no single item. */
  readonly control: RecordStore;
  readonly clock: Clock;
  readonly timer: Timer;
  readonly ids: Ids;
  readonly access: CacheAccess;
  readonly tickets: Tickets;
  readonly gates: ServiceGates;
  readonly restoreAccess: RestoreAccess;
  readonly queue: WorkQueue;
  readonly wakeUps: WakeUps;
  /**
   * Names this process among all workers: it differs at every start, so that a dead process's claim is never taken for
   * one's own.
   */
  readonly processId: string;
  readonly points: PointCache;
  readonly largeBatches: LargeBatches;
  /** Where the last run of a timer stopped, by the timer's name: the next run continues after that item. */
  readonly cursors: Map<string, string>;
  /** When this process last swept an item completely (Unix milliseconds). */
  readonly tidied: Map<string, number>;
  /** Undefined for an app that only replicates. */
  readonly management: FlowManagement | undefined;
  /** The flow host, for an invocation that has `flowClient` among its inputs. */
  readonly flows: (context: InvocationContext) => FlowHost;
  /** Undefined for an app without a topic: it publishes nothing. */
  readonly events: EventPublisher | undefined;
  /** Throws when an answer does not match the contract; undefined unless LEEWARD_CHECK_ANSWERS asks for it. */
  readonly checkAnswer: typeof requireDescribed | undefined;
}

/** Handlers get this instead of the application: it is made at the first call, when the settings are known. */
export type ApplicationSource = () => Application;

/** The one place where adapters meet the domain. Errors: `configuration-invalid`. */
export function connectApplication(settings: Settings): Application {
  const cache = connectBlobs("CacheStorage", settings.cache);
  const target = connectBlobs("TargetStorage", settings.target);
  const accounts = onePair(target, cache, target);
  const clock: Clock = { now: () => Date.now() };
  const timer: Timer = { pause: (durationMs) => new Promise((resolve) => setTimeout(resolve, durationMs)) };
  const ids: Ids = { next: () => randomBytes(16).toString("hex") };
  const control = placedRecords(openRecords(target, CONTROL_CONTAINER), CONTROL_CONTAINER);
  const { management } = settings;
  return {
    stores: openItemStores(accounts, clock),
    control,
    clock,
    timer,
    ids,
    access: openCacheAccess(accounts, clock),
    tickets: openTickets(control, ids),
    gates: openServiceGates(clock),
    restoreAccess: openRestoreAccess(accounts, clock),
    queue: openWorkQueue(connectQueues("TargetStorage", settings.target)),
    wakeUps: openWakeUps(clock),
    processId: ids.next(),
    points: createPointCache(clock),
    largeBatches: createLargeBatches(LARGE_BATCHES_AT_ONCE),
    cursors: new Map(),
    tidied: new Map(),
    management: management && {
      resourceManager: openResourceManager(management.address, clock),
      subscriptionId: management.subscriptionId,
      resourceGroup: management.resourceGroup,
      apiUrl: management.apiUrl,
      installScriptUrl: management.installScriptUrl,
    },
    flows: flowHost,
    checkAnswer: settings.checkAnswers ? requireDescribed : undefined,
    events: settings.events && openEventPublisher(settings.events, clock),
  };
}

/** Makes the application once, at the first call; a failure is not kept, so that the next call tries again. */
export function applicationOnce(read: () => Settings = readSettings): ApplicationSource {
  let made: Application | undefined;
  return () => {
    made ??= connectApplication(read());
    return made;
  };
}
