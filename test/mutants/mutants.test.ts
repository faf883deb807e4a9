import { existsSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { describe, expect, it } from "vitest";
import { MUTANTS } from "./list.ts";
import { type Mutant, applied, areaOf, editsOf } from "./mutant.ts";

/** The changed files of a mutant, by their names. */
function plantedIn(mutant: Mutant): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const edit of editsOf(mutant)) {
    texts.set(edit.file, applied(edit, texts.get(edit.file) ?? readFileSync(edit.file, "utf8")));
  }
  return texts;
}

/** What is wrong with a mutant; undefined if it can be planted and its tests are there. */
function faultOf(mutant: Mutant): string | undefined {
  try {
    for (const text of plantedIn(mutant).values()) stripTypeScriptTypes(text);
  } catch (error) {
    return `${mutant.name}: ${String(error)}`;
  }
  const missing = mutant.tests.find((test) => !existsSync(test));
  return missing === undefined ? undefined : `${mutant.name}: there is no ${missing}`;
}

describe("the mutants", () => {
  it("can all be planted: each place stands in its file once, and what stands there afterwards is TypeScript", () => {
    expect(MUTANTS.flatMap((mutant) => faultOf(mutant) ?? [])).toEqual([]);
  });

  it("have a killer or a reason each, and names of their own", () => {
    const idle = MUTANTS.filter(
      ({ tests, histories, equivalent }) => tests.length === 0 && histories === undefined && equivalent === undefined,
    );
    expect(idle).toEqual([]);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });

  it("lie in every part of the product that runs on Azure or in the source VM", () => {
    expect([...new Set(MUTANTS.map(areaOf))].toSorted()).toEqual([
      "api",
      "azure",
      "functions",
      "mobility",
      "orchestrations",
      "replication",
    ]);
    expect(MUTANTS.length).toBeGreaterThanOrEqual(130);
  });
});
