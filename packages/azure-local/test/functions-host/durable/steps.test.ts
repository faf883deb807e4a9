import * as df from "durable-functions";
import type { OrchestrationHandler } from "durable-functions";
import { describe, expect, it } from "vitest";
import { EventType } from "../../../functions-host/durable/history.ts";
import { type Functions, makeWorld, START_MS } from "./world.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const soon = (context: df.OrchestrationContext, durationMs: number): Date =>
  new Date(context.df.currentUtcDateTime.getTime() + durationMs);
const failing = (times: number, text = "no such luck") => {
  let runs = 0;
  return (input: unknown): unknown => {
    runs += 1;
    if (runs <= times) throw new Error(text);
    return `${JSON.stringify(input ?? "done")} after ${runs}`;
  };
};
const one = (orchestrator: OrchestrationHandler, activities: Functions["activities"] = {}): Functions => ({
  orchestrators: { work: orchestrator },
  activities,
});
describe("activities", () => {
  it("run one after the other, with text, values and nothing as inputs and results", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          const results: unknown[] = [];
          for (const input of ["text", '{"text":1}', { n: 1 }, 7, true, null, undefined]) {
            const result: unknown = yield context.df.callActivity("echo", input);
            results.push(result);
          }
          return results;
        },
        { echo: (input) => input },
      ),
    );
    const id = await world.start("work");
    expect(await world.ended(id)).toEqual(["Completed", ["text", '{"text":1}', { n: 1 }, 7, true, null, null]]);
  });

  it("are replayed; isReplaying is false exactly once for the code between two of them", async () => {
    const fresh: string[] = [];
    await using world = await makeWorld(
      one(
        function* (context) {
          const note = (place: string): void => {
            if (!context.df.isReplaying) fresh.push(place);
          };
          note("start");
          yield context.df.callActivity("echo", 1);
          note("middle");
          yield context.df.Task.all([context.df.callActivity("echo", 2), context.df.callActivity("echo", 3)]);
          note("end");
        },
        { echo: (input) => input },
      ),
    );
    await world.ended(await world.start("work"));
    expect(fresh).toEqual(["start", "middle", "end"]);
  });

  it("run side by side and give their results in the order of the calls", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          const results: unknown = yield context.df.Task.all(
            [1, 2, 3, 4, 5].map((n) => context.df.callActivity("double", n)),
          );
          return results;
        },
        { double: (n) => Number(n) * 2 },
      ),
    );
    expect(await world.ended(await world.start("work"))).toEqual(["Completed", [2, 4, 6, 8, 10]]);
    expect(world.runs).toHaveLength(5);
  });

  it("run no more at once than allowed", async () => {
    let running = 0;
    let most = 0;
    await using world = await makeWorld(
      one(
        function* (context) {
          yield context.df.Task.all(Array.from({ length: 12 }, () => context.df.callActivity("slow")));
        },
        {
          slow: async () => {
            running += 1;
            most = Math.max(most, running);
            await new Promise((resolve) => setImmediate(resolve));
            running -= 1;
          },
        },
      ),
      { engine: { maxActivities: 3 } },
    );
    await world.ended(await world.start("work"));
    expect(most).toBe(3);
  });

  it("fail with a text that the orchestrator can catch", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          try {
            yield context.df.callActivity("boom");
            return "unreachable";
          } catch (error) {
            return (error as Error).message;
          }
        },
        { boom: failing(9) },
      ),
    );
    const [status, text] = await world.ended(await world.start("work"));
    expect(status).toBe("Completed");
    const [reason, details] = String(text).split(" \n ");
    expect(reason).toBe("Activity function 'boom' failed: no such luck");
    expect(JSON.parse(details ?? "")).toMatchObject({ Message: "no such luck" });
  });

  it("fail the orchestration that does not catch it, and only when those beside it have ended", async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    await using world = await makeWorld(
      one(
        function* (context) {
          yield context.df.Task.all([context.df.callActivity("boom"), context.df.callActivity("slow")]);
        },
        { boom: failing(9), slow: () => gate },
      ),
    );
    const id = await world.start("work");
    await world.until(() =>
      world.engine.find(id)?.updatedMs !== undefined && world.runs.length === 2 ? true : undefined,
    );
    const failed = await world.untilHistory(id, (events) =>
      events.some(({ EventType: type }) => type === EventType.TaskFailed),
    );
    expect(failed.map(({ EventType: type }) => type)).not.toContain(EventType.ExecutionCompleted);
    expect(world.engine.find(id)?.status).toBe("Running");
    release();
    expect(await world.ended(id)).toEqual([
      "Failed",
      expect.stringMatching(/^Orchestrator function 'work' failed: Activity function 'boom' failed: no such luck/),
    ]);
  });

  it("give their properties to the orchestrator when the app has a provider of exception properties", async () => {
    const message = JSON.stringify({
      errorType: "QuotaError",
      errorMessage: "full",
      isNonRetriable: false,
      properties: { disk: 7 },
    });
    await using world = await makeWorld(
      one(
        function* (context) {
          try {
            yield context.df.callActivity("boom");
            return undefined;
          } catch (error) {
            const { failureDetails } = error as df.TaskFailedError;
            return [(error as Error).name, (error as Error).message, failureDetails.properties];
          }
        },
        {
          boom: () => {
            throw new Error(message);
          },
        },
      ),
    );
    expect(await world.ended(await world.start("work"))).toEqual([
      "Completed",
      ["TaskFailedError", "QuotaError: full", { disk: 7 }],
    ]);
  });

  it("that do not exist fail the orchestration, naming those that do", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          yield context.df.callActivity("nowhere");
        },
        { one: () => 1, two: () => 2 },
      ),
    );
    expect(await world.ended(await world.start("work"))).toEqual([
      "Failed",
      "Orchestrator function 'work' failed: The function 'nowhere' doesn't exist, is disabled, or is not an activity function. Additional info: The following are the known activity functions: 'one', 'two'.",
    ]);
  });
});

