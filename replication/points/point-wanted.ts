import { nothing, unlessDamaged } from "../records/damaged.ts";
import { POINT_WANTED_RECORD } from "../names.ts";
import { decodeRecord, encodeRecord } from "../records/envelope.ts";
import type { RecordStore } from "../ports.ts";

/**
 * `point-wanted.json`: a failover waits for a recovery point at this epoch or a later one. It is met by the point
 * itself and needs no answer; the next want takes its place. Workers read it when they claim the item, and when a hint
 * wakes them for which there is no delta.
 */
export interface PointWanted {
  readonly version: 1;
  readonly stream: number;
  readonly epoch: number;
}

/** A damaged record wants nothing: whoever waits for a point asks again. */
export async function readPointWanted(records: RecordStore): Promise<PointWanted | undefined> {
  const stored = await records.read(POINT_WANTED_RECORD);
  if (stored === undefined) return undefined;
  return unlessDamaged(() => decodeRecord<PointWanted>(POINT_WANTED_RECORD, 1, stored.bytes), nothing);
}

/** Whoever wants a point sends a hint afterwards, so that a worker looks. */
export async function wantPoint(records: RecordStore, { stream, epoch }: Omit<PointWanted, "version">): Promise<void> {
  await records.put(POINT_WANTED_RECORD, encodeRecord({ version: 1, stream, epoch } satisfies PointWanted));
}
