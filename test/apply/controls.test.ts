import { describe, expect, it } from "vitest";
import { runHistory } from "./history.ts";
import { MUTANTS } from "./mutants.ts";

/** Generous: only a hang ends a run, never a slow machine. */
const HISTORY_MAX_MS = 2_000;
/** Histories in which a mutant must have shown itself; the shyest did so in every tenth. */
const MUTANT_HISTORIES = 300;

describe("the simulation of the apply engine on stores that break a promise", () => {
  for (const [name, mutant] of Object.entries(MUTANTS)) {
    it(
      `negative control, ${name}: the check finds it`,
      async () => {
        let wrong: readonly string[] = [];
        for (let historySeed = 1; historySeed <= MUTANT_HISTORIES && wrong.length === 0; historySeed += 1) {
          ({ wrong } = await runHistory(historySeed, mutant));
        }
        expect(wrong).not.toEqual([]);
      },
      MUTANT_HISTORIES * HISTORY_MAX_MS,
    );
  }
});
