import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Verdict } from "./lane.ts";
import { type Mutant, editsOf } from "./mutant.ts";

export interface Result {
  readonly mutant: Mutant;
  readonly verdict: Verdict;
  readonly tookMs: number;
}

export type Outcome = "killed" | "equivalent" | "survived" | "broken";

/** An equivalent mutant that is killed is none: its reason is wrong. */
export function outcomeOf({ mutant, verdict }: Pick<Result, "mutant" | "verdict">): Outcome {
  if (mutant.equivalent === undefined || verdict.kind === "broken") return verdict.kind;
  return verdict.kind === "survived" ? "equivalent" : "broken";
}

export function isGood(result: Pick<Result, "mutant" | "verdict">): boolean {
  return ["killed", "equivalent"].includes(outcomeOf(result));
}

/** One line of a file of results. */
interface Line {
  readonly name: string;
  /** Tells whether the mutant is still the one that was tried. */
  readonly digest: string;
  readonly verdict: Verdict;
  readonly tookMs: number;
}

/** What a run before found good of these mutants. What survived is tried again: its tests may have changed. */
export function readResults(path: string, mutants: readonly Mutant[]): readonly Result[] {
  if (!existsSync(path)) return [];
  const texts = readFileSync(path, "utf8").split("\n");
  const lines = texts.filter((text) => text !== "").map((text) => JSON.parse(text) as Line);
  const found = new Map(lines.map((line) => [line.name, line]));
  return mutants.flatMap((mutant) => {
    const line = found.get(mutant.name);
    if (line?.digest !== digestOf(mutant)) return [];
    const result = { mutant, verdict: line.verdict, tookMs: line.tookMs };
    return isGood(result) ? [result] : [];
  });
}

export function appendResult(path: string, { mutant, verdict, tookMs }: Result): void {
  const line: Line = { name: mutant.name, digest: digestOf(mutant), verdict, tookMs: Math.round(tookMs) };
  appendFileSync(path, `${JSON.stringify(line)}\n`);
}

function digestOf(mutant: Mutant): string {
  const edits = editsOf(mutant).map(({ file, find, replace }) => [file, find, replace]);
  return createHash("sha256").update(JSON.stringify(edits)).digest("hex").slice(0, 16);
}
