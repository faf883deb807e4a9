import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import type { LeewardEvent } from "../../replication/events/event.ts";
import { reconcileFlow } from "../../replication/operations/request.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { type FlowWorld, enable, failover, flowWorld, plainOperation, protectedWorld } from "./world.ts";

const NO_FLOWS: Parameters<typeof reconcileFlow>[2] = { start: async () => undefined, stateOf: async () => "open" };

/** What was told, one line an event; the same event told again is one line. */
function lines(told: readonly LeewardEvent[]): readonly string[] {
  const known = new Map(told.map((event) => [event.id, event]));
  return [...known.values()].map(({ eventType, data }) =>
    eventType === "Leeward.JobStateChanged"
      ? `job ${String(data["scenarioName"])} ${String(data["state"])}`
      : `${String(data["previousProtectionState"])} -> ${String(data["protectionState"])}`,
  );
}

const forget = (world: FlowWorld): void => void world.told.splice(0);

describe("what a topic is told of a flow", () => {
  it("its beginning, its end, and the states of the item", async () => {
    const world = await protectedWorld();
    await reconcileFlow(world.context, "web-1", NO_FLOWS);
    const enabling = [
      "job EnableDr InProgress",
      "UnprotectedStatesBegin -> UnprotectedStatesBegin",
      "job EnableDr Succeeded",
      "UnprotectedStatesBegin -> InitialReplicationInProgress",
      "InitialReplicationInProgress -> Protected",
    ];
    expect(lines(world.told)).toEqual(enabling);
    forget(world);
    await world.operate(failover());
    expect(lines(world.told)).toEqual([
      "job UnplannedFailover InProgress",
      "Protected -> UnplannedFailoverInitiated",
      "job UnplannedFailover Succeeded",
      "UnplannedFailoverInitiated -> UnplannedFailoverCommitPendingStatesBegin",
    ]);
    expect(world.told.at(-1)?.data).toMatchObject({
      activeLocation: "Recovery",
      allowedOperations: ["DisableProtection", "Commit"],
    });
  });

  it("a job that fails, with its error", async () => {
    const world = flowWorld();
    await world.operate({ ...enable(), options: { targetRegion: "westeurope" } } as ReturnType<typeof enable>);
    expect(lines(world.told)).toEqual([
      "job EnableDr InProgress",
      "UnprotectedStatesBegin -> UnprotectedStatesBegin",
      "job EnableDr Failed",
      "UnprotectedStatesBegin -> EnablingFailed",
    ]);
    expect(world.told[2]?.data["errors"]).toMatchObject([{ code: "invalid-request", taskName: "CheckPrerequisites" }]);
  });

  it("both jobs when one takes over from the other, and the change of state once", async () => {
    const world = flowWorld();
    const { run } = await world.ask(enable());
    const other = await world.ask(plainOperation("DisableProtection"));
    await world.finish(other.run, { onWait: async (delayMs) => (await world.finish(run), world.pass(delayMs)) });
    expect(lines(world.told).toSorted()).toEqual(
      [
        "job EnableDr Cancelled",
        "job DisableDr InProgress",
        "job DisableDr Succeeded",
        "UnprotectedStatesBegin -> DisablingProtection",
        "DisablingProtection -> UnprotectedStatesBegin",
      ].toSorted(),
    );
  });

  it("the same again when its teller dies before the state is stored", async () => {
    let failures = 1;
    let told: readonly LeewardEvent[] = [];
    const world = flowWorld({
      around: async ({ method, target }, run) => {
        const isOutcome =
          method === "replace" && target === "managed.json" && told.some(({ data }) => data["state"] === "Succeeded");
        if (isOutcome && failures > 0) {
          failures -= 1;
          throw new LeewardError("store-unavailable", "The store went away.");
        }
        return run();
      },
    });
    ({ told } = world);
    expect((await world.operate(enable())).state).toBe("Succeeded");
    expect(failures).toBe(0);
    const ends = told.filter(
      ({ eventType, data }) => eventType === "Leeward.FailoverStateChanged" && data["job"] === undefined,
    );
    expect(ends).toHaveLength(2);
    expect(new Set(ends.map(({ id }) => id)).size).toBe(1);
  });

  it("the same again when the sweep that tells of replication dies before the state is stored; a second time another", async () => {
    let isAway = true;
    let told: () => readonly LeewardEvent[] = () => [];
    const world = await protectedWorld({
      around: async ({ method, target }, run) => {
        if (isAway && method === "replace" && target === "managed.json" && told().length === 1)
          throw new LeewardError("store-unavailable", "The store went away.");
        return run();
      },
    });
    forget(world);
    told = () => world.told;
    await expect(reconcileFlow(world.context, "web-1", NO_FLOWS)).rejects.toMatchObject({ code: "store-unavailable" });
    isAway = false;
    await world.pass(1_000);
    await reconcileFlow(world.context, "web-1", NO_FLOWS);
    expect(world.told).toHaveLength(2);
    expect(new Set(world.told.map(({ id }) => id)).size).toBe(1);
    const records = world.stores.records("web-1");
    const seeding = async (isSeeding: boolean): Promise<void> => {
      const stored = await readProgress(records);
      if (stored !== undefined) await replaceProgress(records, stored, { ...stored.progress, seeding: isSeeding });
      await reconcileFlow(world.context, "web-1", NO_FLOWS);
    };
    for (const isSeeding of [true, false, true, false]) await seeding(isSeeding);
    expect(new Set(world.told.map(({ id }) => id)).size).toBe(5);
  });
});
