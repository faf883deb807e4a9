import type { ReplicationHealth } from "../items/health.ts";
import { EVENTS_RECORD } from "../names.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import type { RecordStore } from "../ports.ts";
import type { LeewardEvent } from "./event.ts";

/** `events.json`: what the topic was told last, and what could not be told yet. Changed by compare-and-set only. */
export interface Announced {
  readonly version: 1;
  /** Undefined before the first event. */
  readonly health: ReplicationHealth | undefined;
  /** Up to where points were told: the id of the last one, undefined when there was none. */
  readonly pointId: string | undefined;
  /** Points up to there whose manifests could not be read: they are told when somebody has brought those back. */
  readonly damagedIds?: readonly string[] | undefined;
  /** Events of jobs and failovers that the topic did not take, oldest first, at most EVENTS_WAITING_MAX_COUNT. */
  readonly waiting: readonly LeewardEvent[];
}

export const NOTHING_ANNOUNCED: Announced = { version: 1, health: undefined, pointId: undefined, waiting: [] };

/**
 * A damaged one was never told anything: what stands now is told once more, and what waited is in the records of its
 * jobs.
 */
export function announcedRecord(records: RecordStore): RecordAt<Announced> {
  return recordAt<Announced>(records, { name: EVENTS_RECORD, version: 1 });
}
