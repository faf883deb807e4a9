import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { needsRecovery } from "../../local/lab/ext4.ts";
import { SEED, type Point } from "../services/whole/world.ts";
import { type Finding, RECORD_BYTES, fileContent, judge } from "./oracle.ts";
import { type Story, filesDue, playStory, pointsAround } from "./story.ts";
import { needVm } from "./tools.ts";

const { skip, note } = needVm();
const BLOCK_BYTES = 4096;
const SIDE_BY_SIDE = 2;

interface RestoredPoint {
  readonly point: Point;
  readonly data: Buffer;
  readonly records: Buffer;
  readonly finding: Finding;
}

describe.skipIf(skip)(`a real VM, its ext4 file system on a disk that the mobility service serves (seed ${SEED})${note}`, () => {
  const undo: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const step of undo.toReversed()) await step();
  });

  let story: Story;
  let restored: readonly RestoredPoint[] = [];
  beforeAll(async () => {
    story = await playStory((step) => undo.push(step));
    restored = await restoreAll(story);
  });

  it("writes on while its mobility service is killed and started again, and sees no error", async () => {
    expect(story.blows.filter(({ what }) => what === "the service is killed")).toHaveLength(3);
    expect(story.vm.marks().length).toBeGreaterThan(60);
    expect(await story.vm.console()).not.toMatch(/I\/O error|EXT4-fs (error|warning)|Aborting journal|read-only/i);
  });

  it("finds after each power cut every file whose fsync had returned (rule 4)", () => {
    const boots = story.vm.boots();
    expect(boots).toHaveLength(3);
    for (const { marked, found } of boots) expect(found).toBeGreaterThanOrEqual(marked);
    expect(boots.at(-1)?.marked).toBeGreaterThan(0);
  });

  it("is restored at points before and after each blow: fsck finds nothing, and exactly the files up to one moment are there (rule 1)", () => {
    expect(restored.length).toBeGreaterThan(story.blows.length);
    const shown = restored.map(({ point, data, finding }) => {
      const due = filesDue(point, story.vm.marks());
      const files = finding.kind === "prefix" ? finding.files : -1;
      return { point: point.name, finding, mounted: needsRecovery(data), due, late: files < due };
    });
    for (const each of shown) expect(each).toMatchObject({ finding: { kind: "prefix" }, late: false });
    // Neither fsck's nor the oracle's work was trivial: journals were replayed, and the points differ.
    expect(shown.filter(({ mounted }) => mounted).length).toBeGreaterThan(story.blows.length);
    expect(new Set(shown.map(({ due }) => due)).size).toBeGreaterThan(story.blows.length);
  });

  it("equals its disks byte for byte at the last point", async () => {
    const last = restored.at(-1);
    const [data, records] = await Promise.all(story.vm.disks.map(({ path }) => readFile(path)));
    expect(last?.data.equals(data ?? Buffer.alloc(0))).toBe(true);
    expect(last?.records.equals(records ?? Buffer.alloc(0))).toBe(true);
  });

  describe("the proof itself fails", () => {
    it("when one block of a file is the one from before, which fsck cannot see", async () => {
      const { before, after } = twoPoints();
      const content = fileContent(story.known.pool, fileBetween(before, after));
      const at = after.data.indexOf(content.subarray(0, BLOCK_BYTES));
      expect(at % BLOCK_BYTES).toBe(0);
      const data = Buffer.from(after.data);
      before.data.copy(data, at, at, at + BLOCK_BYTES);
      expect(await judged({ data, records: after.records })).toMatchObject({
        kind: "refuted",
        reason: expect.stringMatching(/^file \d+ is/),
      });
    });

    it("when one record is the one from before", async () => {
      const { before, after } = twoPoints();
      const records = Buffer.from(after.records);
      const at = fileBetween(before, after) * RECORD_BYTES;
      before.records.copy(records, at, at, at + RECORD_BYTES);
      expect(await judged({ data: after.data, records })).toMatchObject({ kind: "refuted", reason: expect.stringContaining("record") });
    });

    it("when the two disks are of two points", async () => {
      const { before, after } = twoPoints();
      expect(await judged({ data: before.data, records: after.records })).toMatchObject({ kind: "refuted" });
      expect(await judged({ data: after.data, records: before.records })).toMatchObject({ kind: "refuted" });
    });
  });

  const judged = (disks: { readonly data: Buffer; readonly records: Buffer }): Promise<Finding> =>
    judge(disks, story.known, join(story.world.folder, "refuted.img"));

  /** The first point that shows files, and the last one. */
  function twoPoints(): { readonly before: RestoredPoint; readonly after: RestoredPoint } {
    const [before, after] = [restored.find(({ finding }) => filesIn(finding) > 0), restored.at(-1)];
    if (before === undefined || after === undefined || filesIn(after.finding) < filesIn(before.finding) + 10) {
      throw new Error("no two of the restored points differ enough");
    }
    return { before, after };
  }

  /** A file of more than one block that the earlier point does not have. */
  function fileBetween(before: RestoredPoint, after: RestoredPoint): number {
    for (let number = filesIn(before.finding) + 3; number < filesIn(after.finding); number += 1) {
      if (fileContent(story.known.pool, number).length > 2 * BLOCK_BYTES) return number;
    }
    throw new Error("all files are small");
  }
});

const filesIn = (finding: Finding): number => (finding.kind === "prefix" ? finding.files : 0);

async function restoreAll(story: Story): Promise<readonly RestoredPoint[]> {
  const { world, vm, known } = story;
  const waiting = pointsAround(story).map((point, index) => ({ point, index }));
  const done: RestoredPoint[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { point, index } = next;
      const [data = Buffer.alloc(0), records = Buffer.alloc(0)] = await world.operator.restore(point, vm.disks);
      const finding = await judge({ data, records }, known, join(world.folder, `restored-${index}.img`));
      done[index] = { point, data, records, finding };
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  return done;
}