describe("retries", () => {
  const options = (attempts: number): df.RetryOptions => new df.RetryOptions(MINUTE_MS, attempts);

  it("try again after a pause", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          const result: unknown = yield context.df.callActivityWithRetry("flaky", options(3), "it");
          return [result, context.df.currentUtcDateTime];
        },
        { flaky: failing(1) },
      ),
    );
    const id = await world.start("work");
    await world.asleep();
    expect(world.runs).toHaveLength(1);
    await world.clock.advance(MINUTE_MS);
    expect(await world.ended(id)).toEqual([
      "Completed",
      ['"it" after 2', new Date(START_MS + MINUTE_MS).toISOString()],
    ]);
  });

  it("end with the last error when all attempts have failed", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          yield context.df.callActivityWithRetry("flaky", options(2));
        },
        { flaky: failing(9) },
      ),
    );
    const id = await world.start("work");
    await world.asleep();
    await world.clock.advance(MINUTE_MS);
    expect(await world.ended(id)).toEqual([
      "Failed",
      expect.stringContaining("Activity function 'flaky' failed: no such luck"),
    ]);
    expect(world.runs).toHaveLength(2);
  });

  it("work inside a fan-out, where some fail for good and others succeed", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          const calls = ["good", "flaky", "hopeless"].map((name) => context.df.callActivityWithRetry(name, options(2)));
          try {
            yield context.df.Task.all(calls);
            return "unreachable";
          } catch (error) {
            const after: unknown = yield context.df.callActivity("good");
            return [(error as Error).message.split(" \n ")[0], after];
          }
        },
        { good: () => "good", flaky: failing(1), hopeless: failing(9, "hopeless") },
      ),
    );
    const id = await world.start("work");
    await world.asleep(2);
    await world.clock.advance(MINUTE_MS);
    expect(await world.ended(id)).toEqual(["Completed", ["Activity function 'hopeless' failed: hopeless", "good"]]);
    expect(world.runs.toSorted()).toEqual(["flaky", "flaky", "good", "good", "hopeless", "hopeless"]);
  });

  it("cause a warning for a retry timeout, which the SDK ignores", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          const limited = Object.assign(options(1), { retryTimeoutInMilliseconds: 5 });
          yield context.df.callActivityWithRetry("good", limited);
        },
        { good: () => "good" },
      ),
    );
    await world.ended(await world.start("work"));
    expect(world.events.filter(({ message }) => message.includes("retryTimeoutInMilliseconds"))).toHaveLength(1);
  });
});

