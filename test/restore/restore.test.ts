import { describe, expect, it } from "vitest";
import {
  RESTORE_COPIES_MAX_TRIES,
  RESTORE_KEPT_MS,
  RESTORE_MAX_MS,
  RESTORE_POLL_MS,
  RESTORE_SETTLE_MS,
  RESTORE_STALE_MS,
} from "../../replication/limits.ts";
import type { ItemContext } from "../../replication/points/context.ts";
import type { PointManifest } from "../../replication/points/manifest.ts";
import { pinPoint, readPins, unpinPoint } from "../../replication/points/pins.ts";
import type { CopyState, ItemStores } from "../../replication/ports.ts";
import { restoreIdOf, restorePinId } from "../../replication/restore/record.ts";
import { deleteRestore, removeRestore } from "../../replication/restore/remove.ts";
import { type RestoreStep, restoreSlice } from "../../replication/restore/slice.ts";
import { startRestore } from "../../replication/restore/start.ts";
import { restoreStatus, restoredDisks } from "../../replication/restore/status.ts";
import { sweepItem } from "../../replication/sweep/sweep.ts";
import { killedEverywhere } from "../items/interrupted.ts";
import { DISKS, HOUR_MS, ITEM, type World, addPoint, protectedWorld, START } from "../items/world.ts";

const REQUEST_ID = "request-1";
const SLICES_MAX = 10;
const POSITION = START;

interface Prepared {
  readonly world: World;
  readonly point: PointManifest;
}

/** A point whose disks hold known bytes, and later writes behind it. */
/** The next point takes the place of the one before. */
const LATEST_ONLY = { pointIntervalMs: 300_000, retentionMs: 0 };

async function prepared(policy?: Parameters<typeof protectedWorld>[0]): Promise<Prepared> {
  const world = await protectedWorld(policy);
  const write = async (fill: number): Promise<void> => {
    for (const disk of DISKS) {
      await world.stores.disks.writePages(
        { itemId: ITEM, stream: 1, diskId: disk.id },
        0,
        new Uint8Array(512).fill(fill),
        1,
      );
    }
  };
  await write(7);
  const point = await addPoint(world, { ...POSITION, epoch: 1 });
  await write(8);
  return { world, point };
}

async function runToEnd(context: ItemContext, restoreId: string): Promise<void> {
  for (let slice = 0; slice < SLICES_MAX; slice += 1) {
    if ((await restoreSlice(context, ITEM, restoreId)).kind === "done") return;
  }
  throw new Error("the restore does not end");
}

const pinsOf = async (world: World, point: PointManifest): Promise<readonly string[]> =>
  ((await readPins(world.stores.records(ITEM), point.pointId))?.pins ?? []).map((pin) => pin.pinId);

/** Stores whose copies say what the test wants. */
function withCopies(world: World, copyState: (diskId: string) => CopyState | undefined): ItemContext {
  const inner = world.stores.snapshots;
  const stores: ItemStores = {
    ...world.stores,
    snapshots: {
      ...inner,
      copyState: async (destination) => copyState(destination.diskId) ?? inner.copyState(destination),
    },
  };
  return { ...world.context, stores };
}

