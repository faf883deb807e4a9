import { createHash } from "node:crypto";
import type { Consistency } from "../delta/delta.ts";
import { invariant } from "../errors.ts";
import { manifestName } from "../names.ts";
import type { RecordStore } from "../ports.ts";
import type { Position } from "../position.ts";
import { encodeRecord } from "../records/envelope.ts";
import { type RecordKind, decodeBody, recordAt } from "../records/record.ts";

/** One disk of a recovery point: the snapshot holds its content. */
interface PointDisk {
  readonly id: string;
  readonly sizeBytes: number;
  readonly sectorSizeBytes: 512 | 4096;
  readonly snapshot: string;
}

/**
 * `points/{point}/manifest.json`: the recovery point exists since this blob exists, and both never change (rule 2).
 * Every snapshot that it names holds its disk exactly at `position` (rule 1).
 */
export interface PointManifest {
  readonly version: 1;
  readonly kind: "point";
  readonly pointId: string;
  readonly itemId: string;
  readonly stream: number;
  readonly position: Position;
  /** The source held this content at this moment of its own clock (Unix milliseconds). */
  readonly sourceTimeMs: number;
  /**
   * How far the source's clock was ahead of the target's at its last heartbeat, including that heartbeat's transit
   * time; undefined before the first.
   */
  readonly skewMs: number | undefined;
  /** When the point was taken, on the target's clock. */
  readonly targetTimeMs: number;
  readonly consistency: Consistency;
  /** The generation of the worker that took it. */
  readonly generation: number;
  /** Ordered by id. */
  readonly disks: readonly PointDisk[];
}

/**
 * Takes a manifest's name where the sweep gave up snapshots without a manifest: a late worker finds the name taken and
 * makes no point of them.
 */
export interface PointTombstone {
  readonly version: 1;
  readonly kind: "tombstone";
  readonly pointId: string;
  readonly itemId: string;
  /** Unix milliseconds of the target's clock. */
  readonly buriedMs: number;
}

export type PointRecord = PointManifest | PointTombstone;

/**
 * `{targetTimeMs:015}-{8 hex}`: point ids sort as text by target time. `unique` must differ for every attempt of every
 * worker of the item.
 */
export function makePointId(targetTimeMs: number, unique: string): string {
  invariant(
    Number.isSafeInteger(targetTimeMs) && targetTimeMs >= 0 && targetTimeMs < 1e15,
    "the time fits a point id",
    { targetTimeMs },
  );
  const suffix = createHash("sha256").update(unique, "utf8").digest("hex").slice(0, 8);
  return `${String(targetTimeMs).padStart(15, "0")}-${suffix}`;
}

export function isPointId(text: string): boolean {
  return /^\d{15}-[0-9a-f]{8}$/.test(text);
}

/** The target time that a point id carries; undefined for any other text. */
export function pointTimeMs(pointId: string): number | undefined {
  return isPointId(pointId) ? Number(pointId.slice(0, 15)) : undefined;
}

export function encodePoint(record: PointRecord): Uint8Array {
  return encodeRecord(record);
}

/** Errors: `record-corrupt`, also when the record names another point than its blob. */
export function decodePoint(pointId: string, bytes: Uint8Array): PointRecord {
  return decodeBody(manifestOf(pointId), bytes);
}

/** Undefined if there is no record of that point. */
export async function readPoint(records: RecordStore, pointId: string): Promise<PointRecord | undefined> {
  return (await recordAt(records, manifestOf(pointId)).find())?.body;
}

const manifestOf = (pointId: string): RecordKind<PointRecord> => ({
  name: manifestName(pointId),
  version: 1,
  owner: { pointId },
});
