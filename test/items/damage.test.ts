import { describe, expect, it } from "vitest";
import { applySlice } from "../../replication/apply/run.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { readItemStatus } from "../../replication/items/status.ts";
import {
  HEARTBEAT_RECORD,
  ITEM_RECORD,
  PROGRESS_RECORD,
  STREAMS_RECORD,
  itemContainer,
  managementContainer,
} from "../../replication/names.ts";
import { listOverviews, readOverview } from "../../replication/operations/overview.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import type { RecordStore } from "../../replication/ports.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { findReadableItem, readItem } from "../../replication/records/item-record.ts";
import { placedRecords } from "../../replication/records/placed-records.ts";
import { mintStream, startOf } from "../../replication/records/streams.ts";
import { restoreSlice } from "../../replication/restore/slice.ts";
import { startRestore } from "../../replication/restore/start.ts";
import { restoreStatus } from "../../replication/restore/status.ts";
import { registerService } from "../../replication/service/register.ts";
import { requestRepair } from "../../replication/service/repair.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { createMemoryRecords } from "../memory/memory-records.ts";
import {
  DISKS,
  HOUR_MS,
  ITEM,
  ITEM_TOKEN,
  START,
  type World,
  beat,
  deltaChain,
  protectedWorld,
  upload,
} from "./world.ts";

const OTHER = "db";
const RECORDS = [ITEM_RECORD, HEARTBEAT_RECORD, PROGRESS_RECORD, STREAMS_RECORD] as const;
type RecordName = (typeof RECORDS)[number];

const bodyOf = (bytes: Uint8Array): object =>
  (JSON.parse(new TextDecoder().decode(bytes)) as { readonly body: object }).body;
const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));

/**
 * What may have become of a record's bytes. The last is a whole record of the other item, as its own container holds
 * it.
 */
async function damages(name: RecordName, bytes: Uint8Array): Promise<readonly Uint8Array[]> {
  const scratch = createMemoryRecords({ now: () => 0 });
  const container = name === STREAMS_RECORD ? managementContainer(OTHER) : itemContainer(OTHER);
  await placedRecords(scratch, container).put(name, bytes);
  const others = (await scratch.read(name))?.bytes ?? new Uint8Array();
  return [
    // Every seventh byte meets each part of envelope and body.
    ...Array.from({ length: Math.floor(bytes.length / 7) }, (_, at) => flipped(bytes, 7 * at)),
    bytes.slice(0, bytes.length / 2),
    bytes.slice(0, -1),
    new Uint8Array(),
    encodeRecord({ ...bodyOf(bytes), version: 0 }),
    others,
  ];
}

/** Two items; the first replicates and has a point. */
async function replicating(): Promise<World> {
  const world = await protectedWorld();
  await protectItem(world.context, { itemId: OTHER, disks: DISKS, policy: undefined });
  await beat(world);
  const [first] = deltaChain(1);
  await upload(world, 1, first?.bytes ?? new Uint8Array());
  await work(world);
  expect((await listPoints(world.stores.records(ITEM))).points).toHaveLength(1);
  return world;
}

const work = (world: World) =>
  applySlice(
    {
      ...world.context,
      holder: "worker",
      timer: { pause: async () => undefined },
      deadlineMs: world.context.clock.now() + 60_000,
      log: () => undefined,
    },
    ITEM,
  );

const placeOf = ({ stores }: World, name: RecordName): RecordStore =>
  name === STREAMS_RECORD ? stores.management(ITEM) : stores.records(ITEM);

async function eachDamage(name: RecordName, look: (world: World) => Promise<void>): Promise<void> {
  const whole = await placeOf(await replicating(), name).read(name);
  for (const bytes of await damages(name, whole?.bytes ?? new Uint8Array())) {
    const world = await replicating();
    await placeOf(world, name).put(name, bytes);
    await look(world);
  }
}

const healthCodes = async (world: World): Promise<readonly string[]> =>
  (await readItemStatus(world.context, ITEM)).healthErrors.map(({ code }) => code);

