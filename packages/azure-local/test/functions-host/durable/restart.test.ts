import * as df from "durable-functions";
import { describe, expect, it } from "vitest";
import { openMemoryStore } from "../../../functions-host/durable/stores/memory-store.ts";
import { type Batch, type DurableStore, hasEnded } from "../../../functions-host/durable/stores/store.ts";
import { type Functions, type World, makeWorld, START_MS } from "./world.ts";

const MINUTE_MS = 60_000;

/** Every kind of step; a fresh set has its own memory, as a fresh process has. */
function mixed(): Functions {
  let failures = 0;
  return {
    orchestrators: {
      *sequence(context) {
        const one: unknown = yield context.df.callActivity("double", context.df.getInput());
        const two: unknown = yield context.df.callActivity("double", one);
        return two;
      },
      *fan(context) {
        const retry = new df.RetryOptions(1000, 9);
        const calls = [1, 2, 3].map((n) => context.df.callActivityWithRetry("flaky", retry, n));
        const results: unknown = yield context.df.Task.all(calls);
        return results;
      },
      *parent(context) {
        yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + MINUTE_MS));
        const results: unknown = yield context.df.Task.all([
          context.df.callSubOrchestrator("sequence", 1, "named-child"),
          context.df.callSubOrchestrator("sequence", 2),
        ]);
        return results;
      },
      *eternal(context) {
        const n = context.df.getInput() as number;
        const next: unknown = yield context.df.callActivity("double", n);
        if (n < 4) context.df.continueAsNew(next);
        return next;
      },
      *waiter(context) {
        const timeout = context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 1000 * MINUTE_MS));
        const event = context.df.waitForExternalEvent("Go");
        yield context.df.Task.any([event, timeout]);
        timeout.cancel();
        return "went";
      },
    },
    activities: {
      double: (n) => Number(n) * 2,
      flaky: (n) => {
        failures += 1;
        if (failures % 2 === 1) throw new Error("not yet");
        return n;
      },
    },
  };
}

const STARTS = [
  ["sequence", 1],
  ["fan", undefined],
  ["parent", undefined],
  ["eternal", 1],
  ["waiter", undefined],
] as const;
const OUTPUTS: Readonly<Record<string, unknown>> = {
  "sequence-1": 4,
  "fan-1": [1, 2, 3],
  "parent-1": [4, 8],
  "eternal-1": 8,
  "waiter-1": "went",
};

/** Runs what has been started to its end: events are sent again where they are still awaited, and the clock goes on. */
async function finish(world: World): Promise<void> {
  for (let round = 0; round < 40; round += 1) {
    await world.idle();
    const live = world.engine.list().filter(({ status }) => !hasEnded(status));
    if (live.length === 0) return;
    if (live.some(({ id }) => id === "waiter-1")) await world.raise("waiter-1", "GO");
    await world.clock.advance(MINUTE_MS / 2);
  }
  const stuck = world.engine.list().filter(({ status }) => !hasEnded(status));
  throw new Error(`Stuck: ${stuck.map(({ id, status }) => `${id} ${status}`).join(", ")}`);
}

function recording(store: DurableStore): { readonly store: DurableStore; readonly batches: Batch[] } {
  const batches: Batch[] = [];
  return {
    batches,
    store: {
      ...store,
      commit: (batch) => {
        batches.push(batch);
        return store.commit(batch);
      },
    },
  };
}

