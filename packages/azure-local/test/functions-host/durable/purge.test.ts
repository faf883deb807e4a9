import { describe, expect, it } from "vitest";
import { openMemoryStore } from "../../../functions-host/durable/stores/memory-store.ts";
import { type Functions, type World, makeWorld } from "./world.ts";

const DAY_MS = 24 * 60 * 60_000;

describe("orchestrations that have ended", () => {
  const quick: Functions = {
    orchestrators: {
      *work(context) {
        const result: unknown = yield context.df.callActivity("echo", context.df.getInput());
        return result;
      },
    },
    activities: { echo: (input) => input },
  };
  const ids = (world: World): readonly string[] =>
    world.engine
      .list()
      .map(({ id }) => id)
      .toSorted();
  const run = async (world: World, id: string): Promise<void> =>
    void (await world.ended(await world.start("work", id, id)));

  it("are purged beyond a number, the oldest first, with history, input and output; running ones stay", async () => {
    const store = openMemoryStore();
    await using world = await makeWorld(
      {
        ...quick,
        orchestrators: {
          ...quick.orchestrators,
          *waits(context) {
            yield context.df.waitForExternalEvent("go");
          },
        },
      },
      { store, engine: { retention: { maxCount: 2, maxAgeMs: DAY_MS } } },
    );
    await world.start("waits", undefined, "lives");
    for (const id of ["a", "b", "c", "d"]) await run(world, id);
    await world.untilStored(store, ({ instances }) => instances.length === 3);
    expect(ids(world)).toEqual(["c", "d", "lives"]);
    expect([await store.history("a"), await store.payload("a")]).toEqual([[], { input: null, output: null }]);
    expect(await world.ended("d")).toEqual(["Completed", "d"]);
  });

  it("are purged when they are old: with the next start, the next end, and at a start of the host", async () => {
    const store = openMemoryStore();
    const engine = { retention: { maxCount: 100, maxAgeMs: DAY_MS } };
    {
      await using world = await makeWorld(quick, { store, engine });
      await run(world, "old");
      await world.clock.advance(DAY_MS);
      await run(world, "young");
      expect(ids(world)).toEqual(["old", "young"]);
      await world.clock.advance(1);
      await run(world, "other");
      await world.untilStored(store, ({ instances }) => instances.length === 2);
      expect(ids(world)).toEqual(["other", "young"]);
    }
    await using later = await makeWorld(quick, { store, engine, startMs: Date.parse("2026-03-01T00:00:00Z") });
    await later.untilStored(store, ({ instances }) => instances.length === 0);
    expect(ids(later)).toEqual([]);
  });

  it("count from their last end when their id was used again", async () => {
    await using world = await makeWorld(quick, { engine: { retention: { maxCount: 2, maxAgeMs: DAY_MS } } });
    for (const id of ["a", "b", "a", "c"]) await run(world, id);
    expect(ids(world)).toEqual(["a", "c"]);
  });
});
