import * as df from "durable-functions";
import type { OrchestrationHandler } from "durable-functions";
import { describe, expect, it } from "vitest";
import { EventType } from "../../../functions-host/durable/history.ts";
import { openMemoryStore } from "../../../functions-host/durable/stores/memory-store.ts";
import { DURABLE_HISTORY_WARNING_EVENTS } from "../../../limits.ts";
import { type Functions, makeWorld } from "./world.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const soon = (context: df.OrchestrationContext, durationMs: number): Date =>
  new Date(context.df.currentUtcDateTime.getTime() + durationMs);
const one = (orchestrator: OrchestrationHandler, activities: Functions["activities"] = {}): Functions => ({
  orchestrators: { work: orchestrator },
  activities,
});
describe("sub-orchestrations", () => {
  const functions = (parent: OrchestrationHandler): Functions => ({
    orchestrators: {
      parent,
      *child(context) {
        const result: unknown = yield context.df.callActivity("echo", context.df.getInput());
        return { result, id: context.df.instanceId, parent: context.df.parentInstanceId };
      },
      *broken() {
        throw new Error("broken child");
      },
      *sleepy(context) {
        const event: unknown = yield context.df.waitForExternalEvent("wake");
        return event;
      },
    },
    activities: { echo: (input) => input },
  });

  it("give their result to the parent, under the id of the execution and of the call", async () => {
    await using world = await makeWorld(
      functions(function* (context) {
        const result: unknown = yield context.df.callSubOrchestrator("child", "text");
        return result;
      }),
    );
    const id = await world.start("parent");
    const executionId = world.engine.find(id)?.executionId ?? "";
    expect(await world.ended(id)).toEqual(["Completed", { result: "text", id: `${executionId}:0`, parent: id }]);
  });

  it("run side by side under given ids", async () => {
    await using world = await makeWorld(
      functions(function* (context) {
        const results: unknown = yield context.df.Task.all(
          [1, 2, 3].map((n) => context.df.callSubOrchestrator("child", n, `child-${n}`)),
        );
        return (results as { readonly id: string }[]).map(({ id }) => id);
      }),
    );
    expect(await world.ended(await world.start("parent"))).toEqual(["Completed", ["child-1", "child-2", "child-3"]]);
  });

  it("fail the call when they fail", async () => {
    await using world = await makeWorld(
      functions(function* (context) {
        try {
          yield context.df.callSubOrchestrator("broken");
          return "unreachable";
        } catch (error) {
          return (error as Error).message.split(" \n ")[0];
        }
      }),
    );
    expect(await world.ended(await world.start("parent"))).toEqual([
      "Completed",
      "Orchestrator function 'broken' failed: broken child",
    ]);
  });

  it("fail the call when they are terminated", async () => {
    await using world = await makeWorld(
      functions(function* (context) {
        try {
          yield context.df.callSubOrchestrator("sleepy", undefined, "sleeper");
          return "unreachable";
        } catch (error) {
          return (error as Error).message;
        }
      }),
    );
    const id = await world.start("parent");
    await world.until(() => world.engine.find("sleeper"));
    await world.terminate("sleeper", "enough");
    expect(await world.ended(id)).toEqual(["Completed", "enough \n "]);
  });

  it.each([
    ["that is in use", "taken", "An Orchestration instance with the ID taken already exists."],
    ["of the parent itself", "parent-1", "An Orchestration instance with the ID parent-1 already exists."],
    ["that is none", "@x", "Orchestration instance ids must not start with @."],
  ])("fail the call under an id %s", async (_what, instanceId, text) => {
    await using world = await makeWorld(
      functions(function* (context) {
        try {
          yield context.df.callSubOrchestrator("child", 1, instanceId);
          return "unreachable";
        } catch (error) {
          return (error as Error).message.trim();
        }
      }),
    );
    await world.start("sleepy", undefined, "taken");
    expect(await world.ended(await world.start("parent"))).toEqual(["Completed", text]);
  });

  it("go on when their parent is terminated, and nobody reads their result", async () => {
    const store = openMemoryStore();
    await using world = await makeWorld(
      functions(function* (context) {
        yield context.df.callSubOrchestrator("sleepy", undefined, "sleeper");
      }),
      { store },
    );
    const id = await world.start("parent");
    await world.until(() => (world.engine.find("sleeper")?.status === "Running" ? true : undefined));
    await world.terminate(id, "enough");
    expect(await world.ended(id)).toEqual(["Terminated", "enough"]);
    expect(world.engine.find("sleeper")?.status).toBe("Running");
    await world.raise("sleeper", "wake", "slept");
    expect(await world.ended("sleeper")).toEqual(["Completed", "slept"]);
    await world.untilStored(store, ({ messages }) => messages.length === 0);
  });
});

