import { describe, expect, it } from "vitest";
import { openItemTokens } from "../../mobility/control/item-tokens.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";

const SEEDS = 40;
const FOLDER = "/var/lib/leeward/state";
const PATH = `${FOLDER}/item-token`;

/** A medium with a state folder, and tokens that differ. */
function open(seed: number) {
  const medium = createMemoryMedium({ random: createRandom(seed), schedule: (work) => work() });
  medium.process().files.makeFolder(FOLDER, 0o700);
  medium.settle();
  let made = 0;
  const random = (count: number): Buffer => Buffer.alloc(count, (made += 1));
  return { medium, tokens: () => openItemTokens(medium.process().files, random, PATH) };
}

describe("a power failure", () => {
  it("takes no token that the control plane may have heard of", () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { medium, tokens } = open(seed);
      const first = tokens();
      const kept = first.current();
      first.propose();
      const hash = first.nextHash();
      medium.cutPower();
      expect([tokens().current(), tokens().nextHash()], `seed ${seed}`).toEqual([kept, hash]);
    }
  });

  it("brings no token back that counts no more", () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { medium, tokens } = open(seed);
      const first = tokens();
      first.propose();
      first.accepted();
      const next = first.current();
      first.taken();
      medium.cutPower();
      const again = tokens();
      expect([again.current(), again.nextHash()], `seed ${seed}`).toEqual([next, undefined]);
    }
  });
});