describe("restoring a recovery point", () => {
  it("copies every disk as it was, holds the point meanwhile and lets it go at the end", async () => {
    const { world, point } = await prepared();
    const { restoreId, state } = await startRestore(world.context, ITEM, point.pointId);
    expect(state).toBe("Pending");
    expect(await pinsOf(world, point)).toEqual([restorePinId(restoreId)]);
    expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({
      state: "Pending",
      percentComplete: 0,
      disks: [{ url: undefined }, {}],
    });
    await runToEnd(world.context, restoreId);
    const status = await restoreStatus(world.context, ITEM, restoreId);
    expect(status).toMatchObject({
      state: "Succeeded",
      percentComplete: 100,
      pointId: point.pointId,
      position: point.position,
      error: undefined,
    });
    expect(status.disks.map((disk) => [disk.id, disk.state, disk.url])).toEqual(
      DISKS.map((disk) => [
        disk.id,
        "copied",
        `https://memory.invalid/leeward-restore-${ITEM}/${restoreId}/${disk.id}.vhd`,
      ]),
    );
    for (const disk of await restoredDisks(world.context, ITEM, restoreId)) {
      const content = world.memory.restoredContent(disk);
      expect(content?.subarray(0, 512)).toEqual(new Uint8Array(512).fill(7));
      expect(Buffer.from(content?.subarray(-512, -504) ?? []).toString()).toBe("conectix");
    }
    expect(await pinsOf(world, point)).toEqual([]);
  });

  it("rule 10: the same request id gives the same restore, before and after its end; for another point it is refused", async () => {
    const { world, point } = await prepared();
    const first = await startRestore(world.context, ITEM, point.pointId, REQUEST_ID);
    expect(await startRestore(world.context, ITEM, point.pointId, REQUEST_ID)).toEqual(first);
    await runToEnd(world.context, first.restoreId);
    expect(await startRestore(world.context, ITEM, point.pointId, REQUEST_ID)).toMatchObject({
      restoreId: first.restoreId,
      state: "Succeeded",
    });
    expect(await pinsOf(world, point)).toEqual([]);
    world.pass(1);
    const later = await addPoint(world, POSITION);
    await expect(startRestore(world.context, ITEM, later.pointId, REQUEST_ID)).rejects.toMatchObject({
      code: "invalid-request",
    });
    expect((await startRestore(world.context, ITEM, point.pointId)).restoreId).not.toBe(first.restoreId);
  });

  it("rule 10: a slow start does not undo what another one with the same request id has finished meanwhile", async () => {
    const { world, point } = await prepared();
    const inner = world.stores.records(ITEM);
    const records: typeof inner = {
      ...inner,
      create: async (name, bytes) => {
        const created = await inner.create(name, bytes);
        if (name.endsWith("/pins.json")) {
          const { restoreId } = await startRestore(world.context, ITEM, point.pointId, REQUEST_ID);
          await runToEnd(world.context, restoreId);
        }
        return created;
      },
    };
    const slow = { ...world.context, stores: { ...world.stores, records: () => records } };
    expect(await startRestore(slow, ITEM, point.pointId, REQUEST_ID)).toMatchObject({ state: "Succeeded" });
    expect(await restoreStatus(world.context, ITEM, restoreIdOf(ITEM, REQUEST_ID))).toMatchObject({
      state: "Succeeded",
    });
  });

  it("names what is wrong with a request", async () => {
    const { world, point } = await prepared();
    await expect(startRestore(world.context, "nobody", point.pointId)).rejects.toMatchObject({ code: "item-unknown" });
    await expect(startRestore(world.context, ITEM, "000000000000001-00000000")).rejects.toMatchObject({
      code: "point-unknown",
    });
    await expect(startRestore(world.context, ITEM, "../../item")).rejects.toMatchObject({ code: "point-unknown" });
    await expect(startRestore(world.context, ITEM, point.pointId, "")).rejects.toMatchObject({
      code: "invalid-request",
    });
    await expect(restoreStatus(world.context, ITEM, "00".repeat(16))).rejects.toMatchObject({
      code: "restore-unknown",
    });
    await expect(restoreStatus(world.context, ITEM, "../item")).rejects.toMatchObject({ code: "restore-unknown" });
    await expect(restoreSlice(world.context, ITEM, "00".repeat(16))).rejects.toMatchObject({ code: "restore-unknown" });
  });

  it("killed at any await of the start, the same request again goes on, and the point is held before the restore exists", async () => {
    const kills = await killedEverywhere(
      prepared,
      ({ world }) => world.stores,
      ({ world, point }, stores) => startRestore({ ...world.context, stores }, ITEM, point.pointId, REQUEST_ID),
      async ({ world, point }) => {
        const restoreId = restoreIdOf(ITEM, REQUEST_ID);
        const recorded = world.recordNames(ITEM).some((name) => name.startsWith("restores/"));
        const held = (await pinsOf(world, point)).includes(restorePinId(restoreId));
        expect(held || !recorded).toBe(true);
        await startRestore(world.context, ITEM, point.pointId, REQUEST_ID);
        await runToEnd(world.context, restoreId);
        expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({ state: "Succeeded" });
        expect(await pinsOf(world, point)).toEqual([]);
      },
    );
    expect(kills).toBeGreaterThan(10);
  });

  it("killed at any await of the work, it goes on where it stopped and ends well", async () => {
    const kills = await killedEverywhere(
      async () => {
        const found = await prepared();
        await startRestore(found.world.context, ITEM, found.point.pointId, REQUEST_ID);
        return found;
      },
      ({ world }) => world.stores,
      ({ world }, stores) => runToEnd({ ...world.context, stores }, restoreIdOf(ITEM, REQUEST_ID)),
      async ({ world, point }) => {
        const restoreId = restoreIdOf(ITEM, REQUEST_ID);
        await runToEnd(world.context, restoreId);
        await runToEnd(world.context, restoreId);
        expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({ state: "Succeeded" });
        expect(await pinsOf(world, point)).toEqual([]);
        for (const disk of DISKS) {
          const content = world.memory.restoredContent({ itemId: ITEM, restoreId, diskId: disk.id });
          expect(content?.[0]).toBe(7);
        }
      },
    );
    expect(kills).toBeGreaterThan(15);
  });

  it("two slices side by side end well", async () => {
    const { world, point } = await prepared();
    const { restoreId } = await startRestore(world.context, ITEM, point.pointId);
    const slices = (): Promise<readonly RestoreStep[]> =>
      Promise.all([restoreSlice(world.context, ITEM, restoreId), restoreSlice(world.context, ITEM, restoreId)]);
    await slices();
    await slices();
    expect(await slices()).toEqual([{ kind: "done" }, { kind: "done" }]);
    expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({ state: "Succeeded" });
    expect(await pinsOf(world, point)).toEqual([]);
  });
});