describe("an engine that begins again", () => {
  it("after any of its steps loses nothing and leaves no orchestration behind", async () => {
    const { store, batches } = recording(openMemoryStore());
    {
      await using world = await makeWorld(mixed(), { store });
      for (const [name, input] of STARTS) await world.start(name, input);
      await finish(world);
    }
    expect(batches.length).toBeGreaterThan(40);
    for (let kept = 0; kept <= batches.length; kept += 1) {
      const next = openMemoryStore();
      for (const batch of batches.slice(0, kept)) await next.commit(batch);
      await using world = await makeWorld(mixed(), { store: next, startMs: START_MS + 2 * MINUTE_MS });
      await finish(world);
      for (const { id } of world.engine.list().filter(({ parent }) => parent === null)) {
        expect([kept, id, ...(await world.ended(id))]).toEqual([kept, id, "Completed", OUTPUTS[id]]);
      }
      const { messages, work } = await next.load();
      expect([kept, messages, work]).toEqual([kept, [], []]);
    }
  });

  it("runs an activity again that had not ended, and only that one", async () => {
    const { store, batches } = recording(openMemoryStore());
    const functions = mixed();
    {
      await using world = await makeWorld(functions, { store });
      await world.ended(await world.start("sequence", 1));
    }
    const withWork = batches.findLastIndex(({ work = [] }) => work.length > 0);
    const next = openMemoryStore();
    for (const batch of batches.slice(0, withWork + 1)) await next.commit(batch);
    await using world = await makeWorld(functions, { store: next });
    expect(await world.ended("sequence-1")).toEqual(["Completed", 4]);
    expect(world.runs).toEqual(["double"]);
  });

  it("fails an orchestration whose code was changed, and says so", async () => {
    const store = openMemoryStore();
    {
      await using world = await makeWorld({ orchestrators: mixed().orchestrators }, { store });
      await world.start("waiter");
      await world.asleep();
    }
    const changed: Functions = {
      orchestrators: {
        *waiter(context) {
          yield context.df.callActivity("double", 1);
          yield context.df.waitForExternalEvent("Go");
        },
      },
      activities: { double: (n) => n },
    };
    await using world = await makeWorld(changed, { store });
    await world.raise("waiter-1", "go");
    expect(await world.ended("waiter-1")).toEqual([
      "Failed",
      expect.stringMatching(
        /^Non-Deterministic workflow detected: A previous execution of this orchestration scheduled a timer task with sequence ID 0, but /,
      ),
    ]);
  });

  it("fails an orchestration whose function is gone", async () => {
    const store = openMemoryStore();
    {
      await using world = await makeWorld(mixed(), { store });
      await world.start("waiter");
      await world.asleep();
    }
    await using world = await makeWorld({ orchestrators: {} }, { store });
    await world.raise("waiter-1", "go");
    expect(await world.ended("waiter-1")).toEqual([
      "Failed",
      expect.stringContaining("No orchestrator functions are currently registered!"),
    ]);
  });

  it("keeps an orchestration suspended", async () => {
    const store = openMemoryStore();
    {
      await using world = await makeWorld(mixed(), { store });
      await world.start("waiter");
      await world.suspend("waiter-1");
      await world.until(() => (world.engine.find("waiter-1")?.status === "Suspended" ? true : undefined));
      await world.raise("waiter-1", "go");
    }
    await using world = await makeWorld(mixed(), { store });
    await world.idle();
    expect(world.engine.find("waiter-1")?.status).toBe("Suspended");
    await world.resume("waiter-1");
    expect(await world.ended("waiter-1")).toEqual(["Completed", "went"]);
  });
});

describe("an engine whose store fails", () => {
  it("runs nothing more, and tells whoever can end the process", async () => {
    const faults: Error[] = [];
    const store = openMemoryStore();
    let isFull = false;
    const failing: DurableStore = {
      ...store,
      commit: (batch) => (isFull ? Promise.reject(new Error("disk full")) : store.commit(batch)),
    };
    await using world = await makeWorld(
      {
        orchestrators: mixed().orchestrators,
        activities: {
          double: (n) => {
            isFull = true;
            return n;
          },
        },
      },
      { store: failing, engine: { onFault: (error) => faults.push(error) } },
    );
    await world.start("sequence", 1);
    await world.until(() => faults[0]);
    await world.idle();
    expect(faults.map(({ message }) => message)).toEqual(["disk full"]);
    expect(world.runs).toEqual(["double"]);
    expect((await store.load()).work).toHaveLength(1);
  });
});
