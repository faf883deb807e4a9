import { closeSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openActivity } from "../../mobility/disks/activity.ts";
import { openDirtyMap } from "../../mobility/disks/dirty-map.ts";
import type { Files } from "../../mobility/system/files.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";
import { temporaryFolder } from "./temporary.ts";

const FILES = nodeFiles();

const BINDING = "0123456789abcdef0123456789abcdef";
const GRAIN = 4096;
const PAGE_GRAINS = (4096 - 8) * 8;
/** One disk of three pages, the last of them short, and one that ends in the middle of a grain. */
const SIZES = [(2 * PAGE_GRAINS + 100) * GRAIN, 9 * GRAIN + 512];
const GRAINS = [2 * PAGE_GRAINS + 100, 10];

const open = (path: string, binding = BINDING) => openDirtyMap({ files: FILES, path, binding, sizesBytes: SIZES });

describe("dirty map", () => {
  it("is made with everything dirty, in full, and found again with what was marked and cleared", () => {
    const path = join(temporaryFolder(), "map");
    const first = open(path);
    expect([first.isNew, first.map.dirtyBytes]).toEqual([true, (GRAINS[0] ?? 0) * GRAIN + 10 * GRAIN]);
    const length = statSync(path).size;
    for (const disk of [0, 1]) first.map.clear(disk, 0, Number.MAX_SAFE_INTEGER);
    expect(first.map.dirtyBytes).toBe(0);
    first.map.mark(0, PAGE_GRAINS * GRAIN - 1, 2);
    first.map.mark(1, 9 * GRAIN, 512);
    first.map.close();
    const again = open(path);
    expect([again.isNew, again.damagedPages, again.map.dirtyBytes, statSync(path).size]).toEqual([
      false,
      0,
      3 * GRAIN,
      length,
    ]);
    expect(again.map.next(0, 0, 1024 * GRAIN)).toEqual({
      offsetBytes: (PAGE_GRAINS - 1) * GRAIN,
      lengthBytes: 2 * GRAIN,
    });
    expect(again.map.next(0, (PAGE_GRAINS + 1) * GRAIN, GRAIN)).toBeUndefined();
    expect(again.map.next(1, 0, GRAIN)).toEqual({ offsetBytes: 9 * GRAIN, lengthBytes: GRAIN });
    again.map.close();
  });

  it("forgets only grains that lie whole in what was brought over", () => {
    const { map } = open(join(temporaryFolder(), "map"));
    map.clear(0, 1, 3 * GRAIN - 1);
    expect(map.next(0, GRAIN, GRAIN)?.offsetBytes).toBe(2 * GRAIN);
    expect(map.next(0, 0, GRAIN)?.offsetBytes).toBe(0);
    map.close();
  });

  it("agrees with a set of grains, whatever is marked and cleared, and however often it is opened", () => {
    const folder = temporaryFolder();
    let run = 0;
    const range = fc.record({
      disk: fc.nat(1),
      // Around the borders of pages, where it matters.
      from: fc.oneof(
        fc.nat(20),
        fc.integer({ min: PAGE_GRAINS - 20, max: PAGE_GRAINS + 20 }),
        fc.integer({ min: 2 * PAGE_GRAINS, max: 2 * PAGE_GRAINS + 110 }),
      ),
      count: fc.integer({ min: 1, max: 60 }),
      kind: fc.constantFrom("mark", "clear", "reopen"),
    });
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), (steps) => {
        const path = join(folder, String((run += 1)));
        let { map } = open(path);
        for (const disk of [0, 1]) map.clear(disk, 0, Number.MAX_SAFE_INTEGER);
        const model = [new Set<number>(), new Set<number>()];
        for (const { disk, from, count, kind } of steps) {
          const end = Math.min(GRAINS[disk] ?? 0, from + count);
          if (kind === "reopen") {
            map.close();
            ({ map } = open(path));
          } else if (kind === "mark") map.mark(disk, from * GRAIN, count * GRAIN);
          else map.clear(disk, from * GRAIN, (from + count) * GRAIN);
          for (let grain = from; grain < end; grain += 1) {
            if (kind === "mark") model[disk]?.add(grain);
            else if (kind === "clear") model[disk]?.delete(grain);
          }
        }
        for (const [disk, grains] of model.entries()) {
          const found: number[] = [];
          for (let at = 0; ;) {
            const dirty = map.next(disk, at, 7 * GRAIN);
            if (dirty === undefined) break;
            for (
              let grain = dirty.offsetBytes / GRAIN;
              grain < (dirty.offsetBytes + dirty.lengthBytes) / GRAIN;
              grain += 1
            )
              found.push(grain);
            at = dirty.offsetBytes + dirty.lengthBytes;
          }
          expect(found).toEqual([...grains].toSorted((left, right) => left - right));
        }
        expect(map.dirtyBytes).toBe(((model[0]?.size ?? 0) + (model[1]?.size ?? 0)) * GRAIN);
        map.close();
      }),
      { numRuns: 40 },
    );
  });

  it("takes everything in a damaged page for dirty, and the map of other disks for none (rule 6)", () => {
    const path = join(temporaryFolder(), "map");
    const first = open(path);
    for (const disk of [0, 1]) first.map.clear(disk, 0, Number.MAX_SAFE_INTEGER);
    first.map.close();
    const file = openSync(path, "r+");
    writeSync(file, Buffer.from([1]), 0, 1, 2 * 4096 + 100);
    closeSync(file);
    const again = open(path);
    expect([again.isNew, again.damagedPages, again.map.dirtyBytes]).toEqual([false, 1, PAGE_GRAINS * GRAIN]);
    again.map.close();
    const other = open(path, "f".repeat(32));
    expect([other.isNew, other.map.dirtyBytes]).toEqual([true, (GRAINS[0] ?? 0) * GRAIN + 10 * GRAIN]);
    other.map.close();
  });
});

