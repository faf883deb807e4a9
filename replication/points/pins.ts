import { LeewardError } from "../errors.ts";
import { PINS_MAX_COUNT } from "../limits.ts";
import { pinsName } from "../names.ts";
import type { RecordStore } from "../ports.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import { type PointManifest, readPoint } from "./manifest.ts";

/** A holder's need for a point: it is not deleted while a pin holds. */
export interface PointPin {
  /** Names the holder, so that pinning twice is one pin: a restore's is its restore id. */
  readonly pinId: string;
  readonly reason: string;
  /** When it was set (Unix milliseconds of the target's clock). */
  readonly sinceMs: number;
  /** The pin ends by itself at this time; undefined: it holds until it is removed. */
  readonly untilMs: number | undefined;
}

/** A snapshot that is deleted with its point. */
export interface PinnedSnapshot {
  readonly stream: number;
  readonly diskId: string;
  readonly snapshot: string;
}

/**
 * `points/{point}/pins.json`, changed by compare-and-set only. It decides between the holders of a point and retention:
 * once `deleting`, a point never comes back. The manifest is removed first, so `snapshots` lists what is left to
 * remove, whichever run finishes the deletion.
 */
export interface PointPins {
  readonly version: 1;
  readonly state: "kept" | "deleting";
  readonly pins: readonly PointPin[];
  readonly snapshots: readonly PinnedSnapshot[];
}

const NO_PINS: PointPins = { version: 1, state: "kept", pins: [], snapshots: [] };

/**
 * Keeps the point until the pin is removed, and returns its manifest, read after the pin was set. Pinning again
 * replaces the pin of that id. Errors: `point-unknown`, `point-pruned` (retention was faster), `conflict`.
 */
export async function pinPoint(records: RecordStore, pointId: string, pin: PointPin): Promise<PointManifest> {
  // Checked first, so that a wrong id leaves nothing behind.
  if ((await readPoint(records, pointId))?.kind !== "point") throw pointUnknown(pointId);
  await changePins(records, pointId, (found) => {
    if (found.state === "deleting") throw pointPruned(pointId);
    const others = living(found.pins, pin.sinceMs).filter((other) => other.pinId !== pin.pinId);
    if (others.length >= PINS_MAX_COUNT) {
      throw new LeewardError("conflict", `The point ${pointId} has ${others.length} holders already.`, { pointId });
    }
    return { ...found, pins: [...others, pin] };
  });
  // A deletion that began before the pin may have ended meanwhile, its record included: only the manifest proves that
  // the pin holds.
  const point = await readPoint(records, pointId);
  if (point?.kind === "point") return point;
  await unpinPoint(records, pointId, pin.pinId);
  throw pointPruned(pointId);
}

/** Removes a pin; it need not exist. */
export async function unpinPoint(records: RecordStore, pointId: string, pinId: string): Promise<void> {
  if ((await readPins(records, pointId)) === undefined) return;
  await changePins(records, pointId, (found) =>
    found.pins.some((pin) => pin.pinId === pinId)
      ? { ...found, pins: found.pins.filter((pin) => pin.pinId !== pinId) }
      : found,
  );
}

/** True once the point's record says `deleting`, with its snapshots; false while a pin holds it. */
export async function beginDeletion(
  records: RecordStore,
  pointId: string,
  snapshots: readonly PinnedSnapshot[],
  nowMs: number,
): Promise<boolean> {
  const after = await changePins(records, pointId, (found) => {
    if (found.state === "deleting" || living(found.pins, nowMs).length > 0) return found;
    return { version: 1, state: "deleting", pins: [], snapshots };
  });
  return after.state === "deleting";
}

/** Undefined if the point was never pinned and its deletion never began. Errors: `record-corrupt`. */
export async function readPins(records: RecordStore, pointId: string): Promise<PointPins | undefined> {
  return (await pinsRecord(records, pointId).find())?.body;
}

export function pinsRecord(records: RecordStore, pointId: string): RecordAt<PointPins> {
  return recordAt<PointPins>(records, { name: pinsName(pointId), version: 1 });
}

/** The snapshots that a manifest names. */
export function snapshotsOf(point: PointManifest): readonly PinnedSnapshot[] {
  return point.disks.map(({ id, snapshot }) => ({ stream: point.stream, diskId: id, snapshot }));
}

/** A missing record means the same as one without pins, so none is created for that. */
async function changePins(
  records: RecordStore,
  pointId: string,
  change: (found: PointPins) => PointPins,
): Promise<PointPins> {
  const after = await pinsRecord(records, pointId).upsert((found) => {
    const next = change(found ?? NO_PINS);
    return next === NO_PINS ? undefined : next;
  });
  return after ?? NO_PINS;
}

function living(pins: readonly PointPin[], nowMs: number): readonly PointPin[] {
  return pins.filter((pin) => pin.untilMs === undefined || pin.untilMs > nowMs);
}

function pointUnknown(pointId: string): LeewardError {
  return new LeewardError("point-unknown", `There is no recovery point ${pointId}.`, { pointId });
}

function pointPruned(pointId: string): LeewardError {
  return new LeewardError("point-pruned", `Retention is removing the recovery point ${pointId}.`, { pointId });
}
