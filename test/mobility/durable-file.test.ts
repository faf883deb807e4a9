import { describe, expect, it } from "vitest";
import { makeFolderDurably } from "../../mobility/durable-file.ts";
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
