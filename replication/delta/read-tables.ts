import { DELTA_MAX_PLAIN_BYTES, FRAME_MAX_PLAIN_BYTES } from "../limits.ts";
import type { DiskDescription } from "../position.ts";
import type { Extent, FrameEntry } from "./delta.ts";
import {
  CODEC,
  CODECS,
  EXTENT_ENTRY,
  EXTENT_ENTRY_BYTES,
  EXTENT_KIND,
  PROLOGUE_BYTES,
  readUint64,
  STORAGE_ENTRY_BYTES,
  type Codec,
} from "./layout.ts";
import { extentFault, fault, fileError } from "./rules.ts";

/** The position of a frame's stored bytes in the file. */
export interface StoredPlace {
  readonly codec: Codec;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Reads the extent table at `start` and derives the frames (D7, D16 to D22). Table lengths have been checked. */
export function readExtents(
  view: DataView,
  start: number,
  extentCount: number,
  framesExpected: number,
  disks: readonly DiskDescription[],
): { readonly extents: readonly Extent[]; readonly frames: readonly FrameEntry[] } {
  const extents: Extent[] = [];
  const frames: FrameEntry[] = [];
  let plainBytes = 0;
  for (let index = 0; index < extentCount; index += 1) {
    const entry = start + index * EXTENT_ENTRY_BYTES;
    const extent = readExtent(view, entry, index);
    const found = extentFault(extent, extents.at(-1), disks);
    if (found !== undefined) {
      const field = found.field === "disk" || found.field === "lengthBytes" ? found.field : "offsetBytes";
      throw fileError("delta-corrupt", { ...found, field: `extents[${index}].${field}` }, entry + EXTENT_ENTRY[field], {
        disk: extent.disk,
        extentOffsetBytes: extent.offsetBytes,
        extentLengthBytes: extent.lengthBytes,
      });
    }
    extents.push(extent);
    if (extent.kind === "zero") continue;
    plainBytes += extent.lengthBytes;
    if (plainBytes > DELTA_MAX_PLAIN_BYTES) {
      const tooLarge = fault(
        "D21",
        `extents[${index}].lengthBytes`,
        "The data extents hold more plain bytes than a delta may.",
      );
      throw fileError("delta-too-large", tooLarge, entry + EXTENT_ENTRY.lengthBytes, {
        maximum: DELTA_MAX_PLAIN_BYTES,
      });
    }
    pushFrames(frames, extent);
  }
  if (frames.length !== framesExpected) {
    const found = fault("D22", "frameCount", "The extents are not cut into as many frames as the header says.");
    throw fileError("delta-corrupt", found, start, { frames: frames.length, frameCount: framesExpected });
  }
  return { extents, frames };
}

/**
 * Reads the frame storage table at `start` (D23, D24): the stored frames fill the file from the prologue to the tail.
 */
export function readStorage(
  view: DataView,
  start: number,
  frames: readonly FrameEntry[],
  tailStart: number,
): readonly StoredPlace[] {
  let offsetBytes = PROLOGUE_BYTES;
  const places = frames.map((frame, index) => {
    const entry = start + index * STORAGE_ENTRY_BYTES;
    const word = view.getUint32(entry, true);
    const lengthBytes = word % 2 ** 24;
    const number = Math.floor(word / 2 ** 24);
    const codec = CODECS.find((name) => CODEC[name] === number);
    const field = `frames[${index}]`;
    if (codec === undefined) {
      throw fileError("delta-unsupported", fault("D23", field, "The codec of the frame is unknown."), entry, {
        codec: number,
      });
    }
    const fits =
      codec === "raw" ? lengthBytes === frame.lengthBytes : lengthBytes >= 1 && lengthBytes < frame.lengthBytes;
    if (!fits || lengthBytes > tailStart - offsetBytes) {
      const found = fault("D24", field, "The stored length of the frame is wrong.");
      throw fileError("delta-corrupt", found, entry, {
        codec,
        storedLengthBytes: lengthBytes,
        plainLengthBytes: frame.lengthBytes,
      });
    }
    const place: StoredPlace = { codec, offsetBytes, lengthBytes };
    offsetBytes += lengthBytes;
    return place;
  });
  if (offsetBytes !== tailStart) {
    const found = fault("D24", "frames", "The stored frames do not fill the file up to its tail.");
    throw fileError("delta-corrupt", found, offsetBytes, { tailOffsetBytes: tailStart });
  }
  return places;
}

function readExtent(view: DataView, entry: number, index: number): Extent {
  const kind = view.getUint8(entry + EXTENT_ENTRY.kind);
  if (view.getUint8(entry + EXTENT_ENTRY.reserved) !== 0) {
    const found = fault("D7", `extents[${index}].reserved`, "A reserved byte is not zero.");
    throw fileError("delta-corrupt", found, entry + EXTENT_ENTRY.reserved);
  }
  const place = {
    disk: view.getUint16(entry + EXTENT_ENTRY.disk, true),
    offsetBytes: readUint64(view, entry + EXTENT_ENTRY.offsetBytes),
    lengthBytes: readUint64(view, entry + EXTENT_ENTRY.lengthBytes),
  };
  switch (kind) {
    case EXTENT_KIND.data:
      return { kind: "data", ...place };
    case EXTENT_KIND.zero:
      return { kind: "zero", ...place };
    case EXTENT_KIND.trim: {
      const found = fault("D16", `extents[${index}].kind`, "Trim extents are reserved for a later version.");
      throw fileError("delta-unsupported", found, entry + EXTENT_ENTRY.kind, { kind });
    }
    default: {
      const found = fault("D16", `extents[${index}].kind`, "The kind of the extent is unknown.");
      throw fileError("delta-corrupt", found, entry + EXTENT_ENTRY.kind, { kind });
    }
  }
}

/** D22: frames begin at every MiB of their extent, so that the table need not say where. */
function pushFrames(frames: FrameEntry[], extent: Extent): void {
  for (let done = 0; done < extent.lengthBytes; done += FRAME_MAX_PLAIN_BYTES) {
    frames.push({
      disk: extent.disk,
      offsetBytes: extent.offsetBytes + done,
      lengthBytes: Math.min(FRAME_MAX_PLAIN_BYTES, extent.lengthBytes - done),
    });
  }
}
