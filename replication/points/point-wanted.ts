import { POINT_WANTED_RECORD } from "../names.ts";
import type { RecordStore } from "../ports.ts";
import { nothing, unlessDamaged } from "../records/damaged.ts";
import { type RecordAt, recordAt } from "../records/record.ts";

/**
 * `point-wanted.json`: a failover waits for a recovery point at this epoch or a later one. The point itself meets it,
 * and no answer is needed; the next request replaces it. Workers read it when they claim the item, and when a wake-up
 * comes for which there is no delta.
 */
export interface PointWanted {
  readonly version: 1;
  readonly stream: number;
  readonly epoch: number;
}

/** A damaged record requests nothing: a failover that waits for a point asks again. */
export async function readPointWanted(records: RecordStore): Promise<PointWanted | undefined> {
  return (await unlessDamaged(() => wantedRecord(records).find(), nothing))?.body;
}

/** The caller sends a wake-up afterwards, so that a worker reads the record. */
export async function wantPoint(records: RecordStore, { stream, epoch }: Omit<PointWanted, "version">): Promise<void> {
  await wantedRecord(records).put({ version: 1, stream, epoch });
}

const wantedRecord = (records: RecordStore): RecordAt<PointWanted> =>
  recordAt<PointWanted>(records, { name: POINT_WANTED_RECORD, version: 1 });
