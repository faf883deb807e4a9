import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { recoverJournal } from "../../mobility/capture/recover.ts";
import { openImage } from "../../mobility/disks/image.ts";
import { openJournal } from "../../mobility/journal/journal.ts";
import type { JournalRecord } from "../../mobility/journal/record.ts";
import { parseSegment, readSegment, segmentName } from "../../mobility/journal/segment.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";
import { temporaryFolder } from "./temporary.ts";

const FILES = nodeFiles();

const BINDING = "0123456789abcdef0123456789abcdef";
const EMPTY = Buffer.alloc(0);
const SEED = { pass: 1, done: false };

type Entry = Omit<JournalRecord, "sequence">;
const entry = (kind: Entry["kind"], offsetBytes: number, lengthBytes: number, timeMs = 1000): Entry => ({
  kind,
  disk: 0,
  pass: kind.startsWith("seed") ? 1 : 0,
  timeMs,
  offsetBytes,
  lengthBytes,
});

/** A journal of `segments`, each with records that write its number over and over; the content of its files. */
function sampleJournal(folder: string, segments: readonly number[]): void {
  const journal = openJournal({ files: FILES, folder, binding: BINDING, number: 1, firstSequence: 1 });
  for (const [index, records] of segments.entries()) {
    if (index > 0) journal.cut();
    for (let record = 0; record < records; record += 1) {
      const data = Buffer.alloc(512, 16 * (index + 1) + record);
      if (record % 3 === 2) journal.append(entry("zero", 512 * record, 1024), EMPTY);
      else journal.append(entry("write", 512 * record, 512), data);
    }
  }
  journal.close();
}

describe("journal segment", () => {
  it("that finds no room for its header leaves no file open, however often it is tried", () => {
    const medium = createMemoryMedium({ random: createRandom(1), schedule: (work) => work() });
    medium.put("/journal/x", EMPTY);
    const process = medium.process();
    const { files } = process;
    const journal = openJournal({ files, folder: "/journal", binding: BINDING, number: 1, firstSequence: 1 });
    const undo = medium.fail({ operations: ["write"], path: /\.log$/, code: "ENOSPC", when: "before" });
    for (let tries = 0; tries < 3; tries += 1) {
      expect(() => journal.append(entry("write", 0, 512), Buffer.alloc(512))).toThrow(
        expect.objectContaining({ code: "capture-failed" }),
      );
    }
    expect(process.openPaths).toEqual(["/journal"]);
    undo();
    journal.append(entry("write", 0, 512), Buffer.alloc(512));
    journal.close();
    expect(process.openPaths).toEqual([]);
  });

  it("keeps every record before a tear, wherever the tear is, and nothing else (rule 4)", () => {
    const folder = temporaryFolder();
    sampleJournal(folder, [6]);
    const bytes = readFileSync(join(folder, segmentName(1)));
    const whole = parseSegment(bytes);
    expect([whole.records.length, whole.torn]).toEqual([6, false]);
    const ends: number[] = [64];
    for (const { data } of whole.records) ends.push((ends.at(-1) ?? 0) + 56 + data.length);
    for (let length = 0; length < bytes.length; length += 1) {
      const found = parseSegment(bytes.subarray(0, length));
      const complete = ends.filter((end) => end <= length).length - 1;
      expect(found.records.length).toBe(Math.max(0, complete));
      expect(found.torn).toBe(!ends.includes(length));
      expect(found.intactBytes).toBe(Math.max(0, ...ends.filter((end) => end <= length)));
    }
  });

  it("believes no damaged byte: with any bit flipped only the records before it are read (rule 6)", () => {
    const folder = temporaryFolder();
    sampleJournal(folder, [5]);
    const bytes = readFileSync(join(folder, segmentName(1)));
    const whole = parseSegment(bytes).records.map(({ header, data }) => ({ header, data: Buffer.from(data) }));
    for (let at = 0; at < bytes.length; at += 1) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      const found = parseSegment(damaged);
      expect(found.torn).toBe(true);
      expect(found.records.map(({ header, data }) => ({ header, data }))).toEqual(whole.slice(0, found.records.length));
    }
  });

  it("takes any bytes without an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        expect(parseSegment(Buffer.from(bytes)).records).toEqual([]);
      }),
    );
  });
});

