import type { ReplicationHealth } from "../items/health.ts";
import { EVENTS_RECORD } from "../names.ts";
import type { RecordStore } from "../ports.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import type { LeewardEvent } from "./event.ts";

/** `events.json`: what was last published, and what could not be published yet. Changed by compare-and-set only. */
export interface Announced {
  readonly version: 1;
  /** Undefined before the first event. */
  readonly health: ReplicationHealth | undefined;
  /** Points were published up to this id; undefined when there was none. */
  readonly pointId: string | undefined;
  /** Earlier points with unreadable manifests: they are published once restored. */
  readonly damagedIds?: readonly string[] | undefined;
  /** Events of jobs and failovers that the topic did not accept, oldest first, at most EVENTS_WAITING_MAX_COUNT. */
  readonly waiting: readonly LeewardEvent[];
}

export const NOTHING_ANNOUNCED: Announced = { version: 1, health: undefined, pointId: undefined, waiting: [] };

/**
 * A damaged record counts as empty: the current state is published once more, and what waited is in the records of its
 * jobs.
 */
export function announcedRecord(records: RecordStore): RecordAt<Announced> {
  return recordAt<Announced>(records, { name: EVENTS_RECORD, version: 1 });
}
