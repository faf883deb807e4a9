import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { startSealThread } from "../../mobility/epochs/seal-thread.ts";
import { sealEpoch } from "../../mobility/epochs/seal.ts";
import { openSpool, spoolName } from "../../mobility/epochs/spool.ts";
import { openJournal } from "../../mobility/journal/journal.ts";
import type { JournalRecord } from "../../mobility/journal/record.ts";
import { segmentName } from "../../mobility/journal/segment.ts";
import { SEALING_NICENESS } from "../../mobility/limits.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { deltaName } from "../../replication/names.ts";
import { startPosition, type DiskDescription, type Position } from "../../replication/position.ts";
import { NONCE, replay } from "./replay.ts";
import { temporaryFolder } from "./temporary.ts";

const FILES = nodeFiles();

const DISKS: readonly DiskDescription[] = [
  { id: "a", sizeBytes: 262_144, sectorSizeBytes: 512 },
  { id: "b", sizeBytes: 131_072, sectorSizeBytes: 4096 },
];
const START = startPosition("vm1", 1, DISKS, NONCE);
const SEED = { pass: 1, done: true };

interface Change {
  readonly kind: "write" | "zero" | "seed" | "seed-zero" | "mark" | "cut";
  readonly disk: number;
  readonly sector: number;
  readonly sectors: number;
  readonly fill: number;
}
const change = fc.record<Change>({
  kind: fc.constantFrom("write", "write", "write", "zero", "seed", "seed-zero", "mark", "cut"),
  disk: fc.nat(1),
  sector: fc.nat(200),
  sectors: fc.integer({ min: 1, max: 160 }),
  // Zeros among the data must become zero extents without changing anything.
  fill: fc.constantFrom(0, 1, 2, 255),
});

/**
 * Records the changes in a journal, seals every segment, and returns what a target would hold, beside the byte model.
 */
function sealAll(folder: string, changes: readonly Change[]) {
  const journalFolder = join(folder, "journal");
  const spoolFolder = join(folder, "spool");
  for (const path of [journalFolder, spoolFolder]) mkdirSync(path);
  const journal = openJournal({
    files: FILES,
    folder: journalFolder,
    binding: START.checksum.slice(0, 32),
    number: 1,
    firstSequence: 1,
  });
  const model = DISKS.map((disk) => Buffer.alloc(disk.sizeBytes));
  const segments: number[] = [];
  let timeMs = 5000;
  for (const { kind, disk, sector, sectors, fill } of changes) {
    if (kind === "cut") {
      segments.push(journal.cut());
      continue;
    }
    if (kind === "mark") {
      journal.append(
        { kind: "application-mark", disk: 0, pass: 0, timeMs, offsetBytes: 0, lengthBytes: 0 },
        Buffer.alloc(0),
      );
      continue;
    }
    const sizeBytes = DISKS[disk]?.sizeBytes ?? 0;
    const offsetBytes = Math.min(sector * 512, sizeBytes - 512);
    const lengthBytes = Math.min(sectors * 512, sizeBytes - offsetBytes);
    const record: Omit<JournalRecord, "sequence"> = {
      kind,
      disk,
      pass: kind.startsWith("seed") ? 1 : 0,
      timeMs,
      offsetBytes,
      lengthBytes,
    };
    const carries = kind === "write" || kind === "seed";
    journal.append(record, carries ? Buffer.alloc(lengthBytes, fill) : Buffer.alloc(0));
    model[disk]?.fill(carries ? fill : 0, offsetBytes, offsetBytes + lengthBytes);
    timeMs += fill;
  }
  segments.push(journal.cut());
  journal.close();

  let position: Position = START;
  const blobs = new Map<string, Buffer>();
  for (const segment of segments) {
    const job = {
      segmentPath: join(journalFolder, segmentName(segment)),
      spoolFolder,
      itemId: "vm1",
      disks: DISKS,
      start: position,
      seed: SEED,
    };
    const sealed = sealEpoch(FILES, job);
    expect(sealEpoch(FILES, job)).toEqual(sealed);
    if (sealed === undefined) continue;
    position = sealed.end;
    const bytes = readFileSync(join(spoolFolder, spoolName(position)));
    expect([bytes.length, createHash("md5").update(bytes).digest("base64")]).toEqual([sealed.lengthBytes, sealed.md5]);
    blobs.set(deltaName(position.stream, position.epoch), bytes);
  }
  return { model, blobs, position, spoolFolder };
}