describe.each(RECORDS)("a damaged %s", (name) => {
  it("hides no other item, no point, and keeps no restore from its end", async () => {
    await eachDamage(name, async (world) => {
      const { items } = await listOverviews(world.context);
      expect(items.map(({ itemId }) => itemId)).toEqual([OTHER, ITEM]);
      expect(await readItemStatus(world.context, OTHER)).toMatchObject({ stage: "enabling", healthErrors: [] });
      await sweepItem(world.context, OTHER);
      const [point] = (await listPoints(world.stores.records(ITEM))).points;
      const { restoreId } = await startRestore(world.context, ITEM, point?.pointId ?? "");
      expect(await restoreSlice(world.context, ITEM, restoreId)).toEqual({ kind: "done" });
      expect((await restoreStatus(world.context, ITEM, restoreId)).state).toBe("Succeeded");
    });
  });
});

describe("what a damaged record makes unusable, and how it is repaired", () => {
  it("item.json: the item is named and stands still; protecting the same disks makes it anew, and its points stay", async () => {
    await eachDamage(ITEM_RECORD, async (world) => {
      expect(await readOverview(world.context, ITEM)).toMatchObject({
        status: undefined,
        damaged: { code: "record-corrupt" },
      });
      await expect(beat(world)).rejects.toMatchObject({ code: "record-corrupt" });
      await expect(work(world)).rejects.toMatchObject({ code: "record-corrupt" });
      const answer = await protectItem(world.context, { itemId: ITEM, disks: DISKS, policy: undefined });
      const registrationToken = answer.registrationToken ?? "";
      await registerService(world.context, ITEM, {
        registrationToken,
        itemToken: ITEM_TOKEN,
        machineId: "machine",
        bootId: "b",
        disks: DISKS,
      });
      expect(answer.item.stream).toBe(2);
      expect(await beat(world)).toMatchObject({ start: startOf(answer.item), applied: startOf(answer.item) });
      expect((await listPoints(world.stores.records(ITEM))).points).toHaveLength(1);
    });
  });

  it("heartbeat.json: it is named until the next heartbeat makes it anew; applying and points go on", async () => {
    await eachDamage(HEARTBEAT_RECORD, async (world) => {
      expect(await healthCodes(world)).toEqual(["record-corrupt"]);
      world.pass(HOUR_MS);
      const [, second] = deltaChain(2);
      await upload(world, 2, second?.bytes ?? new Uint8Array());
      expect(await work(world)).toEqual({ kind: "idle" });
      expect((await listPoints(world.stores.records(ITEM))).points).toHaveLength(2);
      await beat(world, { uploaded: second?.end ?? START, currentAtMs: world.context.clock.now() });
      expect(await healthCodes(world)).toEqual([]);
    });
  });

  it("progress.json: the item is stopped and says why; retention and sweeps go on; a repair begins anew", async () => {
    await eachDamage(PROGRESS_RECORD, async (world) => {
      expect(await readItemStatus(world.context, ITEM)).toMatchObject({
        replicationHealth: "Critical",
        stopped: { code: "record-corrupt", hint: expect.stringContaining("repairReplication") },
      });
      await expect(beat(world)).rejects.toMatchObject({ code: "record-corrupt" });
      expect(await sweepItem(world.context, ITEM)).toMatchObject({
        keptPoints: 1,
        damaged: { code: "record-corrupt" },
      });
      await requestRepair(world.context, ITEM);
      const { item } = await readItem(world.stores, ITEM);
      expect(await beat(world)).toMatchObject({ stream: 2, start: startOf(item), applied: startOf(item) });
      expect((await readItemStatus(world.context, ITEM)).stopped).toBeUndefined();
    });
  });

  it("streams.json: nothing; the next number is above all that were used", async () => {
    await eachDamage(STREAMS_RECORD, async (world) => {
      await beat(world);
      expect(await work(world)).toEqual({ kind: "idle" });
      expect(await mintStream(world.stores, ITEM)).toBe(2);
    });
  });

  it("one whose machine flows care for shows the machine, and the damage with it", async () => {
    const world = await replicating();
    await world.stores.management(ITEM).put("managed.json", new Uint8Array([1]));
    expect(await readOverview(world.context, ITEM)).toMatchObject({
      status: { itemId: ITEM },
      damaged: { code: "record-corrupt" },
    });
    expect(await findReadableItem(world.stores, ITEM)).toBeDefined();
  });
});
