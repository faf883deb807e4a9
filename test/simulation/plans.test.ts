import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { describe, expect, it } from "vitest";
import { applied } from "../mutants/mutant.ts";
import { runHistory } from "./history.ts";
import { PLANS } from "./plans.ts";
import { PLANTED_FAULTS, type PlantedFault } from "./planted.ts";

describe("histories that found a fault", () => {
  for (const { name, story, plan } of PLANS) {
    it(`${name}: ${story}`, async () => {
      expect((await runHistory(plan)).wrong).toEqual([]);
    });
  }
});

/** The changed files, by their names. */
function plantedIn({ edits }: PlantedFault): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const edit of edits)
    texts.set(edit.file, applied(edit, texts.get(edit.file) ?? readFileSync(edit.file, "utf8")));
  return texts;
}

describe("the faults that are planted again", () => {
  it("can all be planted, and what stands there afterwards is TypeScript", () => {
    for (const text of PLANTED_FAULTS.flatMap((fault) => [...plantedIn(fault).values()])) {
      expect(() => stripTypeScriptTypes(text)).not.toThrow();
    }
  });

  it("have a plan each that finds it (npm run planted -- --known)", () => {
    expect(PLANS.map(({ name }) => name).toSorted()).toEqual(PLANTED_FAULTS.map(({ name }) => name).toSorted());
  });
});
