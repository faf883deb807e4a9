import { decodeDelta, verifyFrames } from "../delta/decode.ts";
import { LeewardError } from "../errors.ts";
import { samePosition, type DiskDescription, type Position } from "../position.ts";
import type { OpenItem } from "./context.ts";
import { holdFrames, type HeldDelta, type HoldingRoom } from "./held-frames.ts";

export type DeltaPlace = "cache" | "journal";

/**
 * Decodes `bytes` and checks them against their name and the chain; `place` is for the operator. Every frame is decoded
 * now: from the intent on the delta must be applied whole, so damage must not come to light when half of it is on the
 * disks (rule 6). `room` holds the frames for writing the pages.
 */
export function checkDelta(
  open: OpenItem,
  previous: Position,
  bytes: Uint8Array,
  place: DeltaPlace,
  room: HoldingRoom = { leftBytes: 0 },
): HeldDelta {
  const { item } = open;
  const epoch = previous.epoch + 1;
  const delta = holdFrames(
    inPlace(previous.stream, epoch, place, () => decodeDelta(bytes)),
    bytes,
    room,
  );
  const { header } = delta;
  const sameName = header.itemId === item.itemId && header.stream === previous.stream && header.epoch === epoch;
  if (!sameName || !sameDisks(header.disks, item.disks)) {
    throw new LeewardError(
      "delta-foreign",
      "The delta belongs elsewhere: item, stream, epoch or disks are not those of its place.",
      {
        place,
        expectedItem: item.itemId,
        expectedStream: previous.stream,
        expectedEpoch: epoch,
        item: header.itemId,
        stream: header.stream,
        epoch: header.epoch,
      },
    );
  }
  if (!samePosition(header.start, previous)) {
    throw fork("The delta does not start where the one before it ended.", previous, header.start, place);
  }
  inPlace(previous.stream, epoch, place, () => verifyFrames(delta));
  return delta;
}

/** Adds the place of the delta to an error of the decoder. */
function inPlace<Result>(stream: number, epoch: number, place: DeltaPlace, decode: () => Result): Result {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof LeewardError)) throw error;
    throw new LeewardError(
      error.code,
      error.message,
      { ...error.facts, place, stream, epoch },
      { cause: error, hint: error.hint },
    );
  }
}

function sameDisks(left: readonly DiskDescription[], right: readonly DiskDescription[]): boolean {
  return (
    left.length === right.length &&
    left.every((disk, index) => {
      const other = right[index];
      return (
        disk.id === other?.id && disk.sizeBytes === other.sizeBytes && disk.sectorSizeBytes === other.sectorSizeBytes
      );
    })
  );
}

export function fork(message: string, expected: Position, found: Position, place: DeltaPlace): LeewardError {
  return new LeewardError("position-fork", message, {
    place,
    stream: expected.stream,
    expectedEpoch: expected.epoch,
    expectedChecksum: expected.checksum,
    foundEpoch: found.epoch,
    foundChecksum: found.checksum,
  });
}
