import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Guest, type GuestDisk, type GuestRequest } from "../../local/lab/guest.ts";
import { provePrefix, type OracleDisk, type Verdict } from "../../local/lab/oracle.ts";
import { seededRandom } from "../../local/lab/random.ts";
import { prefixBounds, type LogRecord } from "../../local/lab/write-log.ts";
import { recordSource } from "../../local/lab/writer.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "leeward-oracle-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function modelDisk(bytes: Buffer): GuestDisk {
  return {
    write: async (offsetBytes, content) => {
      bytes.set(content, offsetBytes);
    },
    writeZeroes: async (offsetBytes, lengthBytes) => {
      bytes.fill(0, offsetBytes, offsetBytes + lengthBytes);
    },
    trim: async () => {},
    flush: async () => {},
    close: () => {},
  };
}

/**
 * The footer as the specification has it, written here by hand so that the oracle's reader is not judged by the
 * product's writer.
 */
function footer(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.write("conectix", 0, "latin1");
  bytes.writeUInt32BE(2, 8);
  bytes.writeUInt32BE(0x00010000, 12);
  bytes.writeBigUInt64BE(0xffffffffffffffffn, 16);
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 40);
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 48);
  bytes.writeUInt32BE(2, 60);
  bytes.writeUInt32BE(~bytes.reduce((sum, byte) => sum + byte, 0) >>> 0, 64);
  return bytes;
}

interface World {
  readonly log: readonly LogRecord[];
  readonly requests: readonly GuestRequest[];
  readonly baselines: readonly Buffer[];
}

const SIZES = [MIB, 700 * KIB] as const;

/** A VM with two small disks and a log of `count` records of the lab's own writer. */
async function world(seed: number, count: number): Promise<World> {
  const baselines = SIZES.map((sizeBytes, disk) => {
    const bytes = Buffer.alloc(sizeBytes);
    seededRandom(seed, disk).fill(bytes.subarray(0, 200 * KIB));
    return bytes;
  });
  const source = recordSource(
    SIZES.map((sizeBytes, disk) => ({ disk, sizeBytes })),
    seed,
  );
  let nowMs = 1000;
  const guest = new Guest(
    baselines.map((bytes) => modelDisk(Buffer.from(bytes))),
    () => nowMs++,
    true,
  );
  const requests: GuestRequest[] = [];
  for (let number = 0; number < count; number++) {
    const request = source.next();
    requests.push(request);
    await guest.submit(request);
  }
  return { log: guest.log, requests, baselines };
}

/** The disks after those requests that `keep` chooses. */
async function replay(
  from: World,
  keep: (request: GuestRequest, number: number) => boolean,
): Promise<readonly Buffer[]> {
  const images = from.baselines.map((bytes) => Buffer.from(bytes));
  const disks = images.map(modelDisk);
  const guest = new Guest(disks, () => 0, false);
  for (const [index, request] of from.requests.entries()) if (keep(request, index + 1)) await guest.submit(request);
  return images;
}

/**
 * Every count of requests that leaves the same bytes as the first `prefix` of them: trims change nothing, and a write
 * may be taken back.
 */
async function equalPrefixes(from: World, prefix: number): Promise<readonly number[]> {
  const wanted = await replay(from, (_, number) => number <= prefix);
  const images = from.baselines.map((bytes) => Buffer.from(bytes));
  const guest = new Guest(images.map(modelDisk), () => 0, false);
  const equal: number[] = [];
  for (let count = 0; count <= from.requests.length; count += 1) {
    const request = from.requests[count - 1];
    if (request !== undefined) await guest.submit(request);
    if (images.every((image, disk) => image.equals(wanted[disk] ?? Buffer.alloc(0)))) equal.push(count);
  }
  return equal;
}