describe("copies that take their time, or fail", () => {
  it("count only when the store says success, and show how far they are", async () => {
    const { world, point } = await prepared();
    const { restoreId } = await startRestore(world.context, ITEM, point.pointId);
    const half = withCopies(world, (diskId) =>
      diskId === "os" ? { kind: "pending", copiedBytes: 50, totalBytes: 100 } : undefined,
    );
    for (let slice = 0; slice < 3; slice += 1) {
      expect(await restoreSlice(half, ITEM, restoreId)).toEqual({ kind: "again", delayMs: RESTORE_POLL_MS });
    }
    const status = await restoreStatus(world.context, ITEM, restoreId);
    expect(status).toMatchObject({
      state: "InProgress",
      disks: [
        { id: "data", state: "copied" },
        { id: "os", state: "copying", copiedBytes: 50 },
      ],
    });
    expect(status.percentComplete).toBeGreaterThan(70);
    expect(status.percentComplete).toBeLessThan(80);
    await expect(restoredDisks(world.context, ITEM, restoreId)).rejects.toMatchObject({ code: "conflict" });
    await runToEnd(world.context, restoreId);
    expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({ state: "Succeeded" });
  });

  it("a failed copy ends the restore with its reason, leaves nothing behind and lets the point go", async () => {
    const { world, point } = await prepared();
    const { restoreId } = await startRestore(world.context, ITEM, point.pointId);
    const failing = withCopies(world, (diskId) =>
      diskId === "os" ? { kind: "failed", reason: "the disk is on fire" } : undefined,
    );
    for (let copy = 1; copy < RESTORE_COPIES_MAX_TRIES; copy += 1)
      expect((await restoreSlice(failing, ITEM, restoreId)).kind).toBe("again");
    expect(await restoreSlice(failing, ITEM, restoreId)).toEqual({ kind: "done" });
    const status = await restoreStatus(world.context, ITEM, restoreId);
    expect(status).toMatchObject({
      state: "Failed",
      error: { code: "copy-failed" },
      disks: [{ url: undefined }, { state: "failed" }],
    });
    expect(status.error?.message).toContain("the disk is on fire");
    expect(world.memory.restoredContent({ itemId: ITEM, restoreId, diskId: "data" })).toBeUndefined();
    expect(await pinsOf(world, point)).toEqual([]);
    expect(await restoreSlice(world.context, ITEM, restoreId)).toEqual({ kind: "done" });
    expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({ state: "Failed" });
  });

  it("a copy that fails once is begun again under another name, which the restore then shows; the failed one goes", async () => {
    const { world, point } = await prepared();
    const { restoreId } = await startRestore(world.context, ITEM, point.pointId);
    const inner = world.stores.snapshots;
    const snapshots: typeof inner = {
      ...inner,
      copyState: async (disk) => {
        const found = await inner.copyState(disk);
        const isFirst = disk.diskId === "os" && (disk.attempt ?? 0) === 0;
        return isFirst && found.kind === "success" ? { kind: "failed", reason: "500 InternalServerError" } : found;
      },
    };
    await runToEnd({ ...world.context, stores: { ...world.stores, snapshots } }, restoreId);
    const status = await restoreStatus(world.context, ITEM, restoreId);
    expect(status).toMatchObject({ state: "Succeeded", error: undefined });
    expect(status.disks[1]?.url).toBe(`https://memory.invalid/leeward-restore-${ITEM}/${restoreId}/1/os.vhd`);
    const [, os] = await restoredDisks(world.context, ITEM, restoreId);
    expect(os && world.memory.restoredContent(os)?.[0]).toBe(7);
    expect(world.memory.restoredContent({ itemId: ITEM, restoreId, diskId: "os" })).toBeUndefined();
  });

  it("rule 9: a copy that never ends is given up", async () => {
    const { world, point } = await prepared();
    const { restoreId } = await startRestore(world.context, ITEM, point.pointId);
    const stuck = withCopies(world, () => ({ kind: "pending", copiedBytes: 1, totalBytes: 2 }));
    expect((await restoreSlice(stuck, ITEM, restoreId)).kind).toBe("again");
    world.pass(RESTORE_MAX_MS + 1);
    expect((await restoreSlice(stuck, ITEM, restoreId)).kind).toBe("done");
    expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({
      state: "Failed",
      error: { code: "copy-too-slow" },
    });
  });
});