describe("continueAsNew", () => {
  const counting: OrchestrationHandler = function* (context) {
    const { n, seen } = context.df.getInput() as { readonly n: number; readonly seen: string[] };
    const event: unknown = yield context.df.waitForExternalEvent("next");
    const got = [...seen, String(event)];
    if (n === 0) return got;
    context.df.continueAsNew({ n: n - 1, seen: got });
    return undefined;
  };

  it("begins again with an empty history, a new execution and the new input", async () => {
    await using world = await makeWorld(one(counting));
    const id = await world.start("work", { n: 2, seen: [] });
    const executions = new Set<string | undefined>();
    for (const event of ["a", "b", "c"]) {
      executions.add(world.engine.find(id)?.executionId);
      const before = world.engine.find(id)?.executionId;
      await world.raise(id, "next", event);
      if (event !== "c") await world.until(() => (world.engine.find(id)?.executionId === before ? undefined : true));
    }
    expect(await world.ended(id)).toEqual(["Completed", ["a", "b", "c"]]);
    expect(executions.size).toBe(3);
    expect((await world.history(id)).filter(({ EventType: type }) => type === EventType.ExecutionStarted)).toHaveLength(
      1,
    );
    expect(JSON.parse((await world.engine.payload(id)).input ?? "")).toEqual({ n: 0, seen: ["a", "b"] });
  });

  it("passes text on unchanged", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        if (context.df.getInput() === "first") context.df.continueAsNew("second");
        return context.df.getInput();
      }),
    );
    expect(await world.ended(await world.start("work", "first"))).toEqual(["Completed", "second"]);
  });

  it("drops events that nobody awaited, and ignores what was meant for the execution before", async () => {
    await using world = await makeWorld(
      one(
        function* (context) {
          if (context.df.getInput() === 1) {
            yield context.df.Task.any([context.df.callActivity("slow"), context.df.waitForExternalEvent("go")]);
            context.df.continueAsNew(2);
            return undefined;
          }
          const timeout = context.df.createTimer(soon(context, MINUTE_MS));
          const winner: unknown = yield context.df.Task.any([context.df.waitForExternalEvent("other"), timeout]);
          return winner === timeout;
        },
        { slow: () => new Promise((resolve) => (release = resolve)) },
      ),
    );
    let release = (_value: unknown): void => undefined;
    const id = await world.start("work", 1);
    await world.raise(id, "other", "dropped");
    await world.until(() => (world.runs.length === 1 ? true : undefined));
    await world.raise(id, "go");
    await world.asleep();
    release("late");
    await world.clock.advance(MINUTE_MS);
    expect(await world.ended(id)).toEqual(["Completed", true]);
  });

  it("has no effect when the orchestrator throws afterwards", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        context.df.continueAsNew(1);
        throw new Error("after all");
      }),
    );
    expect(await world.ended(await world.start("work"))).toEqual([
      "Failed",
      "Orchestrator function 'work' failed: after all",
    ]);
  });
});

