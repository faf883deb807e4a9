import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runHistory } from "./history.ts";

/** `LEEWARD_HISTORIES=20000 npx vitest run test/apply/simulation.test.ts` looks further; FC_SEED replays a run. */
const HISTORIES = Number(process.env["LEEWARD_HISTORIES"] ?? 300);
const seed = process.env["FC_SEED"];
/** Generous: only a hang ends a run, never a slow machine. */
const HISTORY_MAX_MS = 2_000;

describe("the apply engine under faults", () => {
  it(
    "rules 1 to 5: whatever arrives when, whoever stalls, crashes or lands late, every point equals the source at its position, and a clean worker gets to the end",
    async () => {
      const seen = { points: 0, claimsAgain: 0, tornClaims: 0, regionsLost: 0 };
      await fc.assert(
        fc.asyncProperty(fc.noShrink(fc.integer({ min: 1, max: 2 ** 31 - 1 })), async (historySeed) => {
          const result = await runHistory(historySeed);
          seen.points += result.points;
          seen.claimsAgain += result.claimsAgain;
          seen.tornClaims += result.tornClaims;
          seen.regionsLost += result.regionLost ? 1 : 0;
          expect(result.wrong).toEqual([]);
        }),
        { numRuns: HISTORIES, endOnFailure: true, ...(seed === undefined ? {} : { seed: Number(seed) }) },
      );
      // A simulation in which nothing happens would pass as well.
      expect(seen.points).toBeGreaterThan(HISTORIES);
      expect(seen.claimsAgain).toBeGreaterThan(HISTORIES);
      expect(seen.tornClaims).toBeGreaterThan(HISTORIES / 2);
      expect(seen.regionsLost).toBeGreaterThan(HISTORIES / 20);
    },
    HISTORIES * HISTORY_MAX_MS,
  );
});