describe("sealing", () => {
  it("rule 1: the deltas of any log, cut anywhere, chain and make target disks equal to the source", () => {
    const root = temporaryFolder();
    let run = 0;
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const folder = join(root, String((run += 1)));
        mkdirSync(folder);
        const { model, blobs, position } = sealAll(folder, changes);
        const replayed = replay(blobs);
        expect(replayed.end ?? START).toEqual(position);
        expect(replayed.images.every((image, index) => image.equals(model[index] ?? image))).toBe(true);
        expect(blobs.size === 0).toBe(changes.every(({ kind }) => kind === "cut"));
      }),
      { numRuns: 60 },
    );
  });

  it("A6: an epoch whose last record is the mark of a freeze is consistent for applications; a mark before other records says nothing", () => {
    const part = { disk: 0, sector: 1, sectors: 1, fill: 7 };
    const write: Change = { kind: "write", ...part };
    const mark: Change = { kind: "mark", ...part };
    const cut: Change = { kind: "cut", ...part };
    const { blobs } = sealAll(temporaryFolder(), [write, mark, cut, mark, cut, mark, write, cut, write]);
    expect(replay(blobs).headers.map(({ flags }) => flags.consistency)).toEqual([
      "application",
      "application",
      "crash",
      "crash",
    ]);
  });

  it.runIf(process.platform === "linux")("runs in one thread that the guest goes before", async () => {
    const thread = startSealThread();
    const folder = temporaryFolder();
    // There is no such segment, which the thread says when it has begun.
    const job = {
      segmentPath: join(folder, "none"),
      spoolFolder: folder,
      itemId: "vm1",
      disks: DISKS,
      start: START,
      seed: SEED,
    };
    await expect(thread.run(job)).rejects.toThrowError(expect.objectContaining({ facts: { reason: "ENOENT" } }));
    const niceness = readdirSync("/proc/self/task").map((id) => {
      const text = readFileSync(`/proc/self/task/${id}/stat`, "latin1");
      // Field 19 of proc(5); the third stands behind the name in brackets.
      return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[16]);
    });
    expect(niceness.filter((value) => value === SEALING_NICENESS)).toHaveLength(1);
    await thread.stop();
  });

  it("makes zero extents of long runs of zeros", () => {
    const { blobs } = sealAll(temporaryFolder(), [{ kind: "write", disk: 0, sector: 0, sectors: 512, fill: 0 }]);
    const [only] = [...blobs.values()];
    expect(only?.length).toBeLessThan(1000);
    expect(replay(blobs).images[0]?.every((byte) => byte === 0)).toBe(true);
  });

  it("carries `seeding` until the mark of the pass that counts", () => {
    const folder = temporaryFolder();
    const journal = openJournal({
      files: FILES,
      folder,
      binding: START.checksum.slice(0, 32),
      number: 1,
      firstSequence: 1,
    });
    const mark = (pass: number): void =>
      void journal.append(
        { kind: "seed-done", disk: 0, pass, timeMs: 1, offsetBytes: 0, lengthBytes: 0 },
        Buffer.alloc(0),
      );
    mark(1);
    journal.cut();
    mark(2);
    journal.cut();
    journal.close();
    const seal = (number: number, start: Position) => {
      const seed = { pass: 2, done: false };
      return sealEpoch(FILES, {
        segmentPath: join(folder, segmentName(number)),
        spoolFolder: folder,
        itemId: "vm1",
        disks: DISKS,
        start,
        seed,
      });
    };
    const first = seal(1, START);
    const second = seal(2, first?.end ?? START);
    expect([first?.seed.done, second?.seed.done]).toEqual([false, true]);
    const blobs = new Map(
      [first, second].flatMap((sealed) =>
        sealed === undefined
          ? []
          : [[deltaName(1, sealed.end.epoch), readFileSync(join(folder, spoolName(sealed.end)))] as const],
      ),
    );
    expect(replay(blobs).headers.map(({ flags }) => flags.seeding)).toEqual([true, false]);
  });
});

describe("spool", () => {
  it("keeps what is sealed and not uploaded, and forgets the rest", () => {
    const write: Change = { kind: "write", disk: 0, sector: 1, sectors: 1, fill: 1 };
    const cut: Change = { ...write, kind: "cut" };
    const { spoolFolder, blobs } = sealAll(temporaryFolder(), [write, cut, write, cut, write, cut, write]);
    const ends = [...blobs.keys()].map((_, index) => replay(blobs, index + 1).end ?? START);
    const [first = START, , third = START] = ends;
    const kept = openSpool(FILES, spoolFolder, first, third);
    expect(kept.map(({ end }) => end.epoch)).toEqual([2, 3]);
    expect(readdirSync(spoolFolder).length).toBe(2);
    expect(() => openSpool(FILES, spoolFolder, START, third)).toThrowError(
      expect.objectContaining({ code: "state-corrupt" }),
    );
  });
});
