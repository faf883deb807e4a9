import { createReadStream } from "node:fs";
import { LeewardError } from "../replication/errors.ts";
import { DELTA_MAX_BYTES } from "../replication/limits.ts";
import { CLI_FILE_PIECE_BYTES } from "./limits.ts";

/**
 * The whole file, at most one byte more than a delta may have, so that reading a device or an endless pipe ends too.
 */
export async function readDeltaFile(path: string): Promise<Uint8Array> {
  try {
    const chunks: Uint8Array[] = [];
    // `end` is the last byte read: one more than the limit is enough for the decoder to see that the file is too long.
    for await (const chunk of createReadStream(path, { end: DELTA_MAX_BYTES, highWaterMark: CLI_FILE_PIECE_BYTES }))
      chunks.push(chunk);
    return Buffer.concat(chunks);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LeewardError(
      "invalid-request",
      `The file cannot be read: ${reason}`,
      {},
      { cause: error, hint: "Check the name of the file and your right to read it." },
    );
  }
}