let files = 0;
async function judge(from: World, images: readonly Buffer[], change?: (vhds: Buffer[]) => void): Promise<Verdict> {
  const vhds = images.map((image) => {
    const roundedBytes = Math.ceil(image.length / MIB) * MIB;
    return Buffer.concat([image, Buffer.alloc(roundedBytes - image.length), footer(roundedBytes)]);
  });
  change?.(vhds);
  const run = ++files;
  const disks: OracleDisk[] = [];
  for (const [index, vhd] of vhds.entries()) {
    const restoredPath = join(folder, `${run}-${index}.vhd`);
    const baselinePath = join(folder, `${run}-${index}.raw`);
    await writeFile(restoredPath, vhd);
    await writeFile(baselinePath, from.baselines[index] ?? Buffer.alloc(0));
    disks.push({
      id: `disk${index}`,
      sizeBytes: images[index]?.length ?? 0,
      baselinePath,
      restoredPath,
      format: "vhd",
    });
  }
  const verdict = await provePrefix(disks, from.log);
  await Promise.all(disks.flatMap((disk) => [rm(disk.baselinePath), rm(disk.restoredPath)]));
  return verdict;
}

/** A write of the middle of the log, whose bytes are still on its disk after the first `prefix` records. */
function visibleWrite(from: World, prefix: number, pick: number): LogRecord {
  const visible = from.log.slice(0, prefix).filter((record) => {
    if (record.kind !== "write") return false;
    return !from.log
      .slice(record.number, prefix)
      .some(
        (later) =>
          later.kind !== "trim" &&
          later.disk === record.disk &&
          later.offsetBytes < record.offsetBytes + record.lengthBytes &&
          record.offsetBytes < later.offsetBytes + later.lengthBytes,
      );
  });
  const found = visible[pick % visible.length];
  if (found === undefined) throw new Error("the log has no such write");
  return found;
}