describe("activity log", () => {
  const REGION = 16_384;
  const openLog = (path: string) =>
    openActivity({ files: FILES, path, binding: BINDING, regionBytes: REGION, maxRegions: 4 });
  const settled = (): Promise<boolean> => Promise.resolve(true);

  it("lets a range be touched only when its regions are durable, and knows them after a start", async () => {
    const path = join(temporaryFolder(), "activity");
    const first = openLog(path);
    expect(first.touch(0, REGION - 512, 1024)).toBe(false);
    await first.markActive(0, REGION - 512, 1024, settled);
    expect(first.touch(0, REGION - 512, 1024)).toBe(true);
    expect(first.touch(1, 0, 512)).toBe(false);
    await first.change({ kind: "tracking", reason: "disk-full" }, 77);
    first.close();
    const again = openLog(path);
    expect([again.mode, again.redoFromSequence]).toEqual([{ kind: "tracking", reason: "disk-full" }, 77]);
    expect(again.regions().map(({ disk, offsetBytes }) => [disk, offsetBytes])).toEqual([
      [0, 0],
      [0, REGION],
    ]);
    again.close();
  });

  it("lets nothing be touched while that is on its way to the medium", async () => {
    const { promise: synced, resolve: sync } = Promise.withResolvers<void>();
    const files = { ...FILES, datasyncLater: () => synced };
    const path = join(temporaryFolder(), "activity");
    const log = openActivity({ files, path, binding: BINDING, regionBytes: REGION, maxRegions: 4 });
    const heating = log.markActive(0, 0, 512, settled);
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    expect(log.touch(0, 0, 512)).toBe(false);
    sync();
    await heating;
    expect(log.touch(0, 0, 512)).toBe(true);
    log.close();
  });

  it("lets go of what was not used for longest, and only when what it covers is on the medium", async () => {
    const log = openLog(join(temporaryFolder(), "activity"));
    for (const region of [0, 1, 2, 3]) await log.markActive(0, region * REGION, 512, settled);
    log.touch(0, 0, 512);
    await log.markActive(0, 5 * REGION, 512, () => Promise.resolve(false));
    expect(log.touch(0, 5 * REGION, 512)).toBe(false);
    // Used while the medium is waited for: it stays.
    await log.markActive(0, 5 * REGION, 512, async () => log.touch(0, REGION, 512));
    expect([5, 0, 1].map((region) => log.touch(0, region * REGION, 512))).toEqual([true, true, true]);
    expect(log.touch(0, 2 * REGION, 512)).toBe(false);
    expect(log.regions().length).toBeLessThanOrEqual(4);
    log.close();
  });

  it("believes the newer of two slots, the older when that one is torn, and refuses to guess when both are", async () => {
    const path = join(temporaryFolder(), "activity");
    const log = openLog(path);
    await log.markActive(0, 0, 512, settled);
    await log.markActive(1, 0, 512, settled);
    log.close();
    const damage = (slot: number): void => {
      const file = openSync(path, "r+");
      writeSync(file, Buffer.from([255]), 0, 1, slot * (readFileSync(path).length / 2) + 60);
      closeSync(file);
    };
    damage(1);
    const older = openLog(path);
    expect(older.regions().map(({ disk }) => disk)).toEqual([0]);
    older.close();
    damage(0);
    expect(() => openLog(path)).toThrowError(expect.objectContaining({ code: "state-corrupt" }));
  });
});

describe("a power failure while dirty map and activity log are made", () => {
  const options = { binding: BINDING, sizesBytes: [100 * GRAIN] };
  const openMap = (files: Files) => openDirtyMap({ files, path: "/map", ...options });
  const openLog = (files: Files) =>
    openActivity({ files, path: "/activity", binding: BINDING, regionBytes: 16_384, maxRegions: 4 });
  const openBoth = (files: Files) => ({ ...openMap(files), activity: openLog(files) });

  it("leaves none or a whole one, at any operation on the medium", () => {
    for (let seed = 0; seed < 200; seed += 1) {
      const medium = createMemoryMedium({ random: createRandom(seed), schedule: (work) => work() });
      const process = medium.process();
      process.dieAfter(seed % 20, "power");
      const made = attempt(() => openBoth(process.files));
      expect(made === process.isAlive).toBe(true);
      if (made) medium.cutPower();
      const { damagedPages, map, activity } = openBoth(medium.process().files);
      expect([damagedPages, map.dirtyBytes, activity.mode]).toEqual([0, 100 * GRAIN, { kind: "logging" }]);
    }
  });

  it("keeps each once it is open", () => {
    for (let seed = 0; seed < 50; seed += 1) {
      for (const [open, path] of [
        [openMap, "/map"],
        [openLog, "/activity"],
      ] as const) {
        const medium = createMemoryMedium({ random: createRandom(seed), schedule: (work) => work() });
        open(medium.process().files);
        const made = medium.get(path);
        medium.cutPower();
        expect(medium.get(path)?.equals(made ?? Buffer.alloc(0))).toBe(true);
      }
    }
  });
});

/** Whether it came to its end. */
function attempt(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}
