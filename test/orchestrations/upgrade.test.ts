import { describe, expect, it } from "vitest";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import { FLOW_VERSION, FLOW_VERSIONS } from "../../replication/operations/flow-run.ts";
import { drive } from "./driver.ts";
import { goldenSteps, stepName } from "./flow-golden.ts";
import { FLOW_SCENARIOS } from "./flow-scenarios.ts";
import { type FlowWorld, emptyHistory } from "./world.ts";

/** One of each flow, and those whose order a version changed. */
const UPGRADED = FLOW_SCENARIOS.filter(({ name }) =>
  [
    "into an empty region",
    "with a source that is shut down",
    "with a source that stays busy",
    "of a young point",
    "of an item that replicates",
  ].includes(name),
);
const EARLIER = FLOW_VERSIONS.filter((version) => version !== FLOW_VERSION);

/** What must be there at the end, upgraded or not. */
const left = async (world: FlowWorld): Promise<unknown> => [
  (await readManaged(world.stores, "web-1")).situation.state,
  [...world.resourceManager.resources.keys()].toSorted(),
];

it("takes every flow", () => {
  expect(new Set(UPGRADED.map(({ flow }) => flow))).toEqual(new Set(FLOW_SCENARIOS.map(({ flow }) => flow)));
});

describe.each(EARLIER)("an upgrade in the middle of a run of version %i", (version) => {
  it.each(UPGRADED)("$flow $name: after any step the run ends as it began", async (scenario) => {
    const steps = goldenSteps(version).get(`${scenario.flow}: ${scenario.name}`) ?? [];
    const written = steps.slice(0, -1);
    expect(written.length).toBeGreaterThan(5);
    const whole = await scenario.open();
    const { run: wholeRun } = await whole.ask(scenario.request);
    await whole.finish({ ...wholeRun, version });
    // Of a wait that takes a hundred looks every ninth.
    for (let done = 0; done < written.length; done += written.length > 100 ? 9 : 1) {
      const world = await scenario.open();
      const run = { ...(await world.ask(scenario.request)).run, version };
      const history = emptyHistory();
      expect(await drive(world.context, run, { history, onWait: world.pass, dieAfter: done })).toBeUndefined();
      // What the app of that version left: its steps as they were written down then.
      expect(history.steps.map(stepName)).toEqual(written.slice(0, done));
      const job = await world.finish(run, { history });
      expect([done, history.steps.map(stepName), job.state]).toEqual([done, written, steps.at(-1)]);
      expect(await left(world)).toEqual(await left(whole));
    }
  });
});

it("new runs begin under the newest version", async () => {
  const [scenario] = UPGRADED;
  const world = await scenario?.open();
  if (world === undefined || scenario === undefined) throw new Error("there are scenarios");
  expect((await world.ask(scenario.request)).run.version).toBe(FLOW_VERSION);
});
