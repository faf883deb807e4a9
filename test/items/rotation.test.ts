import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { openItemTokens, type ItemTokens } from "../../mobility/control/item-tokens.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { hasCode } from "../../replication/errors.ts";
import { newRegistrationToken, protectItem } from "../../replication/items/protect.ts";
import { TOKEN_MAX_AGE_MS } from "../../replication/limits.ts";
import { readItem } from "../../replication/records/item-record.ts";
import { registerService } from "../../replication/service/register.ts";
import { requestTokenRotation } from "../../replication/service/rotation.ts";
import { tokenHash } from "../../replication/service/tokens.ts";
import { temporaryFolder } from "../mobility/temporary.ts";
import { killedEverywhere } from "./interrupted.ts";
import { DISKS, ITEM, WHO, type World, beat, createWorld } from "./world.ts";

const FILES = nodeFiles();

const notAuthorized = { code: "not-authorized" };

interface Exchange {
  readonly world: World;
  /** The service as it starts, or starts again after a kill: from its files. */
  readonly open: () => ItemTokens;
  readonly path: string;
}

async function registered(): Promise<Exchange> {
  const world = createWorld();
  const path = join(temporaryFolder(), "item-token");
  const { registrationToken = "" } = await protectItem(world.context, {
    itemId: ITEM,
    disks: DISKS,
    policy: undefined,
  });
  const { machineId, bootId } = WHO;
  const itemToken = openItemTokens(FILES, randomBytes, path).current();
  await registerService(world.context, ITEM, { registrationToken, itemToken, machineId, bootId, disks: DISKS });
  return { world, open: () => openItemTokens(FILES, randomBytes, path), path };
}

async function wanted(): Promise<Exchange> {
  const exchange = await registered();
  await requestTokenRotation(exchange.world.context, ITEM);
  return exchange;
}

/**
 * One heartbeat as the service handles it (control/identity.ts): after a refusal it tries its other token, if it has
 * one.
 */
async function heartbeat(world: World, tokens: ItemTokens, stores = world.stores, lost = false): Promise<void> {
  try {
    const answer = await beat(world, { nextTokenHash: tokens.nextHash() }, tokens.current(), stores);
    if (lost) return;
    tokens.taken();
    if (answer.rotation === "wanted") tokens.propose();
    if (answer.rotation === "accepted") tokens.accepted();
  } catch (error) {
    if (!hasCode(error, "not-authorized") || lost) throw error;
    if (!tokens.refused()) throw error;
  }
}

const tokenOf = async (world: World): Promise<string | undefined> =>
  (await readItem(world.stores, ITEM)).item.tokenHash;

describe("the exchange of an item token", () => {
  it("P14: takes three heartbeats, and the first use of the new token ends the old one", async () => {
    const { world, open, path } = await wanted();
    const tokens = open();
    const old = tokens.current();
    await heartbeat(world, tokens);
    expect(tokens.current()).toBe(old);
    await heartbeat(world, tokens);
    expect(tokens.current()).not.toBe(old);
    // Both count now.
    await beat(world, {}, old);
    await heartbeat(world, tokens);
    await expect(beat(world, {}, old)).rejects.toMatchObject(notAuthorized);
    expect(open().current()).toBe(tokens.current());
    expect(existsSync(`${path}-next`)).toBe(false);
    expect((await beat(world, {}, tokens.current())).rotation).toBeUndefined();
  });

  it("P14: is asked for when the token is old, or when an operator wants it, and not before", async () => {
    const { world, open } = await registered();
    const token = open().current();
    world.pass(TOKEN_MAX_AGE_MS - 1);
    expect((await beat(world, {}, token)).rotation).toBeUndefined();
    world.pass(1);
    expect((await beat(world, {}, token)).rotation).toBe("wanted");
    const tokens = open();
    for (let round = 0; round < 3; round += 1) await heartbeat(world, tokens);
    expect((await beat(world, {}, tokens.current())).rotation).toBeUndefined();
    await requestTokenRotation(world.context, ITEM);
    expect((await beat(world, {}, tokens.current())).rotation).toBe("wanted");
  });

  it("P15: the new token is not sent before its use, and only hashes are stored", async () => {
    const { world, open } = await wanted();
    const tokens = open();
    await heartbeat(world, tokens);
    await heartbeat(world, tokens);
    const { item } = await readItem(world.stores, ITEM);
    expect(item.nextTokenHash).toBe(tokenHash(tokens.current()));
    expect(JSON.stringify(item)).not.toContain(tokens.current());
  });

  it("P16: the control plane killed at any await of the exchange, it ends well", async () => {
    const kills = await killedEverywhere(
      wanted,
      ({ world }) => world.stores,
      async ({ world, open }, stores) => {
        const tokens = open();
        for (let round = 0; round < 3; round += 1) await heartbeat(world, tokens, stores);
      },
      async ({ world, open }) => {
        // The service was killed with it, or not: it knows what its files say.
        const tokens = open();
        for (let round = 0; round < 5; round += 1) await heartbeat(world, tokens);
        expect(await tokenOf(world)).toBe(tokenHash(tokens.current()));
        expect(open().current()).toBe(tokens.current());
      },
    );
    expect(kills).toBeGreaterThan(20);
  });

  property.prop([fc.array(fc.constantFrom("heartbeat", "answer-lost", "restart", "rotate"), { maxLength: 30 })])(
    "P16: whatever is lost and whenever the service is started again, it is never locked out",
    async (steps) => {
      const { world, open } = await registered();
      let tokens = open();
      for (const step of steps) {
        if (step === "restart") tokens = open();
        else if (step === "rotate") await requestTokenRotation(world.context, ITEM);
        else if (step === "heartbeat") await heartbeat(world, tokens);
        else
          await heartbeat(world, tokens, world.stores, true).catch((error: unknown) =>
            expect(error).toMatchObject(notAuthorized),
          );
      }
      for (let round = 0; round < 5; round += 1) await heartbeat(world, tokens);
      expect(await tokenOf(world)).toBe(tokenHash(tokens.current()));
    },
  );

  it("P17: a new registration ends both tokens", async () => {
    const { world, open } = await wanted();
    const tokens = open();
    const old = tokens.current();
    await heartbeat(world, tokens);
    await heartbeat(world, tokens);
    const registrationToken = await newRegistrationToken(world.context, ITEM);
    const { machineId, bootId } = WHO;
    const itemToken = "cd".repeat(32);
    await registerService(world.context, ITEM, { registrationToken, itemToken, machineId, bootId, disks: DISKS });
    for (const token of [old, tokens.current()])
      await expect(beat(world, {}, token)).rejects.toMatchObject(notAuthorized);
    await beat(world, {}, itemToken);
  });
});
