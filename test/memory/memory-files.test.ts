import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Files } from "../../mobility/system/files.ts";
import { describeFiles } from "../contracts/files.ts";
import { createMemoryMedium } from "./memory-files.ts";
import type { MediumOptions, MemoryMedium } from "./memory-medium.ts";
import { createRandom } from "./random.ts";

const medium = (seed = 1, options: Partial<MediumOptions> = {}): MemoryMedium =>
  createMemoryMedium({ random: createRandom(seed), schedule: (work) => void setImmediate(work), ...options });

describeFiles("in memory", () => {
  const { files } = medium().process();
  files.makeFolder("/folder", 0o700);
  return { files, folder: "/folder" };
});

const SEEDS = Array.from({ length: 400 }, (_, seed) => seed);

function write(files: Files, path: string, bytes: Buffer, sync: boolean): void {
  const file = files.open(path, "w");
  files.write(file, bytes, 0, bytes.length, 0);
  if (sync) files.sync(file);
  files.close(file);
}

function syncPath(files: Files, path: string): void {
  const file = files.open(path, "r");
  files.sync(file);
  files.close(file);
}

/** What a power failure leaves of the work, for every seed. */
function left(
  work: (files: Files, disk: MemoryMedium) => void,
  look: (disk: MemoryMedium) => string,
): ReadonlySet<string> {
  return new Set(
    SEEDS.map((seed) => {
      const disk = medium(seed);
      work(disk.process().files, disk);
      disk.cutPower();
      return look(disk);
    }),
  );
}
const textAt =
  (path: string) =>
  (disk: MemoryMedium): string =>
    disk.get(path)?.toString("latin1") ?? "missing";

describe("a power failure of the model", () => {
  it("keeps what was synced under a name whose folder was synced, and nothing else for certain", () => {
    const synced = (files: Files): void => {
      write(files, "/file", Buffer.from("new"), true);
      syncPath(files, "/");
    };
    expect(left(synced, textAt("/file"))).toEqual(new Set(["new"]));
    expect(left((files) => write(files, "/file", Buffer.from("new"), true), textAt("/file"))).toEqual(
      new Set(["missing", "new"]),
    );
    const unsynced = (files: Files): void => {
      write(files, "/file", Buffer.from("new"), false);
      syncPath(files, "/");
    };
    expect(left(unsynced, textAt("/file"))).toEqual(new Set(["", "new", "\0\0\0"]));
  });

  it("tears what was not synced by sectors, between all that was written there", () => {
    const results = left(
      (files, disk) => {
        disk.put("/file", Buffer.alloc(1024, "a"));
        const file = files.open("/file", "r+");
        for (const letter of ["b", "c"]) files.write(file, Buffer.alloc(1024, letter), 0, 1024, 0);
      },
      (disk) => [0, 512].map((at) => String.fromCodePoint(disk.get("/file")?.[at] ?? 0)).join(""),
    );
    expect([...results].toSorted()).toEqual(["aa", "ab", "ac", "ba", "bb", "bc", "ca", "cb", "cc"]);
  });

  it("leaves of a rename all or nothing, and brings back what was removed", () => {
    const look = (disk: MemoryMedium): string => `${textAt("/a")(disk)} ${textAt("/b")(disk)}`;
    const renamed = left((files, disk) => {
      disk.put("/a", Buffer.from("new"));
      disk.put("/b", Buffer.from("old"));
      files.rename("/a", "/b");
    }, look);
    expect(renamed).toEqual(new Set(["missing new", "new old"]));
    const removed = left((files, disk) => {
      disk.put("/a", Buffer.from("text"));
      files.remove("/a");
    }, look);
    expect(removed).toEqual(new Set(["missing missing", "text missing"]));
  });

  it("may lose a folder that was made, with all that is in it", () => {
    const made = (files: Files): void => {
      files.makeFolder("/folder", 0o700);
      write(files, "/folder/file", Buffer.from("x"), true);
      syncPath(files, "/folder");
    };
    expect(left(made, textAt("/folder/file"))).toEqual(new Set(["missing", "x"]));
  });

  it("does not count what was written after an asynchronous sync was asked for", async () => {
    const results = new Set<string>();
    for (const seed of SEEDS) {
      const disk = medium(seed);
      disk.put("/file", Buffer.from("a"));
      const { files } = disk.process();
      const file = files.open("/file", "r+");
      files.write(file, Buffer.from("b"), 0, 1, 0);
      const synced = files.datasyncLater(file);
      files.write(file, Buffer.from("c"), 0, 1, 0);
      await synced;
      disk.cutPower();
      results.add(textAt("/file")(disk));
    }
    expect(results).toEqual(new Set(["b", "c"]));
  });

  it("may show old bytes where a file grew without a sync", () => {
    const results = left(
      (files, disk) => {
        disk.put("/old", Buffer.alloc(512, "o"));
        files.remove("/old");
        disk.put("/file", Buffer.alloc(0));
        const file = files.open("/file", "r+");
        files.write(file, Buffer.alloc(512, "n"), 0, 512, 0);
      },
      (disk) => textAt("/file")(disk).slice(0, 1),
    );
    expect(results).toEqual(new Set(["", "n", "o", "\0"]));
  });

  it("is the same for the same seed", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const [first, second] = [seed, seed].map((each) => {
          const disk = medium(each, { shortWriteChance: 0.5 });
          const { files } = disk.process();
          for (const name of ["/a", "/b", "/c"]) write(files, name, Buffer.alloc(3000, name), name === "/b");
          files.rename("/a", "/b");
          disk.cutPower();
          return disk.paths().map((path) => [path, disk.get(path)?.toString("latin1")]);
        });
        expect(first).toEqual(second);
      }),
      { numRuns: 20 },
    );
  });
});

