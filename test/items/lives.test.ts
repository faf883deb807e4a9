import { describe, expect, it } from "vitest";
import { applySlice } from "../../replication/apply/run.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { readItemStatus } from "../../replication/items/status.ts";
import { STREAMS_RECORD, journalName } from "../../replication/names.ts";
import type { Position } from "../../replication/position.ts";
import { readItem } from "../../replication/records/item-record.ts";
import { registerService } from "../../replication/service/register.ts";
import { settleEpoch } from "../../replication/service/settle.ts";
import { sweepCache } from "../../replication/sweep/sweep-cache.ts";
import { removeItem } from "../memory/memory-stores.ts";
import { DISKS, ITEM, ITEM_TOKEN, START_MS, type World, beat, createWorld, progressOf, upload } from "./world.ts";

/** One life of the item: from enabling to disabling. */
async function live(world: World): Promise<Position> {
  const { registrationToken = "" } = await protectItem(world.context, {
    itemId: ITEM,
    disks: DISKS,
    policy: undefined,
  });
  const request = { registrationToken, itemToken: ITEM_TOKEN, machineId: "machine", bootId: "boot", disks: DISKS };
  return (await registerService(world.context, ITEM, request)).start;
}

function deltaAfter(start: Position, fill: number) {
  const header = {
    itemId: ITEM,
    stream: start.stream,
    epoch: start.epoch + 1,
    firstWriteMs: START_MS,
    lastWriteMs: START_MS,
    start,
    disks: DISKS,
    flags: { consistency: "crash", seeding: false, final: false, groupMark: false },
  } as const;
  return encodeDelta(header, [{ kind: "data", disk: 0, offsetBytes: 512, bytes: new Uint8Array(512).fill(fill) }]);
}

const work = (world: World) =>
  applySlice(
    {
      ...world.context,
      timer: { pause: async () => undefined },
      holder: "worker",
      deadlineMs: world.context.clock.now() + 60_000,
      log: () => undefined,
    },
    ITEM,
  );

async function secondLife(): Promise<{ world: World; first: Position; second: Position }> {
  const world = createWorld();
  const first = await live(world);
  await removeItem(world.stores, ITEM);
  return { world, first, second: await live(world) };
}

describe("a second life of an item", () => {
  it("uses no stream number and no start position of the first", async () => {
    const { first, second } = await secondLife();
    expect(second.stream).toBeGreaterThan(first.stream);
    expect(second.checksum).not.toBe(first.checksum);
  });

  it("has another start position even where nothing tells of the first any more, and the number of its stream comes again", async () => {
    const world = createWorld();
    const first = await live(world);
    await removeItem(world.stores, ITEM);
    await world.stores.management(ITEM).remove(STREAMS_RECORD);
    const second = await live(world);
    expect(second.stream).toBe(first.stream);
    expect(second.checksum).not.toBe(first.checksum);
  });

  it("the tokens and the session of the first are refused, and change nothing", async () => {
    const world = createWorld();
    const { registrationToken: unused = "" } = await protectItem(world.context, {
      itemId: ITEM,
      disks: DISKS,
      policy: undefined,
    });
    await removeItem(world.stores, ITEM);
    const first = await live(world);
    await beat(world, { start: first, uploaded: first });
    await removeItem(world.stores, ITEM);
    const before = world.dump();
    await expect(beat(world, { start: first, uploaded: first })).rejects.toMatchObject({ code: "item-unknown" });
    expect(world.dump()).toEqual(before);
    const { registrationToken = "" } = await protectItem(world.context, {
      itemId: ITEM,
      disks: DISKS,
      policy: undefined,
    });
    const enabled = world.dump();
    const who = { machineId: "machine", bootId: "boot", disks: DISKS };
    await expect(beat(world, { start: first, uploaded: first })).rejects.toMatchObject({ code: "not-authorized" });
    for (const request of [
      { registrationToken: unused, itemToken: ITEM_TOKEN },
      { registrationToken: "used", itemToken: ITEM_TOKEN },
    ]) {
      await expect(registerService(world.context, ITEM, { ...who, ...request })).rejects.toMatchObject({
        code: "not-authorized",
      });
    }
    expect(world.dump()).toEqual(enabled);
    // With a token of this life the old service is heard, and told of the stream that it has to begin.
    const { start } = await registerService(world.context, ITEM, { ...who, registrationToken, itemToken: ITEM_TOKEN });
    const old = { start: first, uploaded: { ...first, epoch: 9 }, sealed: { ...first, epoch: 9 } };
    expect(await beat(world, old)).toMatchObject({ start, applied: start });
    expect(await readItemStatus(world.context, ITEM)).toMatchObject({
      stage: "initial-replication",
      backlog: { epochs: 0 },
    });
  });

  it("a late delta of the first life neither stands in the way nor is ever applied", async () => {
    const { world, first, second } = await secondLife();
    await beat(world, { uploaded: second });
    await upload(world, 1, deltaAfter(first, 1).bytes, first.stream);
    const own = deltaAfter(second, 2);
    const question = { sessionId: "session", stream: second.stream, epoch: 1, checksum: own.end.checksum };
    expect(await settleEpoch(world.context, ITEM, ITEM_TOKEN, question)).toEqual({ outcome: "again" });
    await upload(world, 1, own.bytes, second.stream);
    expect(await work(world)).toEqual({ kind: "idle" });
    expect((await progressOf(world)).applied).toEqual(own.end);
    expect((await sweepCache(world.context, ITEM)).stopped).toBeUndefined();
  });

  it("a journal entry that the first life left behind stops nothing", async () => {
    const { world, first, second } = await secondLife();
    const left = deltaAfter(first, 1);
    await world.stores.records(ITEM).put(journalName(first.stream, 1), left.bytes);
    const own = deltaAfter(second, 2);
    await upload(world, 1, own.bytes, second.stream);
    expect(await work(world)).toEqual({ kind: "idle" });
    expect((await progressOf(world)).applied).toEqual(own.end);
    expect((await readItem(world.stores, ITEM)).item.stream).toBe(second.stream);
  });
});