describe("the end of a restore", () => {
  const blobsOf = (world: World): readonly string[] =>
    Object.keys(world.memory.dump()).filter((name) => name.startsWith("restored "));
  const recordsOf = (world: World): readonly string[] =>
    world.recordNames(ITEM).filter((name) => name.startsWith("restores/"));
  const begun = async (): Promise<Prepared & { readonly restoreId: string }> => {
    const found = await prepared();
    return { ...found, restoreId: (await startRestore(found.world.context, ITEM, found.point.pointId)).restoreId };
  };

  it("comes by itself a week after it was done, and leaves nothing", async () => {
    const { world, restoreId } = await begun();
    await runToEnd(world.context, restoreId);
    world.pass(RESTORE_KEPT_MS);
    expect((await sweepItem(world.context, ITEM))?.endedRestores).toEqual({ removed: 0, damaged: [] });
    expect(blobsOf(world)).toHaveLength(DISKS.length);
    world.pass(1);
    await sweepItem(world.context, ITEM);
    expect(blobsOf(world)).toEqual([]);
    world.pass(RESTORE_SETTLE_MS);
    expect((await sweepItem(world.context, ITEM))?.endedRestores).toEqual({ removed: 1, damaged: [] });
    expect(recordsOf(world)).toEqual([]);
  });

  it("by an operator while its copies run: a slice that was under way brings nothing back, whenever it lands", async () => {
    const { world, point, restoreId } = await begun();
    const inner = world.stores.snapshots;
    const late: (() => Promise<void>)[] = [];
    const snapshots: typeof inner = {
      ...inner,
      startCopy: async (...given) => void late.push(() => inner.startCopy(...given)),
    };
    await restoreSlice({ ...world.context, stores: { ...world.stores, snapshots } }, ITEM, restoreId);
    expect(await deleteRestore(world.context, ITEM, restoreId)).toEqual({ gone: false });
    expect(await pinsOf(world, point)).toEqual([]);
    for (const land of late) await land();
    expect(blobsOf(world)).toHaveLength(DISKS.length);
    expect(await restoreSlice(world.context, ITEM, restoreId)).toEqual({ kind: "again", delayMs: RESTORE_SETTLE_MS });
    expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({
      state: "Removing",
      expiresMs: undefined,
    });
    world.pass(RESTORE_SETTLE_MS);
    expect(await restoreSlice(world.context, ITEM, restoreId)).toEqual({ kind: "done" });
    expect([blobsOf(world), recordsOf(world)]).toEqual([[], []]);
    expect(await deleteRestore(world.context, ITEM, restoreId)).toEqual({ gone: true });
  });

  it("a slice that finds its restore gone removes what it has just begun", async () => {
    const { world, restoreId } = await begun();
    const inner = world.stores.snapshots;
    const snapshots: typeof inner = {
      ...inner,
      startCopy: async (...given) => {
        await removeRestore(world.context, ITEM, restoreId);
        world.pass(RESTORE_SETTLE_MS);
        await removeRestore(world.context, ITEM, restoreId);
        await inner.startCopy(...given);
      },
    };
    expect(await restoreSlice({ ...world.context, stores: { ...world.stores, snapshots } }, ITEM, restoreId)).toEqual({
      kind: "done",
    });
    expect([blobsOf(world), recordsOf(world)]).toEqual([[], []]);
  });

  it("killed at any await, deleting again ends well", async () => {
    const kills = await killedEverywhere(
      async () => {
        const found = await begun();
        await runToEnd(found.world.context, found.restoreId);
        return found;
      },
      ({ world }) => world.stores,
      ({ world, restoreId }, stores) => removeRestore({ ...world.context, stores }, ITEM, restoreId),
      async ({ world, restoreId }) => {
        await removeRestore(world.context, ITEM, restoreId);
        world.pass(RESTORE_SETTLE_MS);
        expect(await removeRestore(world.context, ITEM, restoreId)).toEqual({ gone: true });
        expect([blobsOf(world), recordsOf(world)]).toEqual([[], []]);
      },
    );
    expect(kills).toBeGreaterThan(5);
  });

  it("a damaged record hurts this restore alone: the sweep names it and goes on, its point stays, and deleting it leaves nothing", async () => {
    const { world, point, restoreId } = await begun();
    await restoreSlice(
      withCopies(world, () => ({ kind: "pending", copiedBytes: 1, totalBytes: 2 })),
      ITEM,
      restoreId,
    );
    const { restoreId: other } = await startRestore(world.context, ITEM, point.pointId);
    await world.stores.records(ITEM).put(`restores/${restoreId}.json`, new TextEncoder().encode("{"));
    world.pass(RESTORE_STALE_MS + 1);
    expect(await sweepItem(world.context, ITEM)).toMatchObject({
      restores: [other],
      endedRestores: { removed: 0, damaged: [restoreId] },
      keptPoints: 1,
    });
    expect(await pinsOf(world, point)).toContain(restorePinId(restoreId));
    await expect(restoreStatus(world.context, ITEM, restoreId)).rejects.toMatchObject({ code: "record-corrupt" });
    await runToEnd(world.context, other);
    expect(await deleteRestore(world.context, ITEM, restoreId)).toEqual({ gone: true });
    expect(blobsOf(world).filter((name) => name.includes(restoreId))).toEqual([]);
    world.pass(RESTORE_STALE_MS + 1);
    await sweepItem(world.context, ITEM);
    expect(await pinsOf(world, point)).toEqual([]);
  });
});

