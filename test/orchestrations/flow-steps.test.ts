import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FLOW_VERSION, FLOW_VERSIONS, type FlowVersion } from "../../replication/operations/flow-run.ts";
import { goldenFile, goldenSteps, stepName, stepsText } from "./flow-golden.ts";
import { FLOW_SCENARIOS, type FlowScenario } from "./flow-scenarios.ts";
import { emptyHistory } from "./world.ts";

/**
 * What must stay as it is, for runs that have begun replay it: the order of the steps of every flow, in every version
 * that this app runs. Inputs and durations may change; activities and timers, and their order, may not.
 */
function requireSame(steps: readonly string[], written: readonly string[]): void {
  const at = [...steps, ...written].findIndex((_step, index) => steps[index] !== written[index]);
  if (at < 0) return;
  throw new Error(
    `Step ${at} is ${steps[at] ?? "none"} and was ${written[at] ?? "none"}. Runs that have begun under this version ` +
      "replay the order that is written down, and would fail. Leave the order as it was, or make a new version: " +
      'CONTRIBUTING.md, "Change the order of the steps of a flow".',
  );
}

/** The steps, and how the job ends. */
async function steps({ open, request }: FlowScenario, version: FlowVersion): Promise<readonly string[]> {
  const world = await open();
  const { run } = await world.ask(request);
  const history = emptyHistory();
  const job = await world.finish({ ...run, version }, { history });
  return [...history.steps.map(stepName), job.state];
}

/** A version that is new has no list yet: it is written by the first run, and never again by a test. */
async function writeOnce(version: FlowVersion): Promise<void> {
  if (existsSync(goldenFile(version)) || process.env["CI"] !== undefined) return;
  const all: (readonly [string, readonly string[]])[] = [];
  for (const scenario of FLOW_SCENARIOS)
    all.push([`${scenario.flow}: ${scenario.name}`, await steps(scenario, version)]);
  writeFileSync(goldenFile(version), stepsText(all));
}

describe.each(FLOW_VERSIONS)("version %i", (version) => {
  it("has a list of its steps, for every scenario and no other", async () => {
    await writeOnce(version);
    expect([...goldenSteps(version).keys()]).toEqual(FLOW_SCENARIOS.map(({ flow, name }) => `${flow}: ${name}`));
  });

  it.each(FLOW_SCENARIOS)("$flow: $name", async (scenario) => {
    const written = goldenSteps(version).get(`${scenario.flow}: ${scenario.name}`);
    expect(written?.length).toBeGreaterThan(5);
    requireSame(await steps(scenario, version), written ?? []);
  });
});

it("a version differs from the one before it, or is none", () => {
  const texts = FLOW_VERSIONS.map((version) => readFileSync(goldenFile(version), "utf8"));
  expect(new Set(texts).size).toBe(FLOW_VERSIONS.length);
  expect(FLOW_VERSIONS.at(-1)).toBe(FLOW_VERSION);
  expect([...FLOW_VERSIONS]).toEqual(FLOW_VERSIONS.map((_version, at) => FLOW_VERSIONS[0] + at));
});
