import { describe, expect, it } from "vitest";
import {
  makeFolderDurably,
  replaceFileDurably,
  replaceFileDurablyLater,
  writeFileDurably,
} from "../../mobility/system/durable-file.ts";
import type { Files } from "../../mobility/system/files.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";

const SEEDS = 40;

describe("the state folder", () => {
  it("outlives a power failure, with everything above it: acknowledged writes are in its journal", () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const medium = createMemoryMedium({ random: createRandom(seed), schedule: (work) => work() });
      makeFolderDurably(medium.process().files, "/var/lib/leeward/state/journal", 0o700);
      medium.cutPower();
      expect(medium.process().files.list("/var/lib/leeward/state"), `seed ${seed}`).toEqual(["journal"]);
    }
  });

  it("made by a start that died before it was durable, is made durable by the next one", () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const medium = createMemoryMedium({ random: createRandom(seed), schedule: (work) => work() });
      const first = medium.process();
      first.files.makeFolder("/var/lib/leeward/state", 0o700);
      first.kill();
      makeFolderDurably(medium.process().files, "/var/lib/leeward/state", 0o700);
      medium.cutPower();
      expect(medium.process().files.list("/var/lib/leeward"), `seed ${seed}`).toEqual(["state"]);
    }
  });
});

describe("a file that is replaced durably", () => {
  const ways: readonly (readonly [string, (files: Files, bytes: Buffer) => unknown])[] = [
    ["at once", (files, bytes) => replaceFileDurably(files, "/state/file", bytes)],
    ["without holding the event loop", (files, bytes) => replaceFileDurablyLater(files, "/state/file", bytes)],
    [
      "piece by piece",
      (files, bytes) => writeFileDurably(files, "/state/file.tmp", (append) => (append(bytes), "/state/file")),
    ],
  ];

  it.each(ways)("is the new one after a power failure (%s)", async (_name, replace) => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const medium = createMemoryMedium({ random: createRandom(seed), schedule: (work) => work() });
      const { files } = medium.process();
      makeFolderDurably(files, "/state", 0o700);
      for (const content of ["old", "new"]) await replace(files, Buffer.from(content));
      medium.cutPower();
      expect(medium.process().files.readFile("/state/file").toString(), `seed ${seed}`).toBe("new");
    }
  });

  it.each(ways)("is the old or the new one after a power failure at any moment (%s)", async (_name, replace) => {
    const found = new Set<string>();
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const medium = createMemoryMedium({ random: createRandom(seed), schedule: (work) => work() });
      const first = medium.process();
      makeFolderDurably(first.files, "/state", 0o700);
      await replace(first.files, Buffer.from("old"));
      first.dieAfter(seed % 8, "power");
      // Rejects, throws or is never answered.
      await Promise.race([Promise.resolve().then(() => replace(first.files, Buffer.from("new"))), turns()]).catch(
        () => undefined,
      );
      found.add(medium.process().files.readFile("/state/file").toString());
    }
    expect([...found].toSorted()).toEqual(["new", "old"]);
  });
});

async function turns(): Promise<void> {
  for (let count = 0; count < 20; count += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
