import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type HistoryEvent, EventType } from "../../../functions-host/durable/history.ts";
import { orchestratorInput } from "../../../functions-host/durable/payload.ts";
import { decide } from "../../../functions-host/durable/replay/decide.ts";
import { SCENARIOS } from "./golden-scenarios.ts";
import { answerOf } from "./sdk.ts";
import { makeWorld } from "./world.ts";

const folder = new URL("golden/", import.meta.url);
const fileOf = (name: string): URL => new URL(`${name}.json`, folder);

interface Golden {
  readonly output: unknown;
  readonly history: readonly HistoryEvent[];
}
const read = (name: string): Golden => JSON.parse(readFileSync(fileOf(name), "utf8")) as Golden;

async function play(name: string): Promise<Golden> {
  let executions = 0;
  const scenario = SCENARIOS[name];
  if (scenario === undefined) throw new Error(`No scenario ${name}`);
  await using world = await makeWorld(scenario.functions(), {
    engine: { newExecutionId: () => `execution-${(executions += 1)}` },
  });
  await world.start("work");
  await scenario.play(world);
  const [, output] = await world.ended("work-1");
  return { output, history: await world.history("work-1") };
}

// A new scenario gets its file with LEEWARD_WRITE_GOLDEN=1; files that exist are never written again.
if (process.env["LEEWARD_WRITE_GOLDEN"] === "1") {
  for (const name of Object.keys(SCENARIOS)) {
    if (!existsSync(fileOf(name))) writeFileSync(fileOf(name), `${JSON.stringify(await play(name), undefined, 2)}\n`);
  }
}

const SCHEDULING: readonly number[] = [
  EventType.TaskScheduled,
  EventType.TimerCreated,
  EventType.SubOrchestrationInstanceCreated,
];

/** The episodes of a history: what was known when the orchestrator was asked, and what it decided then. */
function episodesOf(
  history: readonly HistoryEvent[],
): readonly { readonly known: readonly HistoryEvent[]; readonly decided: readonly HistoryEvent[] }[] {
  return history.flatMap((event, end) => {
    if (event.EventType !== EventType.OrchestratorCompleted) return [];
    const start = history.findLastIndex(
      ({ EventType: type }, index) => index < end && type === EventType.OrchestratorStarted,
    );
    const own = history.slice(start, end);
    if (own.some(({ EventType: type }) => type === EventType.ExecutionSuspended)) return [];
    const taken = own.filter(
      ({ EventType: type }) => !SCHEDULING.includes(type) && type !== EventType.ExecutionCompleted,
    );
    const decided = own.filter(({ EventType: type }) => SCHEDULING.includes(type));
    return [{ known: [...history.slice(0, start), ...taken], decided }];
  });
}

describe("golden histories", () => {
  it("each scenario has its file, and there are no others", () => {
    const names = Object.keys(SCENARIOS).map((name) => `${name}.json`);
    expect(readdirSync(folder).toSorted()).toEqual(names.toSorted());
  });

  it.each(Object.keys(SCENARIOS))("%s: the current engine writes the same history", async (name) => {
    expect(await play(name)).toEqual(read(name));
  });

  it.each(Object.keys(SCENARIOS))(
    "%s: in each episode the SDK and the host agree on every sequence id",
    async (name) => {
      const { history } = read(name);
      const orchestrator = SCENARIOS[name]?.functions().orchestrators["work"];
      if (orchestrator === undefined) throw new Error(`No orchestrator in ${name}`);
      const episodes = episodesOf(history);
      expect(episodes.length).toBeGreaterThan(2);
      const executionId = "execution-1";
      for (const { known, decided } of episodes) {
        const texts = known.map((event) => JSON.stringify(event));
        const answer = await answerOf(
          orchestrator,
          orchestratorInput({ instanceId: "work-1", parentInstanceId: null, input: null, history: texts }),
        );
        const verdict = decide(answer, { history: known, executionId, functionName: "work", missing: () => undefined });
        if (verdict.kind !== "decided") throw new Error("The history asks to be respelt");
        expect(verdict.decisions.map(({ id }) => id)).toEqual(decided.map(({ EventId }) => EventId));
        const isLast = known.length + decided.length >= history.length - 2;
        expect(verdict.next.kind).toBe(isLast ? "complete" : "wait");
      }
    },
  );
});
