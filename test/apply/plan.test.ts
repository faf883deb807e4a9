import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { holdFrames, type HeldDelta } from "../../replication/apply/held-frames.ts";
import { FRAME_MEMORY_BYTES } from "../../replication/apply/limits.ts";
import { pageWrites } from "../../replication/apply/page-bytes.ts";
import { planPages, type PageOperation } from "../../replication/apply/plan.ts";
import { decodeDelta, verifyFrames } from "../../replication/delta/decode.ts";
import type { DecodedDelta, Extent, ExtentContent } from "../../replication/delta/delta.ts";
import { PUT_PAGE_MAX_BYTES, SECTOR_BYTES } from "../../replication/limits.ts";
import type { DiskDescription } from "../../replication/position.ts";
import { createRandom, type Random } from "../memory/random.ts";
import { randomExtents } from "./random-epochs.ts";
import { CRASH, modelAfter, sealEpochs, smallItem, twoDisks } from "./small-world.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const LARGE: readonly DiskDescription[] = [{ id: "data", sizeBytes: 32 * MIB, sectorSizeBytes: 512 }];

const data = (offsetBytes: number, lengthBytes: number, value = 7): ExtentContent => ({
  kind: "data",
  disk: 0,
  offsetBytes,
  bytes: new Uint8Array(lengthBytes).fill(value),
});
const zero = (offsetBytes: number, lengthBytes: number): ExtentContent => ({
  kind: "zero",
  disk: 0,
  offsetBytes,
  lengthBytes,
});

function decoded(
  disks: readonly DiskDescription[],
  epochs: readonly (readonly ExtentContent[])[],
): readonly DecodedDelta[] {
  return sealEpochs(
    smallItem(disks, 1),
    epochs.map((extents) => ({ extents, flags: CRASH })),
  ).map(({ bytes }) => decodeDelta(bytes));
}

/** Deltas whose frames are all held, or none of them. */
function holding(deltas: readonly DecodedDelta[], room = { leftBytes: 64 * MIB }): readonly HeldDelta[] {
  return deltas.map((delta) => holdFrames(delta, new Uint8Array(), room));
}

function planOf(...epochs: readonly (readonly ExtentContent[])[]): readonly string[] {
  return planPages(decoded(LARGE, epochs).map((delta) => delta.extents)).map(
    ({ kind, offsetBytes, lengthBytes }) => `${kind} ${offsetBytes / KIB}+${lengthBytes / KIB}`,
  );
}

