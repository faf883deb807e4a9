import { hasCode } from "../errors.ts";
import { type ItemStatus, readItemStatus } from "../items/status.ts";
import { EVENT_POINT_NAMES_MAX_COUNT, EVENTS_PER_SEND_MAX_COUNT, EVENTS_WAITING_MAX_COUNT } from "../limits.ts";
import { POINTS_PREFIX, manifestName } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import { isPointId, readPoint } from "../points/manifest.ts";
import type { RecordStore } from "../ports.ts";
import { nothing, unlessDamaged } from "../records/damaged.ts";
import { findItem } from "../records/item-record.ts";
import { type Announced, NOTHING_ANNOUNCED, announcedRecord } from "./announced.ts";
import { type LeewardEvent, healthChanged, pointCreated } from "./event.ts";
import type { EventPublisher } from "./publisher.ts";

export interface EventContext extends ItemContext {
  readonly events: EventPublisher;
}

/**
 * Publishes what has changed about an item since the last time: waiting events, the health, new points. The records are
 * the outbox: an event is noted only after the topic has accepted it, so that each change is published at least once,
 * and an unavailable topic costs only time. If the health changed twice meanwhile, only the last is published; of
 * points all that still exist; of an item with a damaged record only waiting events. Returns how many events were sent.
 * Errors: those of `EventPublisher`, `item-unknown`, and those of the stores.
 */
export async function announceItem(context: EventContext, itemId: string): Promise<number> {
  const status = await unlessDamaged(() => readItemStatus(context, itemId), nothing);
  const records = context.stores.records(itemId);
  const stored = await announcedRecord(records).inspect();
  const announced = stored !== undefined && "body" in stored ? stored.body : NOTHING_ANNOUNCED;
  const health = status?.replicationHealth ?? announced.health;
  const points =
    status === undefined
      ? { events: [], toldId: announced.pointId, damagedIds: announced.damagedIds }
      : await newPoints(records, status, announced);
  const events = [
    ...announced.waiting,
    ...(status === undefined || health === announced.health
      ? []
      : [healthChanged(status, announced.health, context.clock.now())]),
    ...points.events,
  ];
  if (events.length === 0) return 0;
  for (let at = 0; at < events.length; at += EVENTS_PER_SEND_MAX_COUNT) {
    await context.events.publish(events.slice(at, at + EVENTS_PER_SEND_MAX_COUNT));
  }
  // A faster sweep has published the same: the next one finds what is left.
  const { toldId: pointId, damagedIds } = points;
  await announcedRecord(records).replace({ version: 1, health, pointId, damagedIds, waiting: [] }, stored?.etag);
  return events.length;
}

/**
 * Publishes one event of a job or a failover now. An event that the topic does not accept is kept with the item, and
 * the sweep publishes it later; beyond EVENTS_WAITING_MAX_COUNT the oldest is dropped, as the job's record has it all.
 * `lost`: the item is gone, or the store would not keep the event.
 */
export async function announceNow(
  context: EventContext,
  itemId: string,
  event: LeewardEvent,
): Promise<"sent" | "waiting" | "lost"> {
  try {
    await context.events.publish([event]);
    return "sent";
  } catch (error) {
    if (!hasCode(error, "events-unavailable", "events-refused")) throw error;
  }
  try {
    return (await keepWaiting(context, itemId, event)) ? "waiting" : "lost";
  } catch (error) {
    // The change of state has already been made: an unavailable store must not undo it.
    if (hasCode(error, "conflict", "store-unavailable", "store-busy", "store-refused", "outcome-unknown"))
      return "lost";
    throw error;
  }
}

async function keepWaiting(context: EventContext, itemId: string, event: LeewardEvent): Promise<boolean> {
  // A write would recreate the container of an item that was disabled meanwhile.
  const item = await unlessDamaged(
    () => findItem(context.stores, itemId),
    () => "damaged" as const,
  );
  if (item === undefined) return false;
  await announcedRecord(context.stores.records(itemId)).upsert((found = NOTHING_ANNOUNCED) => {
    const { waiting } = found;
    if (waiting.some(({ id }) => id === event.id)) return found;
    return { ...found, waiting: [...waiting, event].slice(-EVENTS_WAITING_MAX_COUNT) };
  }, nothing);
  return true;
}

interface NewPoints {
  readonly events: readonly LeewardEvent[];
  /** The last published point, these included. */
  readonly toldId: string | undefined;
  readonly damagedIds: readonly string[] | undefined;
}

/**
 * The points since the last published one, oldest first; all if there is none. Damaged ones are published when they are
 * restored. Lists only when there is a new one.
 */
async function newPoints(
  records: RecordStore,
  { lastRecoveryPoint }: ItemStatus,
  { pointId, damagedIds = [] }: Announced,
): Promise<NewPoints> {
  const newestId = lastRecoveryPoint?.pointId;
  const isNew = newestId !== undefined && newestId !== pointId;
  const newIds = isNew ? await pointIdsSince(records, pointId, newestId) : [];
  const ids = [...damagedIds, ...newIds.filter((id) => !damagedIds.includes(id))];
  const damaged: string[] = [];
  const found = await Promise.all(
    ids.map((id) =>
      unlessDamaged(
        () => readPoint(records, id),
        () => void damaged.push(id),
      ),
    ),
  );
  return {
    events: found.flatMap((record) => (record?.kind === "point" ? [pointCreated(record)] : [])),
    toldId: newIds.at(-1) ?? pointId,
    damagedIds: damaged.length === 0 ? undefined : damaged.toSorted().slice(-EVENT_POINT_NAMES_MAX_COUNT),
  };
}

/**
 * At least one; more than a page are published in steps. Ids grow with time, but a worker whose clock lags may have
 * given the latest one an earlier id.
 */
async function pointIdsSince(
  records: RecordStore,
  toldId: string | undefined,
  newestId: string,
): Promise<readonly string[]> {
  if (toldId !== undefined && newestId < toldId) return [newestId];
  const after = toldId === undefined ? undefined : manifestName(toldId);
  const listed = await records.list(POINTS_PREFIX, EVENT_POINT_NAMES_MAX_COUNT, after);
  const ids = listed.flatMap(({ name }) => /^points\/([^/]+)\/manifest\.json$/.exec(name)?.[1] ?? []).filter(isPointId);
  const isLastPage = listed.length < EVENT_POINT_NAMES_MAX_COUNT || ids.length === 0;
  // What is newer than the newest that the progress knows is published again with it: that one's record was lost, and
  // this cannot be told apart here.
  return isLastPage ? [...ids.filter((id) => id !== newestId), newestId] : ids;
}