describe("a read of the model that takes its time", () => {
  it("shows with every second one what was there at its call, else what is there at its answer", async () => {
    const disk = medium();
    disk.put("/a", Buffer.from("old"));
    const { files } = disk.process();
    const file = files.open("/a", "r+");
    const shown: string[] = [];
    for (let read = 0; read < 2; read += 1) {
      files.write(file, Buffer.from("old"), 0, 3, 0);
      const target = Buffer.alloc(3);
      const done = files.readLater(file, target, 0, 3, 0);
      files.write(file, Buffer.from("new"), 0, 3, 0);
      await done;
      shown.push(target.toString());
    }
    expect(shown).toEqual(["new", "old"]);
  });
});

describe("a killed process of the model", () => {
  it("keeps every write; what was under way is done or not, and nothing of it is heard", async () => {
    const results = new Set<string>();
    for (const seed of SEEDS) {
      const disk = medium(seed);
      const process = disk.process();
      write(process.files, "/a", Buffer.from("a"), false);
      let heard = false;
      const over = (): void => void (heard = true);
      process.files.renameLater("/a", "/b").then(over, over);
      process.kill();
      await new Promise((resolve) => void setImmediate(resolve));
      results.add(disk.paths().join());
      expect([heard, process.isAlive, process.openPaths.length, disk.get(disk.paths()[0] ?? "")?.length]).toEqual([
        false,
        false,
        0,
        1,
      ]);
      expect(() => process.files.readFile("/a")).toThrowError(/dead/);
    }
    expect(results).toEqual(new Set(["/a", "/b"]));
  });

  it("dies in the middle of an operation when it shall", () => {
    const results = new Set<number>();
    for (const seed of SEEDS) {
      const disk = medium(seed);
      disk.put("/file", Buffer.alloc(0));
      const process = disk.process();
      const file = process.files.open("/file", "r+");
      process.dieAfter(1, seed % 2 === 0 ? "kill" : "power");
      process.files.write(file, Buffer.alloc(100), 0, 100, 0);
      expect(() => process.files.write(file, Buffer.alloc(1024), 0, 1024, 100)).toThrowError(/dead/);
      expect(process.isAlive).toBe(false);
      if (seed % 2 === 0) results.add(disk.get("/file")?.length ?? 0);
    }
    // None of it, a part that ends with a sector, or all.
    expect(results).toEqual(new Set([100, 512, 1024, 1124]));
  });
});

describe("a full or failing model", () => {
  it("takes what fits, then nothing, and goes on when there is room", () => {
    const disk = medium(1, { capacityBytes: 1000 });
    const { files } = disk.process();
    const file = files.open("/file", "w");
    expect(files.freeBytes("/")).toBe(1000);
    expect([files.write(file, Buffer.alloc(1200), 0, 1200, 0), disk.usedBytes, files.freeBytes("/")]).toEqual([
      1000, 1000, 0,
    ]);
    const full = expect.objectContaining({ code: "ENOSPC" });
    expect(() => files.write(file, Buffer.alloc(1), 0, 1, 1000)).toThrowError(full);
    expect(() => files.open("/other", "w")).toThrowError(full);
    // In place there is always space.
    expect(files.write(file, Buffer.alloc(10), 0, 10, 990)).toBe(10);
    disk.capacityBytes = 2000;
    expect(files.write(file, Buffer.alloc(10), 0, 10, 995)).toBe(10);
    files.remove("/file");
    expect(disk.usedBytes).toBe(1005);
    files.close(file);
    expect(disk.usedBytes).toBe(0);
  });

  it("fails as planned: so often, for these paths, before or after the effect", async () => {
    const disk = medium();
    const { files } = disk.process();
    disk.fail({ operations: ["write"], path: /a$/, code: "EIO", when: "after", times: 1 });
    const heal = disk.fail({ operations: ["rename"], path: /b$/, code: "EIO", when: "before" });
    const io = expect.objectContaining({ code: "EIO" });
    expect(() => write(files, "/a", Buffer.from("x"), false)).toThrowError(io);
    expect(textAt("/a")(disk)).toBe("x");
    write(files, "/a", Buffer.from("y"), false);
    for (let time = 0; time < 3; time += 1) expect(() => files.rename("/a", "/b")).toThrowError(io);
    await expect(files.renameLater("/a", "/b")).rejects.toMatchObject({ code: "EIO" });
    files.rename("/a", "/c");
    heal();
    files.rename("/c", "/b");
    expect(disk.paths()).toEqual(["/b"]);
  });

  it("a sync that failed has lost part of what it should have kept: the next one does not bring it", () => {
    const results = left(
      (files, disk) => {
        disk.put("/file", Buffer.alloc(1024, "a"));
        disk.fail({ operations: ["datasync"], path: /file/, code: "EIO", when: "before", times: 1 });
        const file = files.open("/file", "r+");
        files.write(file, Buffer.alloc(1024, "b"), 0, 1024, 0);
        expect(() => files.datasync(file)).toThrowError(/EIO/);
        files.datasync(file);
        expect(files.readFile("/file").equals(Buffer.alloc(1024, "b"))).toBe(true);
      },
      (disk) => [0, 512].map((at) => String.fromCodePoint(disk.get("/file")?.[at] ?? 0)).join(""),
    );
    expect([...results].toSorted()).toEqual(["aa", "ab", "ba", "bb"]);
  });
});
