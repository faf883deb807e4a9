import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { HEARTBEAT_RECORD, ITEM_RECORD, PROGRESS_RECORD, STREAMS_RECORD } from "../../replication/names.ts";
import { readOverview } from "../../replication/operations/overview.ts";
import { type OperationRequest, reconcileFlow } from "../../replication/operations/request.ts";
import { enable, failover, plainOperation, protectedWorld } from "./world.ts";

describe.each([ITEM_RECORD, HEARTBEAT_RECORD, PROGRESS_RECORD, STREAMS_RECORD])("with a damaged %s", (name) => {
  async function damagedWorld(topic = async () => undefined as void) {
    const world = await protectedWorld({ topic });
    // The sweep has stored that initial replication is complete.
    await reconcileFlow(world.context, "web-1", { start: async () => undefined, stateOf: async () => undefined });
    const place = name === STREAMS_RECORD ? world.stores.management("web-1") : world.stores.records("web-1");
    await place.put(name, new TextEncoder().encode('{"sha256":"'));
    return world;
  }
  const stateOf = async ({ context }: Awaited<ReturnType<typeof damagedWorld>>) =>
    (await readOverview(context, "web-1")).managed?.situation.state;

  it.each(["Latest", "LatestProcessed"] as const)("an item fails over to the %s point", async (kind) => {
    const world = await damagedWorld();
    expect((await world.operate({ ...failover(), point: { kind } } as OperationRequest)).errors).toEqual([]);
    expect(await stateOf(world)).toBe("FailoverCommitPending");
  });

  it("an item fails over, and is disabled, while the topic is away too", async () => {
    let isAway = false;
    const world = await damagedWorld(async () => {
      if (isAway) throw new LeewardError("events-unavailable", "The topic is away.");
    });
    isAway = true;
    expect((await world.operate(failover())).errors).toEqual([]);
    expect((await world.operate(plainOperation("DisableProtection"))).errors).toEqual([]);
    expect(await stateOf(world)).toBe("Unprotected");
  });

  it("an item is disabled, and enabled again", async () => {
    const world = await damagedWorld();
    expect((await world.operate(plainOperation("DisableProtection"))).errors).toEqual([]);
    expect(await stateOf(world)).toBe("Unprotected");
    expect((await world.operate(enable())).errors).toEqual([]);
    expect(await stateOf(world)).toBe("Protected");
  });
});