describe("an orchestration", () => {
  it("shows its custom status, and fails with one beyond 16 KB", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        context.df.setCustomStatus({ step: 1 });
        const length: unknown = yield context.df.waitForExternalEvent("go");
        context.df.setCustomStatus("x".repeat(Number(length)));
        yield context.df.waitForExternalEvent("never");
      }),
    );
    const id = await world.start("work");
    await world.until(() => (world.engine.find(id)?.customStatus === '{"step":1}' ? true : undefined));
    await world.raise(id, "go", 9000);
    expect(await world.ended(id)).toEqual(["Failed", expect.stringContaining("16 KB")]);
  });

  it.each([
    [
      "an error",
      () => {
        throw new Error("bad");
      },
      "Orchestrator function 'work' failed: bad",
    ],
    [
      "an error without words",
      () => {
        throw new Error("");
      },
      "Orchestrator function 'work' failed: ",
    ],
    [
      "a text",
      () => {
        throw "bad";
      },
      "Orchestrator function 'work' failed: ",
    ],
  ])("fails when its code throws %s", async (_what, fault: () => never, text) => {
    await using world = await makeWorld(
      one(function* () {
        fault();
      }),
    );
    expect(await world.ended(await world.start("work"))).toEqual(["Failed", text]);
  });

  it("fails when it yields what is no task", async () => {
    await using world = await makeWorld(
      one(function* () {
        yield 7 as unknown as df.Task;
      }),
    );
    expect(await world.ended(await world.start("work"))).toEqual([
      "Failed",
      expect.stringContaining("constraint violation"),
    ]);
  });

  it("is refused entity locks in the SDK's own words", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        yield (context.df as unknown as { lock(id: df.EntityId): df.Task }).lock(new df.EntityId("counter", "a"));
      }),
    );
    expect(await world.ended(await world.start("work"))).toEqual([
      "Failed",
      expect.stringContaining("lock requires a Durable Functions extension"),
    ]);
  });

  it("gets a Date for a text named Timestamp in its input, as on Azure", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        return context.df.getInput<{ readonly Timestamp: unknown }>().Timestamp instanceof Date;
      }),
    );
    expect(await world.ended(await world.start("work", { Timestamp: "2026-01-01T00:00:00Z" }))).toEqual([
      "Completed",
      true,
    ]);
  });

  it("is terminated whatever it does, and later messages are deleted unread", async () => {
    const store = openMemoryStore();
    await using world = await makeWorld(
      one(function* (context) {
        yield context.df.createTimer(soon(context, DAY_MS));
      }),
      { store },
    );
    const id = await world.start("work");
    await world.asleep();
    await world.terminate(id, "enough");
    expect(await world.ended(id)).toEqual(["Terminated", "enough"]);
    expect(await world.engine.send(id, { EventType: EventType.ExecutionTerminated, EventId: -1, Input: "" })).toBe(
      "ended",
    );
    await world.untilStored(store, ({ messages }) => messages.length === 0);
  });

  it("does nothing while it is suspended, and then handles what arrived meanwhile, in order", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        const first: unknown = yield context.df.waitForExternalEvent("go");
        const second: unknown = yield context.df.waitForExternalEvent("go");
        const timer = context.df.createTimer(soon(context, MINUTE_MS));
        yield timer;
        return [first, second];
      }),
    );
    const id = await world.start("work");
    await world.suspend(id);
    await world.until(() => (world.engine.find(id)?.status === "Suspended" ? true : undefined));
    await world.suspend(id);
    await world.raise(id, "go", 1);
    await world.raise(id, "go", 2);
    await world.idle();
    expect(world.engine.find(id)?.status).toBe("Suspended");
    expect((await world.history(id)).map(({ EventType: type }) => type)).not.toContain(EventType.EventRaised);
    await world.resume(id);
    await world.asleep();
    expect(world.engine.find(id)?.status).toBe("Running");
    await world.clock.advance(MINUTE_MS);
    expect(await world.ended(id)).toEqual(["Completed", [1, 2]]);
    const kinds = (await world.history(id)).map(({ EventType: type }) => type);
    expect(
      kinds.filter((type) => type === EventType.ExecutionSuspended || type === EventType.ExecutionResumed),
    ).toEqual([EventType.ExecutionSuspended, EventType.ExecutionResumed]);
  });

  it("keeps a timer that fired during its suspension, and can be terminated in it", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        yield context.df.createTimer(soon(context, MINUTE_MS));
        return "fired";
      }),
    );
    const [resumed, ended] = [await world.start("work", 1, "resumed"), await world.start("work", 1, "ended")];
    await world.asleep(2);
    for (const id of [resumed, ended]) await world.suspend(id);
    await world.until(() =>
      [resumed, ended].every((id) => world.engine.find(id)?.status === "Suspended") ? true : undefined,
    );
    await world.clock.advance(2 * MINUTE_MS);
    await world.idle();
    expect(world.engine.find(resumed)?.status).toBe("Suspended");
    await world.resume(resumed);
    await world.terminate(ended, "enough");
    expect(await world.ended(resumed)).toEqual(["Completed", "fired"]);
    expect(await world.ended(ended)).toEqual(["Terminated", "enough"]);
  });

  it("ignores a resumption that it does not need", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        const event: unknown = yield context.df.waitForExternalEvent("go");
        return event;
      }),
    );
    const id = await world.start("work");
    await world.resume(id);
    await world.raise(id, "go", 1);
    expect(await world.ended(id)).toEqual(["Completed", 1]);
    expect((await world.history(id)).map(({ EventType: type }) => type)).not.toContain(EventType.ExecutionResumed);
  });

  it("has a unique id: a second start is refused while it runs, and replaces it once it has ended", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        if (context.df.getInput() === "wait") yield context.df.waitForExternalEvent("go");
        return context.df.getInput();
      }),
    );
    const request = { name: "work", instanceId: "single", version: "" };
    expect(
      await Promise.all([
        world.engine.create({ ...request, input: '"wait"' }),
        world.engine.create({ ...request, input: "1" }),
      ]),
    ).toEqual([true, false]);
    await world.until(() => (world.engine.find("single")?.status === "Running" ? true : undefined));
    expect(await world.engine.create({ ...request, input: "2" })).toBe(false);
    await world.raise("single", "go");
    expect(await world.ended("single")).toEqual(["Completed", "wait"]);
    expect(await world.engine.create({ ...request, input: "3" })).toBe(true);
    expect(await world.ended("single")).toEqual(["Completed", 3]);
    expect(
      (await world.history("single")).filter(({ EventType: type }) => type === EventType.ExecutionStarted),
    ).toHaveLength(1);
  });

  it.each(["@id", "a/b", "a\\b", "a?b", "a#b", "a\nb", "", "x".repeat(101)])(
    "cannot have the id %j",
    async (instanceId) => {
      await using world = await makeWorld(one(function* () {}));
      await expect(world.engine.create({ name: "work", instanceId, input: null, version: "" })).rejects.toMatchObject({
        code: "request-invalid",
      });
    },
  );

  it("is refused without an orchestrator function of its name", async () => {
    await using world = await makeWorld(one(function* () {}));
    const start = world.engine.create({ name: "nowhere", instanceId: "x", input: null, version: "" });
    await expect(start).rejects.toThrow(
      "is not an orchestrator function. Additional info: The following are the known orchestrator functions: 'work'.",
    );
  });

  it("is purged when it has ended, and not before", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        if (context.df.getInput() === "wait") yield context.df.waitForExternalEvent("go");
      }),
    );
    await world.ended(await world.start("work", 1, "ended"));
    await world.start("work", "wait", "live");
    expect(await world.engine.purge(["ended", "live", "unknown"])).toBe(1);
    expect([world.engine.find("ended"), await world.history("ended")]).toEqual([undefined, []]);
    await world.raise("live", "go");
    expect(await world.ended("live")).toEqual(["Completed", null]);
  });

  it("causes a warning when its history becomes long", async () => {
    await using world = await makeWorld(
      one(function* (context) {
        yield context.df.waitForExternalEvent("go");
      }),
    );
    const id = await world.start("work");
    for (let n = 0; n < DURABLE_HISTORY_WARNING_EVENTS; n += 1) await world.raise(id, "noise");
    await world.raise(id, "go");
    expect(await world.ended(id)).toEqual(["Completed", null]);
    expect(world.events.filter(({ message }) => message.includes("let work use continueAsNew"))).toHaveLength(1);
  });
});
