import { unlessDamaged } from "../records/damaged.ts";
import type { ReplicationHealth } from "../items/health.ts";
import { EVENTS_RECORD } from "../names.ts";
import { decodeRecord, encodeRecord } from "../records/envelope.ts";
import type { RecordStore } from "../ports.ts";
import type { LeewardEvent } from "./event.ts";

/** `events.json`: what the topic was told last, and what could not be told yet. Changed by compare-and-set only. */
export interface Announced {
  readonly version: 1;
  /** Undefined before the first event. */
  readonly health: ReplicationHealth | undefined;
  /** Up to where points were told: the id of the last one, undefined when there was none. */
  readonly pointId: string | undefined;
  /** Events of jobs and failovers that the topic did not take, oldest first, at most EVENTS_WAITING_MAX_COUNT. */
  readonly waiting: readonly LeewardEvent[];
}

interface StoredAnnounced {
  readonly announced: Announced;
  /** Undefined when there is no record yet. */
  readonly etag: string | undefined;
}

const NOTHING_ANNOUNCED: Announced = { version: 1, health: undefined, pointId: undefined, waiting: [] };

/**
 * A damaged record was never told anything: what stands now is told once more, and what waited is in the records of its
 * jobs.
 */
export async function readAnnounced(records: RecordStore): Promise<StoredAnnounced> {
  const stored = await records.read(EVENTS_RECORD);
  if (stored === undefined) return { announced: NOTHING_ANNOUNCED, etag: undefined };
  const announced = await unlessDamaged(
    () => decodeRecord<Announced>(EVENTS_RECORD, 1, stored.bytes),
    () => NOTHING_ANNOUNCED,
  );
  return { announced, etag: stored.etag };
}

/** False when somebody else was faster; then nothing was changed. */
export async function replaceAnnounced(
  records: RecordStore,
  { etag }: StoredAnnounced,
  next: Announced,
): Promise<boolean> {
  const bytes = encodeRecord(next);
  const written =
    etag === undefined ? await records.create(EVENTS_RECORD, bytes) : await records.replace(EVENTS_RECORD, bytes, etag);
  return written !== undefined;
}
