import { createHash } from "node:crypto";
import { LeewardError } from "../errors.ts";
import { restoreRecordName } from "../names.ts";
import type { RecordStore, RestoredDisk } from "../ports.ts";
import type { Position } from "../position.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { type RecordAt, recordAt } from "../records/record.ts";

/**
 * The states of a long-running operation, as Azure's APIs name them. `Removing`: it was deleted or has expired; the
 * record goes last.
 */
export type RestoreState = "Pending" | "InProgress" | "Succeeded" | "Failed" | "Removing";

export interface DiskCopy {
  readonly id: string;
  /** Size of the source disk; the restored blob is a fixed VHD of it. */
  readonly sizeBytes: number;
  readonly snapshot: string;
  /** `copied` only once the store itself reports success. */
  readonly state: "pending" | "copying" | "copied" | "failed";
  readonly copiedBytes: number;
  /** 0 until the store reports it. */
  readonly totalBytes: number;
  /** Which copy this is: the earlier ones failed. Undefined: the first, 0. */
  readonly attempt?: number | undefined;
}

export interface RestoreError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/**
 * `restores/{restore}.json`, changed by compare-and-set only: the progress of a point's copy into page blobs of its
 * own.
 */
export interface RestoreRecord {
  readonly version: 1;
  readonly restoreId: string;
  readonly itemId: string;
  readonly pointId: string;
  readonly stream: number;
  readonly position: Position;
  /** The source held the restored content at this moment of its own clock. */
  readonly sourceTimeMs: number;
  readonly state: RestoreState;
  readonly disks: readonly DiskCopy[];
  readonly createdMs: number;
  /** When a slice last wrote the record. */
  readonly updatedMs: number;
  readonly error: RestoreError | undefined;
}

export interface StoredRestore {
  readonly restore: RestoreRecord;
  readonly etag: string;
}

/** Undefined if there is none; text that is not a restore id never reaches the store. Errors: `record-corrupt`. */
export async function findRestore(records: RecordStore, restoreId: string): Promise<StoredRestore | undefined> {
  if (!isRestoreId(restoreId)) return undefined;
  const stored = await restoreRecord(records, restoreId).find();
  return stored && { restore: stored.body, etag: stored.etag };
}

export function restoreRecord(records: RecordStore, restoreId: string): RecordAt<RestoreRecord> {
  return recordAt<RestoreRecord>(records, { name: restoreRecordName(restoreId), version: 1 });
}

/** The record under its name, readable or not. */
export function lookAtRestore(records: RecordStore, restoreId: string): Promise<StoredRestore | "damaged" | undefined> {
  return unlessDamaged(
    () => findRestore(records, restoreId),
    () => "damaged" as const,
  );
}

/** Errors: `restore-unknown`, `record-corrupt`. */
export async function readRestore(records: RecordStore, restoreId: string): Promise<StoredRestore> {
  const stored = await findRestore(records, restoreId);
  if (stored === undefined)
    throw new LeewardError("restore-unknown", `There is no restore ${restoreId}.`, { restoreId });
  return stored;
}

/** It has succeeded or failed; one that is being removed counts as neither. */
export function isFinished({ state }: RestoreRecord): boolean {
  return state === "Succeeded" || state === "Failed";
}

/** The blob that holds or will hold a disk of this restore. */
export function restoredDisk(
  { itemId, restoreId }: RestoreRecord,
  { id, attempt }: Pick<DiskCopy, "id" | "attempt">,
): RestoredDisk {
  return { itemId, restoreId, diskId: id, attempt };
}

/** 32 hex digits: the same request for the same item gives the same restore. */
export function restoreIdOf(itemId: string, requestId: string): string {
  return createHash("sha256").update(`leeward-restore-1\n${itemId}\n${requestId}`, "utf8").digest("hex").slice(0, 32);
}

/** The pin by which a restore holds its point. */
export function restorePinId(restoreId: string): string {
  return `${PIN_PREFIX}${restoreId}`;
}

/** The restore that set a pin; undefined for the pins of others. */
export function restoreOfPin(pinId: string): string | undefined {
  return pinId.startsWith(PIN_PREFIX) ? pinId.slice(PIN_PREFIX.length) : undefined;
}

const PIN_PREFIX = "restore/";

function isRestoreId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}
