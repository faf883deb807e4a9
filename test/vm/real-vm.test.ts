import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { needsRecovery } from "../../local/lab/ext4.ts";
import { SEED, onSuiteEnd, type Point } from "../services/whole/world.ts";
import { type Disks, type Finding, RECORD_BYTES, fileContent, judge } from "./oracle.ts";
import { type Story, filesDue, playStory, pointsAround } from "./story.ts";
import { needVm } from "./tools.ts";

const { skip, note } = needVm();
const BLOCK_BYTES = 4096;
const SIDE_BY_SIDE = 2;

interface JudgedPoint {
  readonly point: Point;
  readonly finding: Finding;
  /** As it stood, a mount had to replay the journal of its file system. */
  readonly mounted: boolean;
}

describe.skipIf(skip)(
  `a real VM, its ext4 file system on a disk that the mobility service serves (seed ${SEED})${note}`,
  () => {
    const onEnd = onSuiteEnd();
    let story: Story;
    let points: readonly JudgedPoint[] = [];
    beforeAll(async () => {
      story = await playStory(onEnd);
      points = await judgeAll(story);
    });

    it("writes on while its mobility service is killed and started again, and sees no error", async () => {
      expect(story.blows.filter(({ what }) => what === "the service is killed")).toHaveLength(5);
      expect(story.vm.marks().length).toBeGreaterThan(60);
      expect(await story.vm.console()).not.toMatch(
        /I\/O error|EXT4-fs (error|warning)|Aborting journal|filesystem read-only/i,
      );
    });

    it("finds after each power cut every file whose fsync had returned (rule 4)", () => {
      const boots = story.vm.boots();
      expect(boots).toHaveLength(3);
      for (const { marked, found } of boots) expect(found).toBeGreaterThanOrEqual(marked);
      expect(boots.at(-1)?.marked).toBeGreaterThan(0);
    });

    it("is restored at points before and after each blow: fsck finds nothing, and exactly the files up to one moment are there (rule 1)", () => {
      const marks = story.vm.marks();
      const wrong = points.flatMap(({ point, finding }) => {
        if (finding.kind === "refuted") return [`${point.name}: ${finding.reason}`];
        const due = filesDue(point, marks);
        return finding.files < due
          ? [`${point.name}: ${finding.files} files, though ${due} were marked before its source time`]
          : [];
      });
      expect(wrong).toEqual([]);
    });

    it("is judged by points that differ, and whose journals had to be replayed", () => {
      expect(points.filter(({ mounted }) => mounted).length).toBeGreaterThanOrEqual(4);
      expect(new Set(points.map(({ finding }) => filesIn(finding))).size).toBeGreaterThanOrEqual(4);
    });

    describe("and the proof of it", () => {
      let before: Disks & { readonly files: number };
      let last: Disks & { readonly files: number };
      beforeAll(async () => {
        const [first, end] = [points.find(({ finding }) => filesIn(finding) > 0), points.at(-1)];
        if (first === undefined || end === undefined || first === end)
          throw new Error("no two of the points hold files");
        before = { ...(await restore(story, first.point)), files: filesIn(first.finding) };
        last = { ...(await restore(story, end.point)), files: filesIn(end.finding) };
      });
      const judged = (disks: Disks): Promise<Finding> =>
        judge(disks, story.known, join(story.world.folder, "refuted.img"));

      it("the last point equals its disks byte for byte", async () => {
        const [data = Buffer.alloc(0), records = Buffer.alloc(0)] = await Promise.all(
          story.vm.disks.map(({ path }) => readFile(path)),
        );
        expect(last.data.equals(data)).toBe(true);
        expect(last.records.equals(records)).toBe(true);
      });

      it("fails when one block of a file is the one from before, which fsck cannot see", async () => {
        const data = Buffer.from(last.data);
        const at = blockOfOneFile(last.data, before.files, last.files, story.known.pool);
        before.data.copy(data, at, at, at + BLOCK_BYTES);
        expect(await judged({ data, records: last.records })).toEqual({
          kind: "refuted",
          reason: expect.stringMatching(/^file \d+ is not/),
        });
      });

      it("fails when one record is the one from before", async () => {
        const records = Buffer.from(last.records);
        const at = (before.files + 3) * RECORD_BYTES;
        before.records.copy(records, at, at, at + RECORD_BYTES);
        expect(await judged({ data: last.data, records })).toEqual({
          kind: "refuted",
          reason: expect.stringMatching(/^behind record/),
        });
      });

      it("fails when the two disks are of two points", async () => {
        const reason = expect.stringMatching(/ files stand beside /);
        expect(await judged({ data: before.data, records: last.records })).toEqual({ kind: "refuted", reason });
        expect(await judged({ data: last.data, records: before.records })).toEqual({ kind: "refuted", reason });
      });
    });
  },
);

const filesIn = (finding: Finding): number => (finding.kind === "prefix" ? finding.files : 0);

async function restore({ world, vm }: Story, point: Point): Promise<Disks> {
  const [data = Buffer.alloc(0), records = Buffer.alloc(0)] = await world.operator.restore(point, vm.disks);
  return { data, records };
}

/** In the order of the points; some are restored side by side, and none is kept. */
async function judgeAll(story: Story): Promise<readonly JudgedPoint[]> {
  const waiting = [...pointsAround(story).entries()];
  const done: JudgedPoint[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, point] = next;
      const workPath = join(story.world.folder, `restored-${index}.img`);
      const disks = await restore(story, point);
      done[index] = { point, finding: await judge(disks, story.known, workPath), mounted: needsRecovery(disks.data) };
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  return done;
}

/**
 * Where the first block of a file lies that the guest made between the two counts, and that is nowhere else on the
 * disk.
 */
function blockOfOneFile(data: Buffer, after: number, until: number, pool: Buffer): number {
  for (let number = after + 3; number < until; number += 1) {
    const content = fileContent(pool, number);
    if (content.length < BLOCK_BYTES) continue;
    const block = content.subarray(0, BLOCK_BYTES);
    const at = data.indexOf(block);
    if (at % BLOCK_BYTES === 0 && data.indexOf(block, at + 1) === -1) return at;
  }
  throw new Error("no file has a block of its own");
}