describe("the content oracle (rule 1)", () => {
  it("names the prefix that two disks hold together, for any seed and any prefix", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 40 }), async (seed, prefix) => {
        const lab = await world(seed, 40);
        const verdict = await judge(lab, await replay(lab, (_, number) => number <= prefix));
        expect(verdict).toEqual({ kind: "prefix", records: await equalPrefixes(lab, prefix) });
      }),
      // A write that the next record zeroes again, in a place that was empty before: three prefixes are equal then.
      { numRuns: 25, examples: [[388982854, 14]] },
    );
  });

  it("catches a record that is missing in the middle", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), async (seed, pick) => {
        const lab = await world(seed, 40);
        const missing = visibleWrite(lab, 38, pick);
        fc.pre(missing.number < 30);
        const verdict = await judge(lab, await replay(lab, (_, number) => number <= 38 && number !== missing.number));
        expect(verdict.kind).toBe("mismatch");
      }),
      { numRuns: 25 },
    );
  });

  it("takes the bytes of a disk without a footer, of its size and no other", async () => {
    const from = await world(1, 40);
    const images = await replay(from, (_, number) => number <= 25);
    const disks: OracleDisk[] = [];
    for (const [index, image] of images.entries()) {
      const [restoredPath, baselinePath] = [join(folder, `raw-${index}`), join(folder, `raw-${index}.first`)];
      await writeFile(restoredPath, image);
      await writeFile(baselinePath, from.baselines[index] ?? Buffer.alloc(0));
      disks.push({ id: `disk${index}`, sizeBytes: image.length, baselinePath, restoredPath, format: "raw" });
    }
    expect(await provePrefix(disks, from.log)).toEqual({ kind: "prefix", records: await equalPrefixes(from, 25) });
    await appendFile(disks[1]?.restoredPath ?? "", Buffer.alloc(512));
    expect(await provePrefix(disks, from.log)).toMatchObject({ kind: "not-a-disk", disk: "disk1" });
  });

  it("catches one disk ahead of the other", async () => {
    const lab = await world(7, 60);
    const verdict = await judge(lab, await replay(lab, (request, number) => number <= (request.disk === 0 ? 50 : 30)));
    expect(verdict.kind).toBe("mismatch");
  });

  it("catches one flipped bit anywhere and says where it is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat({ max: SIZES[1] - 1 }), fc.nat({ max: 7 }), async (seed, at, bit) => {
        const lab = await world(seed, 30);
        const verdict = await judge(lab, await replay(lab, () => true), ([, second]) =>
          second?.writeUInt8((second[at] ?? 0) ^ (1 << bit), at),
        );
        expect(verdict).toMatchObject({
          kind: "mismatch",
          disk: "disk1",
          offsetBytes: at - (at % 512),
          differingSectors: 1,
        });
      }),
      { numRuns: 25 },
    );
  });

  it("catches two records that were applied in the wrong order, and names both", async () => {
    const lab = await world(11, 0);
    const block = (fill: number): GuestRequest => ({
      kind: "write",
      disk: 0,
      offsetBytes: 0,
      bytes: Buffer.alloc(4 * KIB, fill),
      durable: "no",
    });
    const requests = [block(1), block(2), block(3)];
    const guest = new Guest([modelDisk(Buffer.alloc(MIB))], () => 0, true);
    for (const request of requests) await guest.submit(request);
    const far: World = { ...lab, log: guest.log, requests };
    // Prefix 3 would show 3; what stands there is 2, and the second half shows 1: no prefix has both.
    const images = lab.baselines.map((bytes) => Buffer.from(bytes));
    images[0]?.fill(3, 0, 2 * KIB).fill(1, 2 * KIB, 4 * KIB);
    const verdict = await judge(far, images);
    expect(verdict).toMatchObject({ kind: "mismatch", disk: "disk0" });
    expect(verdict.kind === "mismatch" && [verdict.expected, verdict.found]).toEqual([
      { kind: "record", number: 1 },
      { kind: "record", number: 3 },
    ]);
  });

  it("catches content of a record in another record's place", async () => {
    const lab = await world(13, 40);
    const [left, right] = [visibleWrite(lab, 40, 0), visibleWrite(lab, 40, 5)];
    const verdict = await judge(lab, await replay(lab, () => true), (vhds) => {
      const target = vhds[left.disk];
      const source = vhds[right.disk];
      source?.copy(target ?? source, left.offsetBytes, right.offsetBytes, right.offsetBytes + 512);
    });
    expect(verdict).toMatchObject({
      kind: "mismatch",
      expected: { kind: "record", number: left.number },
      found: { kind: "record", number: right.number },
    });
  });

  it("catches a change in a place that no record ever wrote", async () => {
    const lab = await world(17, 5);
    const verdict = await judge(lab, await replay(lab, () => true), ([first]) => first?.writeUInt8(1, MIB - 1));
    expect(verdict).toMatchObject({ kind: "mismatch", expected: { kind: "baseline" }, found: { kind: "unknown" } });
  });

  it.each([
    ["another cookie", (vhd: Buffer) => vhd.write("conectiX", vhd.length - 512, "latin1")],
    ["a checksum that does not fit", (vhd: Buffer) => vhd.writeUInt8(9, vhd.length - 20)],
    ["another size than the file", (vhd: Buffer) => footer(2 * MIB).copy(vhd, vhd.length - 512)],
    ["bytes behind the disk's end", (vhd: Buffer) => vhd.writeUInt8(1, 900 * KIB)],
  ])("refuses a VHD with %s", async (_, change) => {
    const lab = await world(19, 3);
    const verdict = await judge(lab, await replay(lab, () => true), ([, second]) => {
      if (second !== undefined) change(second);
    });
    expect(verdict.kind).toBe("not-a-disk");
  });
});

describe("the bounds of a point's prefix", () => {
  const records = [1, 2, 3].map((number): LogRecord => ({
    number,
    kind: "write",
    disk: 0,
    offsetBytes: 0,
    lengthBytes: 512,
    digests: new Uint8Array(0),
    begunMs: number * 100,
    acknowledgedMs: number * 100 + 50,
  }));
  it("holds every record acknowledged before the source time and none begun after it", () => {
    expect(prefixBounds(records, 220, 0)).toEqual({ atLeast: 1, atMost: 2 });
    expect(prefixBounds(records, 99, 0)).toEqual({ atLeast: 0, atMost: 0 });
    expect(prefixBounds(records, 1000, 0)).toEqual({ atLeast: 3, atMost: 3 });
  });
  it("gives way by the tolerance of the clocks on both sides", () => {
    expect(prefixBounds(records, 255, 10)).toEqual({ atLeast: 1, atMost: 2 });
    expect(prefixBounds(records, 295, 10)).toEqual({ atLeast: 2, atMost: 3 });
  });
});