describe("restores and retention", () => {
  it("a point is not pruned while it is restored, and is afterwards", async () => {
    const { world, point } = await prepared(LATEST_ONLY);
    const { restoreId } = await startRestore(world.context, ITEM, point.pointId);
    world.pass(48 * HOUR_MS - 1);
    await addPoint(world, { ...POSITION, epoch: 2 });
    expect(await sweepItem(world.context, ITEM)).toMatchObject({
      keptPoints: 2,
      points: { pinnedPoints: [point.pointId] },
    });
    await runToEnd(world.context, restoreId);
    expect(await sweepItem(world.context, ITEM)).toMatchObject({
      keptPoints: 1,
      points: { removedPoints: [point.pointId] },
    });
    expect(world.memory.restoredContent({ itemId: ITEM, restoreId, diskId: "os" })?.[0]).toBe(7);
  });

  it("the sweep wakes restores that lost their message, running and finished ones alike, and no others", async () => {
    const { world, point } = await prepared();
    const { restoreId } = await startRestore(world.context, ITEM, point.pointId);
    expect((await sweepItem(world.context, ITEM))?.restores).toEqual([]);
    world.pass(RESTORE_STALE_MS + 1);
    expect((await sweepItem(world.context, ITEM))?.restores).toEqual([restoreId]);
    await runToEnd(world.context, restoreId);
    expect((await sweepItem(world.context, ITEM))?.restores).toEqual([]);
    // Killed between the record's end and letting go of the point.
    const pin = { pinId: restorePinId(restoreId), reason: "restore", sinceMs: 0, untilMs: undefined };
    await pinPoint(world.stores.records(ITEM), point.pointId, pin);
    expect((await sweepItem(world.context, ITEM))?.restores).toEqual([restoreId]);
    await runToEnd(world.context, restoreId);
    expect(await pinsOf(world, point)).toEqual([]);
  });

  it("a pin whose restore was never recorded goes after a while, and a slow start sets it again or fails clearly", async () => {
    const { world, point } = await prepared();
    const restoreId = restoreIdOf(ITEM, REQUEST_ID);
    const pin = {
      pinId: restorePinId(restoreId),
      reason: "restore",
      sinceMs: world.context.clock.now(),
      untilMs: undefined,
    };
    await pinPoint(world.stores.records(ITEM), point.pointId, pin);
    await sweepItem(world.context, ITEM);
    expect(await pinsOf(world, point)).toEqual([pin.pinId]);
    world.pass(RESTORE_STALE_MS + 1);
    await sweepItem(world.context, ITEM);
    expect(await pinsOf(world, point)).toEqual([]);
  });

  it("a point that was pruned before the first slice fails the restore with point-pruned or point-unknown", async () => {
    const { world, point } = await prepared(LATEST_ONLY);
    const { restoreId } = await startRestore(world.context, ITEM, point.pointId);
    const records = world.stores.records(ITEM);
    await unpinPoint(records, point.pointId, restorePinId(restoreId));
    world.pass(48 * HOUR_MS);
    await addPoint(world, { ...POSITION, epoch: 2 });
    await sweepItem(world.context, ITEM);
    await runToEnd(world.context, restoreId);
    expect(await restoreStatus(world.context, ITEM, restoreId)).toMatchObject({
      state: "Failed",
      error: { code: "point-unknown" },
    });
  });
});
