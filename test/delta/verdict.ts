import { decodedFrames, decodeDelta } from "../../replication/delta/decode.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { EXTENT_ENTRY_BYTES } from "../../replication/delta/layout.ts";
import { LeewardError } from "../../replication/errors.ts";
import type { Sections } from "./forge.ts";
import { data, noise, prose, sampleHeader, zero } from "./samples.ts";

/** What the reader says of these bytes, frames included: code, rule and field of its error. */
export function verdict(bytes: Uint8Array): readonly unknown[] {
  try {
    for (const frame of decodedFrames(decodeDelta(bytes))) {
      if (frame.bytes.length !== frame.entry.lengthBytes) throw new Error("a frame of another length");
    }
  } catch (error) {
    if (!(error instanceof LeewardError)) throw error;
    if (error.hint === "" || typeof error.facts["offsetBytes"] !== "number")
      throw new Error("an error without hint or offset", { cause: error });
    return [error.code, error.facts["rule"], error.facts["field"]];
  }
  return ["accepted"];
}

/** Three extents, two disks: data (a zstd frame), zero, data (a raw frame). */
export const FILE = encodeDelta(sampleHeader(), [
  data(0, 512, prose(4096, 1)),
  zero(0, 8192, 4096),
  data(1, 1024, noise(1024, 2)),
]).bytes;

/** Where an entry of the extent table begins. */
export const extentAt = (at: Sections, index: number) => at.extents + index * EXTENT_ENTRY_BYTES;