describe("journal recovery", () => {
  const image = (folder: string, sizeBytes = 65_536) => {
    const path = join(folder, "disk.img");
    writeFileSync(path, EMPTY);
    truncateSync(path, sizeBytes);
    return { path, image: openImage(FILES, "disk", path, 512) };
  };
  const world = (segments: readonly number[]) => {
    const folder = temporaryFolder();
    const journalFolder = join(folder, "journal");
    mkdirSync(journalFolder);
    sampleJournal(journalFolder, segments);
    const disk = image(folder);
    const recover = (
      changes: {
        sealedSegment?: number;
        sealedSequence?: number;
        binding?: string;
        redoFromSequence?: number;
        imagesSegment?: number;
      } = {},
    ) =>
      recoverJournal({
        files: FILES,
        folder: journalFolder,
        binding: BINDING,
        sealedSegment: 0,
        sealedSequence: 0,
        redoFromSequence: 0,
        images: [disk.image],
        seed: SEED,
        ...changes,
      });
    return { journalFolder, disk, recover };
  };
  const model = (segments: readonly number[], lastRecords = Number.POSITIVE_INFINITY): Buffer => {
    const bytes = Buffer.alloc(65_536);
    for (const [index, records] of segments.entries()) {
      const count = index === segments.length - 1 ? Math.min(records, lastRecords) : records;
      for (let record = 0; record < count; record += 1) {
        if (record % 3 === 2) bytes.fill(0, 512 * record, 512 * record + 1024);
        else bytes.fill(16 * (index + 1) + record, 512 * record, 512 * record + 512);
      }
    }
    return bytes;
  };

  it("redoes every record in order, and doing it twice changes nothing (rule 10)", () => {
    const { disk, recover } = world([5, 4, 7]);
    const first = recover();
    expect(readFileSync(disk.path).equals(model([5, 4, 7]))).toBe(true);
    expect(first).toMatchObject({
      nextNumber: 4,
      nextSequence: 17,
      damaged: false,
      redoneRecords: 16,
      lastWriteMs: 1000,
    });
    expect(first.unsealed.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(recover()).toEqual(first);
    expect(readFileSync(disk.path).equals(model([5, 4, 7]))).toBe(true);
  });

  it("cuts a torn tail off the last segment, which is no damage", () => {
    const { journalFolder, disk, recover } = world([5, 4]);
    const path = join(journalFolder, segmentName(2));
    truncateSync(path, readSegment(FILES, path).intactBytes - 1);
    expect(recover()).toMatchObject({ damaged: false, nextSequence: 9 });
    expect(readSegment(FILES, path)).toMatchObject({ torn: false });
    expect(readFileSync(disk.path).equals(model([5, 4], 3))).toBe(true);
  });

  it("calls a hole in the middle damage, and still redoes what stands behind it", () => {
    const { journalFolder, disk, recover } = world([5, 4]);
    const path = join(journalFolder, segmentName(1));
    truncateSync(path, readSegment(FILES, path).intactBytes - 1);
    expect(recover().damaged).toBe(true);
    expect(
      readFileSync(disk.path)
        .subarray(0, 2048)
        .equals(model([5, 4]).subarray(0, 2048)),
    ).toBe(true);
  });

  it("calls a whole segment that is missing damage, unless the log had begun anew behind it", () => {
    const { journalFolder, recover } = world([5, 4, 2]);
    rmSync(join(journalFolder, segmentName(2)));
    expect(recover().damaged).toBe(true);
    expect(recover({ redoFromSequence: 10 })).toMatchObject({ damaged: false, redoneRecords: 2, nextSequence: 12 });
  });

  it("redoes nothing of an older segment that lies under the name of the last one", () => {
    const { journalFolder, disk, recover } = world([5, 4, 1]);
    writeFileSync(join(journalFolder, segmentName(3)), readFileSync(join(journalFolder, segmentName(1))));
    expect(recover()).toMatchObject({ damaged: false, redoneRecords: 9, nextSequence: 10, nextNumber: 4 });
    expect(readdirSync(journalFolder).toSorted()).toEqual([segmentName(1), segmentName(2)]);
    expect(readFileSync(disk.path).equals(model([5, 4]))).toBe(true);
  });

  it("redoes sealed segments too, but makes no epoch of them", () => {
    const { disk, recover } = world([5, 4, 2]);
    const found = recover({ sealedSegment: 2, sealedSequence: 9 });
    expect(found).toMatchObject({ sealed: [1, 2], damaged: false, nextSequence: 12 });
    expect(found.unsealed.map(({ number }) => number)).toEqual([3]);
    expect(readFileSync(disk.path).equals(model([5, 4, 2]))).toBe(true);
  });

  it("refuses the journal of another stream or of other disks", () => {
    const { recover } = world([1]);
    expect(() => recover({ binding: "f".repeat(32) })).toThrowError(expect.objectContaining({ code: "state-corrupt" }));
  });

  it("goes on behind an empty journal", () => {
    const { recover } = world([0]);
    expect(recover({ sealedSegment: 7, sealedSequence: 70 })).toMatchObject({
      nextNumber: 8,
      nextSequence: 71,
      unsealed: [],
      damaged: false,
    });
  });

  it("does not redo what the images had before they moved on without the log", () => {
    const { disk, recover } = world([5, 4]);
    // The guest wrote over record 1 and the last one after the log had ended.
    disk.image.write(Buffer.alloc(512, 99), 512);
    expect(recover({ redoFromSequence: 6 })).toMatchObject({ redoneRecords: 4, nextSequence: 10, damaged: false });
    const expected = Buffer.alloc(65_536);
    model([0, 4]).copy(expected);
    expect(readFileSync(disk.path).equals(expected)).toBe(true);
    expect(recover({ redoFromSequence: 20 })).toMatchObject({ redoneRecords: 0, nextSequence: 20 });
  });

  it("removes a segment that a crash of the machine brought back, and redoes nothing of it", () => {
    const { journalFolder, disk, recover } = world([5, 4]);
    expect(recover({ sealedSegment: 1, sealedSequence: 5, imagesSegment: 1 })).toMatchObject({
      redoneRecords: 4,
      sealed: [],
      damaged: false,
    });
    expect(readdirSync(journalFolder)).toEqual([segmentName(2)]);
    expect(readFileSync(disk.path).equals(model([0, 4]))).toBe(true);
  });

  it("knows whether the pass of seeding came to its end", () => {
    const { journalFolder, recover } = world([1]);
    const journal = openJournal({ files: FILES, folder: journalFolder, binding: BINDING, number: 2, firstSequence: 2 });
    journal.append(entry("seed", 4096, 512), Buffer.alloc(512, 1));
    journal.append({ ...entry("seed-done", 0, 0), pass: 9 }, EMPTY);
    journal.close();
    expect(recover().seed).toEqual({ pass: 1, done: false });
    const more = openJournal({ files: FILES, folder: journalFolder, binding: BINDING, number: 3, firstSequence: 4 });
    more.append(entry("seed-done", 0, 0), EMPTY);
    more.close();
    expect(recover().seed).toEqual({ pass: 1, done: true });
  });
});

describe("journal durability", () => {
  it("answers flushes that come at the same time and across cuts, and closes what it no longer needs", async () => {
    const folder = temporaryFolder();
    const journal = openJournal({ files: FILES, folder, binding: BINDING, number: 1, firstSequence: 1 });
    const flushes: Promise<void>[] = [];
    for (let index = 0; index < 30; index += 1) {
      journal.append(entry("write", 0, 512), Buffer.alloc(512, index));
      flushes.push(journal.sync());
      if (index % 7 === 6) {
        const closed = journal.cut();
        if (index % 2 === 0) journal.remove(closed);
      }
      if (index % 5 === 0) await flushes.at(-1);
    }
    await expect(Promise.all(flushes)).resolves.toHaveLength(30);
    await journal.sync();
    journal.close();
  });
});
