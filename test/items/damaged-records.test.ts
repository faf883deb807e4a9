import { describe, expect, it } from "vitest";
import { applySlice } from "../../replication/apply/run.ts";
import { hasCode } from "../../replication/errors.ts";
import { announceItem } from "../../replication/events/announce.ts";
import { POINT_SETTLE_MS, RESTORE_STALE_MS, SLICE_MS } from "../../replication/limits.ts";
import {
  EVENTS_RECORD,
  HEARTBEAT_RECORD,
  ITEM_RECORD,
  POINT_WANTED_RECORD,
  PROGRESS_RECORD,
  itemContainer,
  journalName,
  manifestName,
  pinsName,
  restoreRecordName,
} from "../../replication/names.ts";
import { listOverviews, readOverview } from "../../replication/operations/overview.ts";
import { listPoints, readCatalog } from "../../replication/points/catalog.ts";
import { choosePoint } from "../../replication/points/choose-point.ts";
import { wantPoint } from "../../replication/points/point-wanted.ts";
import { decodeRecord, encodeRecord } from "../../replication/records/envelope.ts";
import { placedRecords } from "../../replication/records/placed-records.ts";
import { removeRestore } from "../../replication/restore/remove.ts";
import { restoreSlice } from "../../replication/restore/slice.ts";
import { startRestore } from "../../replication/restore/start.ts";
import { restoreStatus } from "../../replication/restore/status.ts";
import { removeAllPoints } from "../../replication/sweep/remove-all-points.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { createMemoryRecords } from "../memory/memory-records.ts";
import { missing } from "../missing.ts";
import {
  HOUR_MS,
  ITEM,
  type World,
  beat,
  deltaChain,
  pointsWithSnapshots,
  progressOf,
  protectedWorld,
  upload,
} from "./world.ts";

/** An item with two recovery points, of which a restore is copying the older one. */
interface Filled {
  readonly world: World;
  readonly older: string;
  readonly newer: string;
  readonly restoreId: string;
}

const CHAIN = deltaChain(6);

async function work(world: World, sliceMs = SLICE_MS): Promise<void> {
  const { stores, clock } = world.context;
  const timer = { pause: async (): Promise<void> => undefined };
  const deadlineMs = clock.now() + sliceMs;
  await applySlice({ stores, clock, timer, holder: `worker-${clock.now()}`, deadlineMs, log: () => undefined }, ITEM);
}

async function filled(): Promise<Filled> {
  const world = await protectedWorld();
  for (const epoch of [1, 2]) await upload(world, epoch, CHAIN[epoch - 1]?.bytes ?? new Uint8Array());
  await work(world);
  world.pass(HOUR_MS);
  await upload(world, 3, CHAIN[2]?.bytes ?? new Uint8Array());
  await work(world);
  await beat(world, { uploaded: CHAIN[2]?.end ?? missing() });
  const records = world.stores.records(ITEM);
  const { points } = await listPoints(records);
  const [older = "", newer = ""] = points.map(({ pointId }) => pointId);
  const { restoreId } = await startRestore(world.context, ITEM, older, "first");
  await wantPoint(records, { stream: 1, epoch: 1 });
  await announceItem({ ...world.context, events: { publish: async () => undefined } }, ITEM);
  world.pass(POINT_SETTLE_MS + 1);
  return { world, older, newer, restoreId };
}

