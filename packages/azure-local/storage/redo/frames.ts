import { crc32 } from "node:zlib";
import { LocalError } from "../../errors.ts";

/**
 * Append-only text files of frames, one a line: eight hex digits with the CRC32 of the JSON, a space, the JSON. A frame
 * is one write(2), so a killed process leaves whole frames and at most one torn one after them.
 */
export function encodeFrame(json: string): Buffer {
  return Buffer.from(`${checksum(Buffer.from(json))} ${json}\n`);
}

export interface Frames {
  readonly values: readonly unknown[];
  /** Where the whole frames end; bytes after it were never acknowledged. */
  readonly lengthBytes: number;
}

/** Reads every whole frame. A damaged frame followed by others is no torn end: `state-damaged` with the file's name. */
export function decodeFrames(bytes: Buffer, file: string): Frames {
  const values: unknown[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(NEW_LINE, at);
    if (end === -1) break;
    const json = bytes.subarray(at + CHECKSUM_CHARACTERS + 1, end);
    if (bytes.toString("latin1", at, at + CHECKSUM_CHARACTERS + 1) !== `${checksum(json)} `) {
      if (end === bytes.length - 1) break;
      throw new LocalError(
        "state-damaged",
        `The log ${file} is damaged at byte ${at}.`,
        { file, offsetBytes: at },
        { hint: "A file of the local cloud was changed or damaged from outside. An empty folder starts afresh." },
      );
    }
    values.push(JSON.parse(json.toString()));
    at = end + 1;
  }
  return { values, lengthBytes: at };
}

const CHECKSUM_CHARACTERS = 8;
const NEW_LINE = 0x0a;

function checksum(json: Uint8Array): string {
  return crc32(json).toString(16).padStart(CHECKSUM_CHARACTERS, "0");
}
