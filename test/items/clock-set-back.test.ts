import { describe, expect, it } from "vitest";
import { HEARTBEAT_MS } from "../../replication/limits.ts";
import { readHeartbeat } from "../../replication/service/heartbeat.ts";
import { HOUR_MS, ITEM, START, beat, protectedWorld } from "./world.ts";

describe("the clock of the app, set back", () => {
  it("silences no service until it has caught up", async () => {
    const world = await protectedWorld();
    await beat(world);
    world.pass(-HOUR_MS);
    const uploaded = { ...START, epoch: 7, checksum: "7".repeat(64) };
    await beat(world, { uploaded });
    world.pass(HEARTBEAT_MS);
    await beat(world, { uploaded });
    expect(await readHeartbeat(world.stores, ITEM)).toMatchObject({ uploaded, receivedMs: world.context.clock.now() });
  });
});