/** What can be done with an item. Each says what came of it: "ok", or the code of its error. */
const ABILITIES: Readonly<Record<string, (filled: Filled) => Promise<string>>> = {
  status: async ({ world }) => {
    const shown = await readOverview(world.context, ITEM);
    expect((await listOverviews(world.context)).items).toEqual([shown]);
    const named = [shown.damaged, ...(shown.status?.healthErrors ?? [])].find((error) => error?.code === CORRUPT);
    return named?.code ?? "ok";
  },
  "list points": async ({ world }) => {
    const { points, damagedManifests } = await listPoints(world.stores.records(ITEM));
    return damagedManifests.size === 0 && points.length === 2 ? "ok" : `${points.length} of 2`;
  },
  "restore the latest": async ({ world, newer }) => {
    const { points, pins, damagedPins } = await readCatalog(world.stores.records(ITEM));
    const choosable = points.map((point) => ({
      ...point,
      deleting: pins.get(point.pointId)?.state === "deleting",
      damaged: damagedPins.get(point.pointId),
    }));
    const nowhere = { position: { stream: 0, epoch: 0, checksum: "" }, deadlineMs: 0 };
    const choice = choosePoint({ kind: "Latest" }, choosable, undefined, nowhere, 0);
    if (choice.kind !== "point") return choice.kind;
    const state = await restored(world, choice.pointId);
    return state === "ok" && choice.pointId !== newer ? "the older one" : state;
  },
  "restore the older point": ({ world, older }) => restored(world, older),
  "finish the restore": async ({ world, restoreId }) => {
    await restoreSlice(world.context, ITEM, restoreId);
    await restoreSlice(world.context, ITEM, restoreId);
    const { state, error } = await restoreStatus(world.context, ITEM, restoreId);
    return state === "Succeeded" ? "ok" : (error?.code ?? state);
  },
  apply: async ({ world }) => {
    for (const epoch of [4, 5]) await upload(world, epoch, CHAIN[epoch - 1]?.bytes ?? new Uint8Array());
    world.pass(HOUR_MS);
    await work(world);
    return (await progressOf(world)).applied.epoch === 5 ? "ok" : "not applied";
  },
  heartbeat: async ({ world }) => {
    await beat(world, { uploaded: CHAIN[2]?.end ?? missing() });
    return "ok";
  },
  "tell events": async ({ world }) => {
    await announceItem({ ...world.context, events: { publish: async () => undefined } }, ITEM);
    return "ok";
  },
  "tell events from the beginning": async ({ world }) => {
    await world.rawRecords(ITEM).remove(EVENTS_RECORD);
    const told: unknown[] = [];
    await announceItem({ ...world.context, events: { publish: async (events) => void told.push(...events) } }, ITEM);
    return told.length > 0 ? "ok" : "nothing told";
  },
  sweep: async ({ world }) => {
    const { damaged } = (await sweepItem(world.context, ITEM)) ?? missing();
    return damaged?.code ?? "ok";
  },
  "wake the restore": async ({ world, restoreId }) => {
    world.pass(RESTORE_STALE_MS + 1);
    const { restores } = (await sweepItem(world.context, ITEM)) ?? missing();
    return restores.includes(restoreId) ? "ok" : "asleep";
  },
  "remove all points": async ({ world, restoreId }) => {
    await sweepItem(world.context, ITEM).catch(() => undefined);
    await removeRestore(world.context, ITEM, restoreId);
    await sweepItem(world.context, ITEM).catch(() => undefined);
    const left = await removeAllPoints(world.context, ITEM);
    return left === 0 && (await pointsWithSnapshots(world)).length === 0 ? "ok" : `${left} left`;
  },
};

async function restored(world: World, pointId: string): Promise<string> {
  const { restoreId } = await startRestore(world.context, ITEM, pointId, "second");
  for (let slice = 0; slice < 4; slice += 1) await restoreSlice(world.context, ITEM, restoreId);
  return (await restoreStatus(world.context, ITEM, restoreId)).state === "Succeeded" ? "ok" : "not restored";
}

/** What an ability comes to when an error ends it. */
async function outcome(ability: (filled: Filled) => Promise<string>, of: Filled): Promise<string> {
  try {
    return await ability(of);
  } catch (error) {
    if (hasCode(error, "record-corrupt")) return error.code;
    throw error;
  }
}

type Damage = (world: World, name: string, bytes: Uint8Array) => Promise<void>;

const DAMAGES: Readonly<Record<string, Damage>> = {
  "a flipped bit": (world, name, bytes) =>
    world.rawRecords(ITEM).put(
      name,
      bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 4 : byte)),
    ),
  "its end missing": (world, name, bytes) => world.rawRecords(ITEM).put(name, bytes.subarray(0, bytes.length >> 1)),
  "nothing in it": (world, name) => world.rawRecords(ITEM).put(name, new Uint8Array()),
  "an older version": async (world, name) => {
    const stored = await world.stores.records(ITEM).read(name);
    const body = decodeRecord<{ readonly version: number }>(name, 1, stored?.bytes ?? new Uint8Array());
    await world.stores.records(ITEM).put(name, encodeRecord({ ...body, version: 0 }));
  },
  "the record of another item": async (world, name) => {
    const bytes = (await world.stores.records(ITEM).read(name))?.bytes ?? new Uint8Array();
    const scratch = createMemoryRecords(world.context.clock);
    await placedRecords(scratch, itemContainer("vm-2")).put(name, bytes);
    await world.rawRecords(ITEM).put(name, (await scratch.read(name))?.bytes ?? new Uint8Array());
  },
};

