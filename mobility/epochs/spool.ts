import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import type { Position } from "../../replication/position.ts";
import type { Files } from "../system/files.ts";

/**
 * A sealed delta that waits for its upload. Its file name is its end position, so a listing is all that a start needs.
 */
export interface SpooledDelta {
  readonly end: Position;
  readonly path: string;
  readonly lengthBytes: number;
  /** Of the sealed bytes, in the format of Content-MD5; computed at sending for a delta that a start found. */
  readonly md5?: string | undefined;
}

export function spoolName(end: Position): string {
  return `${String(end.stream).padStart(10, "0")}-${String(end.epoch).padStart(12, "0")}-${end.checksum}.delta`;
}

export function removeSpoolFile(files: Files, delta: SpooledDelta): void {
  files.remove(delta.path);
}

/**
 * Removes deltas of the stream after this position: left by a sealing attempt that failed in its last step, and never
 * used.
 */
export function removeSpoolFilesBehind(files: Files, folder: string, sealed: Position): void {
  for (const name of files.list(folder)) {
    const end = parseSpoolName(name);
    if (end?.stream === sealed.stream && end.epoch > sealed.epoch) files.remove(join(folder, name));
  }
}

/**
 * What has to be uploaded after a start: the deltas after `uploaded` up to `sealed`, in order, none missing. Removes
 * the others: those already uploaded, and those whose segment is still there (sealed, but not in the state file before
 * the kill, so never used).
 */
export function openSpool(files: Files, folder: string, uploaded: Position, sealed: Position): readonly SpooledDelta[] {
  const kept: SpooledDelta[] = [];
  for (const name of files.list(folder).toSorted()) {
    const end = parseSpoolName(name);
    const path = join(folder, name);
    if (end !== undefined && end.stream === sealed.stream && end.epoch > uploaded.epoch && end.epoch <= sealed.epoch) {
      kept.push({ end, path, lengthBytes: files.status(path).lengthBytes });
    } else if (end !== undefined || name.endsWith(".tmp")) files.remove(path);
  }
  const missing = kept.find((delta, index) => delta.end.epoch !== uploaded.epoch + 1 + index);
  if (
    missing !== undefined ||
    kept.length !== sealed.epoch - uploaded.epoch ||
    (kept.at(-1)?.end ?? uploaded).checksum !== sealed.checksum
  ) {
    const facts = { folder, uploadedEpoch: uploaded.epoch, sealedEpoch: sealed.epoch, found: kept.length };
    throw new LeewardError(
      "state-corrupt",
      "The spool does not hold every delta that was sealed and not yet uploaded.",
      facts,
    );
  }
  return kept;
}

function parseSpoolName(name: string): Position | undefined {
  const match = /^(\d{10})-(\d{12})-([0-9a-f]{64})\.delta$/.exec(name);
  return match === null ? undefined : { stream: Number(match[1]), epoch: Number(match[2]), checksum: match[3] ?? "" };
}
