import { readFileSync } from "node:fs";
import type { FlowVersion } from "../../replication/operations/flow-run.ts";

const LINE_LENGTH = 100;

export const goldenFile = (version: FlowVersion): string => `test/orchestrations/golden/flow-steps-${version}.txt`;

/** Of a step as the driver writes it down: the activity, or `wait`. What else it holds is no matter to a replay. */
export function stepName(step: string): string {
  const { kind, name } = JSON.parse(step) as { readonly kind: string; readonly name?: string };
  return name ?? kind;
}

/** A heading for each scenario, and its steps; a task begins a line. */
export function stepsText(scenarios: readonly (readonly [string, readonly string[]])[]): string {
  return scenarios.map(([heading, steps]) => `# ${heading}\n${linesOf(steps).join("\n")}\n`).join("\n");
}

function linesOf(steps: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (const step of steps) {
    const last = lines.at(-1);
    if (last === undefined || step === "turnTasks" || last.length + step.length > LINE_LENGTH) lines.push(step);
    else lines[lines.length - 1] = `${last} ${step}`;
  }
  return lines;
}

/** What was written down of a version, by scenario. */
export function goldenSteps(version: FlowVersion): ReadonlyMap<string, readonly string[]> {
  const sections = readFileSync(goldenFile(version), "utf8").split(/^# /m).slice(1);
  return new Map(
    sections.map((section) => {
      const [heading = "", ...lines] = section.split("\n");
      return [
        heading,
        lines
          .join(" ")
          .split(" ")
          .filter((step) => step !== ""),
      ];
    }),
  );
}
