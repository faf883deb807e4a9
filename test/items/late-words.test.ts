import { describe, expect, it } from "vitest";
import { newRegistrationToken } from "../../replication/items/protect.ts";
import { HEARTBEAT_RECORD } from "../../replication/names.ts";
import { registerService } from "../../replication/service/register.ts";
import { tokenHash } from "../../replication/service/tokens.ts";
import { wrapStores } from "../memory/wrapped-stores.ts";
import { DISKS, ITEM, ITEM_TOKEN, beat, protectedWorld } from "./world.ts";

describe("a heartbeat that was held up on its way through the app", () => {
  it("does not bring in the token of a service whose place another one has taken meanwhile", async () => {
    const world = await protectedWorld();
    const [proposed, newToken] = ["cd".repeat(32), "ef".repeat(32)];
    let isTaken = false;
    const held = wrapStores(world.stores, async ({ port, method, target }, run) => {
      if (port === "records" && method === "create" && target === HEARTBEAT_RECORD && !isTaken) {
        isTaken = true;
        const registrationToken = await newRegistrationToken(world.context, ITEM);
        const other = { registrationToken, itemToken: newToken, machineId: "other", bootId: "boot", disks: DISKS };
        await registerService(world.context, ITEM, other);
      }
      return run();
    });
    await beat(world, { nextTokenHash: tokenHash(proposed) }, ITEM_TOKEN, held).catch(() => undefined);
    expect(isTaken).toBe(true);
    await expect(beat(world, {}, proposed)).rejects.toMatchObject({ code: "not-authorized" });
    await beat(world, { machineId: "other", sessionId: "other" }, newToken);
  });
});