describe("timers", () => {
  it.each([
    ["a second", 1000, 1],
    ["six days", 6 * DAY_MS, 1],
    ["a week", 7 * DAY_MS, 2],
    ["thirteen days", 13 * DAY_MS, 4],
  ])("of %s fire when their time has come, and not before", async (_name, durationMs, parts) => {
    await using world = await makeWorld(
      one(function* (context) {
        yield context.df.createTimer(soon(context, durationMs));
        return context.df.currentUtcDateTime;
      }),
    );
    const id = await world.start("work");
    await world.asleep();
    await world.clock.advance(durationMs - 1);
    expect(world.engine.find(id)?.status).toBe("Running");
    await world.clock.advance(1);
    expect(await world.ended(id)).toEqual(["Completed", new Date(START_MS + durationMs).toISOString()]);
    const history = await world.history(id);
    expect(history.filter(({ EventType: type }) => type === EventType.TimerFired)).toHaveLength(parts);
  });

  it("are cancelled when an event comes first, and firing later changes nothing", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        const timeout = context.df.createTimer(soon(context, MINUTE_MS));
        const event = context.df.waitForExternalEvent("go");
        const winner: unknown = yield context.df.Task.any([event, timeout]);
        if (winner === event && !timeout.isCompleted) timeout.cancel();
        const second: unknown = yield context.df.waitForExternalEvent("again");
        return [winner === event, second];
      }),
    );
    const id = await world.start("work");
    await world.asleep();
    await world.raise(id, "go");
    await world.untilHistory(id, (events) => events.some(({ EventType: type }) => type === EventType.EventRaised));
    await world.clock.advance(2 * MINUTE_MS);
    expect(world.engine.find(id)?.status).toBe("Running");
    await world.raise(id, "again", 2);
    expect(await world.ended(id)).toEqual(["Completed", [true, 2]]);
  });

  it("fire when no event comes", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        const timeout = context.df.createTimer(soon(context, MINUTE_MS));
        const winner: unknown = yield context.df.Task.any([context.df.waitForExternalEvent("go"), timeout]);
        return winner === timeout;
      }),
    );
    const id = await world.start("work");
    await world.asleep();
    await world.clock.advance(MINUTE_MS);
    expect(await world.ended(id)).toEqual(["Completed", true]);
  });
});

describe("external events", () => {
  const collect: OrchestrationHandler = function* (context) {
    const got: unknown[] = [];
    for (const name of context.df.getInput() as string[]) {
      const event: unknown = yield context.df.waitForExternalEvent(name);
      got.push(event);
    }
    return got;
  };

  it("are received before and after the wait begins, in order, with names in any case", async () => {
    await using world = await makeWorld(one(collect));
    const id = await world.start("work", ["Go", "Stop", "Go"]);
    await world.raise(id, "GO", 1);
    await world.raise(id, "go", 2);
    await world.untilHistory(
      id,
      (events) => events.filter(({ EventType: type }) => type === EventType.EventRaised).length === 2,
    );
    await world.raise(id, "STOP", { why: "late" });
    expect(await world.ended(id)).toEqual(["Completed", [1, { why: "late" }, 2]]);
    const names = (await world.history(id)).flatMap((event) =>
      event.EventType === EventType.EventRaised ? [event.Name] : [],
    );
    expect(names).toEqual(["Go", "Go", "Stop"]);
  });

  it("carry no input when they have none", async () => {
    await using world = await makeWorld(one(collect));
    const id = await world.start("work", ["go"]);
    await world.raise(id, "go");
    expect(await world.ended(id)).toEqual(["Completed", [null]]);
  });
});