describe("the plan of page writes", () => {
  it("joins what is adjacent, over extents and deltas, into one Put Page", () => {
    expect(planOf([data(0, 4 * KIB), data(8 * KIB, 4 * KIB)], [data(4 * KIB, 4 * KIB)])).toEqual(["put 0+12"]);
  });

  it("leaves what no delta names untouched: a gap is never filled", () => {
    expect(planOf([data(0, 4 * KIB), data(8 * KIB, 4 * KIB)])).toEqual(["put 0+4", "put 8+4"]);
  });

  it("cuts at 4 MiB, counted from the beginning of the run", () => {
    expect(planOf([data(4 * KIB, 9 * MIB)])).toEqual(["put 4+4096", "put 4100+4096", "put 8196+1024"]);
  });

  it("clears a long run of zeros at once, whatever its length, joined over deltas", () => {
    expect(planOf([zero(0, 8 * MIB)], [zero(8 * MIB, 16 * MIB)])).toEqual(["clear 0+24576"]);
  });

  it("sends short zeros between data inside the Put Page", () => {
    expect(planOf([data(0, 4 * KIB), zero(4 * KIB, 64 * KIB), data(68 * KIB, 4 * KIB)])).toEqual(["put 0+72"]);
  });

  it("sends short zeros before or behind data with it", () => {
    expect(planOf([zero(0, 4 * KIB), data(4 * KIB, 4 * KIB)])).toEqual(["put 0+8"]);
    expect(planOf([data(0, 4 * KIB), zero(4 * KIB, 4 * KIB)])).toEqual(["put 0+8"]);
  });

  it("clears zeros that stand alone, are longer than 64 KiB, or would need a Put Page more", () => {
    expect(planOf([zero(0, 4 * KIB), data(8 * KIB, 4 * KIB)])).toEqual(["clear 0+4", "put 8+4"]);
    expect(planOf([data(0, 4 * KIB), zero(4 * KIB, 65 * KIB)])).toEqual(["put 0+4", "clear 4+65"]);
    expect(planOf([data(0, 4 * MIB), zero(4 * MIB, 4 * KIB)])).toEqual(["put 0+4096", "clear 4096+4"]);
  });

  it("a later zero over data clears it, later data over zeros wins", () => {
    expect(planOf([data(0, 1 * MIB)], [zero(0, 1 * MIB)])).toEqual(["clear 0+1024"]);
    expect(planOf([zero(0, 1 * MIB)], [data(0, 1 * MIB)])).toEqual(["put 0+1024"]);
  });

  describe("frames", () => {
    const deltas = decoded(LARGE, [
      [data(4 * KIB, 9 * MIB, 1)],
      [data(2 * MIB, 4 * MIB + 512, 2)],
      [data(3 * MIB, 8 * KIB, 3)],
    ]);
    const operations = planPages(deltas.map((delta) => delta.extents));
    let decodings: Map<number, number>[] = [];
    const counting = (): readonly DecodedDelta[] => {
      decodings = deltas.map(() => new Map());
      return deltas.map((delta, source) => ({
        ...delta,
        frame: (index) => {
          decodings[source]?.set(index, (decodings[source].get(index) ?? 0) + 1);
          return delta.frame(index);
        },
      }));
    };
    const counts = (): readonly number[] => decodings.flatMap((decoding) => [...decoding.values()]);

    it("are decoded once, even when the cuts of the Put Pages do not meet theirs, and give back their room", () => {
      const room = { leftBytes: 64 * MIB };
      expect([...pageWrites(operations, holding(counting(), room))]).toHaveLength(3);
      expect(counts().filter((count) => count !== 1)).toEqual([]);
      expect(room.leftBytes).toBe(64 * MIB);
    });

    it("that were checked before are not decoded again while there is room, and are when there is none", () => {
      const bytesOf = (held: readonly HeldDelta[]) =>
        Buffer.concat([...pageWrites(operations, held)].map(({ bytes = Buffer.of() }) => bytes));
      const roomy = holding(counting());
      for (const delta of roomy) verifyFrames(delta);
      const expected = bytesOf(roomy);
      expect(counts().filter((count) => count !== 1)).toEqual([]);
      const room = { leftBytes: 3 * MIB };
      const cramped = holding(counting(), room);
      for (const delta of cramped) verifyFrames(delta);
      // A frame of 1 MiB finds none, with what it costs beside its bytes.
      expect(room.leftBytes).toBeLessThan(MIB + FRAME_MEMORY_BYTES);
      expect(bytesOf(cramped).equals(expected)).toBe(true);
      expect(Math.max(...counts())).toBeGreaterThan(1);
    });
  });

  it("disks take turns, so that they are written side by side", () => {
    const onDisk = (disk: number, offsetBytes: number): ExtentContent => ({ ...data(offsetBytes, 4 * KIB), disk });
    const deltas = decoded(twoDisks(100), [
      [0, 8, 16].map((kib) => onDisk(0, kib * KIB)).concat([0, 8].map((kib) => onDisk(1, kib * KIB))),
    ]);
    const writes = [...pageWrites(planPages(deltas.map((delta) => delta.extents)), holding(deltas))];
    expect(writes.map(({ operation }) => `${operation.disk}:${operation.offsetBytes / KIB}`)).toEqual([
      "0:0",
      "1:0",
      "0:8",
      "1:8",
      "0:16",
    ]);
  });

  property.prop([fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })), fc.integer({ min: 1, max: 6 })])(
    "rule 1: any batch leaves the disks as its deltas one after the other would, touching only sectors that they name",
    (seed, count) => {
      const random = createRandom(seed);
      const item = smallItem(twoDisks(40), 1);
      const plans = Array.from({ length: count }, (_, index) => ({
        extents: randomExtents(random, 2, 40, index + 1),
        flags: CRASH,
      }));
      const deltas = sealEpochs(item, plans).map(({ bytes }) => decodeDelta(bytes));
      const disks = item.disks.map((disk) => new Uint8Array(disk.sizeBytes).fill(255));
      const operations = planPages(deltas.map((delta) => delta.extents));
      for (const { operation, bytes } of pageWrites(
        operations,
        holding(deltas, { leftBytes: random.pick([0, 1_000, MIB]) }),
      )) {
        expect(operation.lengthBytes).toBeGreaterThan(0);
        if (bytes === undefined)
          disks[operation.disk]?.fill(0, operation.offsetBytes, operation.offsetBytes + operation.lengthBytes);
        else disks[operation.disk]?.set(bytes, operation.offsetBytes);
      }
      // The model on disks full of 255: what nobody wrote must still be 255.
      const untouched = {
        extents: item.disks.map((disk, index) => ({ ...data(0, disk.sizeBytes, 255), disk: index })),
        flags: CRASH,
      };
      expect(disks).toEqual(modelAfter(item, [untouched, ...plans], count + 1));
      expect(overlaps(operations)).toEqual([]);
    },
  );

  property.prop([fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 }))])(
    "a request is aligned, at most 4 MiB long, and never overlaps another",
    (seed) => {
      const random = createRandom(seed);
      const batches = Array.from({ length: 4 }, () => largeExtents(random, 32 * MIB));
      const operations = planPages(batches);
      expect(
        operations.every(
          (operation) => operation.offsetBytes % SECTOR_BYTES === 0 && operation.lengthBytes % SECTOR_BYTES === 0,
        ),
      ).toBe(true);
      expect(
        operations.filter((operation) => operation.kind === "put" && operation.lengthBytes > PUT_PAGE_MAX_BYTES),
      ).toEqual([]);
      expect(overlaps(operations)).toEqual([]);
    },
  );
});

function overlaps(operations: readonly PageOperation[]): readonly PageOperation[] {
  return operations.filter((operation, index) => {
    const previous = operations[index - 1];
    return previous?.disk === operation.disk && previous.offsetBytes + previous.lengthBytes > operation.offsetBytes;
  });
}

function largeExtents(random: Random, sizeBytes: number): readonly Extent[] {
  const extents: Extent[] = [];
  let offsetBytes = random.below(64) * SECTOR_BYTES;
  for (;;) {
    const lengthBytes = (1 + random.below(random.chance(0.3) ? 12_000 : 200)) * SECTOR_BYTES;
    if (offsetBytes + lengthBytes > sizeBytes) return extents;
    extents.push({ kind: random.chance(0.3) ? "zero" : "data", disk: 0, offsetBytes, lengthBytes });
    offsetBytes += lengthBytes + (random.chance(0.5) ? 0 : random.below(300) * SECTOR_BYTES);
  }
}