interface Case {
  readonly name: (of: Filled) => string;
  /** What does not come to "ok", and what to instead. */
  readonly lost: Readonly<Record<string, string>>;
  /** How it is repaired; undefined: by putting back a copy, as soft delete has one. */
  readonly repair?: (of: Filled) => Promise<unknown>;
}

const CORRUPT = "record-corrupt";

const CASES: Readonly<Record<string, Case>> = {
  "item.json": {
    name: () => ITEM_RECORD,
    lost: {
      status: CORRUPT,
      apply: CORRUPT,
      heartbeat: CORRUPT,
      // What waits is told; of health and points nobody knows.
      "tell events from the beginning": "nothing told",
      sweep: CORRUPT,
      "remove all points": CORRUPT,
    },
  },
  "progress.json": {
    name: () => PROGRESS_RECORD,
    lost: { status: CORRUPT, apply: CORRUPT, heartbeat: CORRUPT, sweep: CORRUPT },
  },
  "heartbeat.json": { name: () => HEARTBEAT_RECORD, lost: { status: CORRUPT }, repair: ({ world }) => beat(world) },
  "point-wanted.json": {
    name: () => POINT_WANTED_RECORD,
    lost: {},
    repair: ({ world }) => wantPoint(world.stores.records(ITEM), { stream: 1, epoch: 1 }),
  },
  "events.json": {
    name: () => EVENTS_RECORD,
    lost: {},
    repair: ({ world }) => announceItem({ ...world.context, events: { publish: async () => undefined } }, ITEM),
  },
  "the manifest of the older point": {
    name: ({ older }) => manifestName(older),
    lost: { "list points": "1 of 2", "restore the older point": CORRUPT, "finish the restore": CORRUPT },
  },
  "the manifest of the newer point": {
    name: ({ newer }) => manifestName(newer),
    lost: { "list points": "1 of 2", "restore the latest": "the older one" },
  },
  "the pins of a point": {
    name: ({ older }) => pinsName(older),
    // The sweep that makes the pins anew wakes nobody yet.
    lost: { "restore the older point": CORRUPT, "finish the restore": CORRUPT, "wake the restore": "asleep" },
    repair: ({ world }) => sweepItem(world.context, ITEM),
  },
  "a restore": {
    name: ({ restoreId }) => restoreRecordName(restoreId),
    lost: { "finish the restore": CORRUPT, "wake the restore": "asleep" },
    repair: async ({ world, older, restoreId }) => {
      await removeRestore(world.context, ITEM, restoreId);
      world.pass(RESTORE_STALE_MS + 1);
      await sweepItem(world.context, ITEM);
      // Asked for again, it is made again.
      await startRestore(world.context, ITEM, older, "first");
    },
  },
};

describe.each(Object.entries(CASES))("rule 6: damage of %s", (_case, { name, lost, repair }) => {
  it.each(Object.entries(DAMAGES))(
    "(%s) costs only what it describes, and can be repaired",
    async (_damage, damage) => {
      const outcomes: Record<string, string> = {};
      for (const [ability, perform] of Object.entries(ABILITIES)) {
        const of = await filled();
        const record = name(of);
        const { bytes } = (await of.world.rawRecords(ITEM).read(record)) ?? missing();
        await damage(of.world, record, bytes);
        const came = await outcome(perform, of);
        if (came !== "ok") outcomes[ability] = came;
      }
      expect(outcomes).toEqual(lost);
      for (const perform of Object.values(ABILITIES)) {
        const of = await filled();
        const record = name(of);
        const { bytes } = (await of.world.rawRecords(ITEM).read(record)) ?? missing();
        await damage(of.world, record, bytes);
        await (repair?.(of) ?? of.world.rawRecords(ITEM).put(record, bytes));
        expect(await outcome(perform, of)).toBe("ok");
      }
    },
  );
});

describe("rule 6: damage of a journal entry", () => {
  it.each([
    ["a flipped bit", (bytes: Uint8Array) => bytes.map((byte, at) => (at === 60 ? byte ^ 1 : byte))],
    ["its end missing", (bytes: Uint8Array) => bytes.subarray(0, 50)],
    ["the delta of another item", () => deltaChain(3, 1, "vm-2")[2]?.bytes ?? new Uint8Array()],
  ])("(%s) that was applied costs nothing", async (_damage, damaged) => {
    for (const perform of Object.values(ABILITIES)) {
      const of = await filled();
      await of.world.rawRecords(ITEM).put(journalName(1, 3), damaged(CHAIN[2]?.bytes ?? new Uint8Array()));
      expect(await outcome(perform, of)).toBe("ok");
    }
  });
});
