import { describe, expect, it } from "vitest";
import type { DiskSnapshots, RestoredDisk, TargetDisk, TargetDisks } from "../../replication/ports.ts";

/** Snapshots, the disks they are taken of, and an independent reader of restored blobs. */
export interface DiskSnapshotsUnderTest {
  readonly disks: TargetDisks;
  readonly snapshots: DiskSnapshots;
  readonly itemId: string;
  /** The bytes of a restored disk. */
  readonly readRestored: (disk: RestoredDisk) => Promise<Uint8Array>;
  /** Takes a snapshot like another tool: without a point's id. */
  readonly snapshotByOthers: (disk: TargetDisk) => Promise<void>;
}

const SIZE_BYTES = 64 * 1024;

/** What every DiskSnapshots must do. `open` returns stores with their own item. */
export function diskSnapshotsContract(open: () => Promise<DiskSnapshotsUnderTest>): void {
  const page = (value: number): Uint8Array => new Uint8Array(512).fill(value);
  const opened = async (): Promise<DiskSnapshotsUnderTest & { readonly disk: TargetDisk }> => {
    const store = await open();
    const disk = { itemId: store.itemId, stream: 1, diskId: "data" };
    await store.disks.create(disk, SIZE_BYTES);
    return { ...store, disk };
  };
  const snapshot = async (disks: TargetDisks, disk: TargetDisk, pointId: string): Promise<string> => {
    const taken = await disks.snapshot(disk, (await disks.properties(disk))?.etag ?? "", pointId);
    expect(taken).toBeTypeOf("string");
    return taken ?? "";
  };
  const settled = async (snapshots: DiskSnapshots, destination: RestoredDisk): Promise<void> => {
    // A copy inside an account is nearly instant; the loop is for slower stores.
    for (let tries = 0; tries < 200; tries += 1) {
      const state = await snapshots.copyState(destination);
      if (state.kind === "success") return;
      expect(state.kind).toBe("pending");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect.fail("the copy did not end");
  };
  const restoredOf = (itemId: string, restoreId: string): RestoredDisk => ({ itemId, restoreId, diskId: "data" });

  describe("DiskSnapshots: list and remove", () => {
    it("lists the snapshots of this disk only, oldest first, with the ids of their points", async () => {
      const { disks, snapshots, disk } = await opened();
      const namesake = { ...disk, diskId: "data.vhd" };
      await disks.create(namesake, SIZE_BYTES);
      await snapshot(disks, namesake, "point-of-namesake");
      const beforeMs = Date.now();
      const first = await snapshot(disks, disk, "point-1");
      const second = await snapshot(disks, disk, "point-2");
      const listed = await snapshots.list(disk);
      expect(listed.map(({ snapshot, pointId }) => ({ snapshot, pointId }))).toEqual([
        { snapshot: first, pointId: "point-1" },
        { snapshot: second, pointId: "point-2" },
      ]);
      for (const each of listed) expect(Math.abs(each.createdMs - beforeMs)).toBeLessThan(24 * 60 * 60_000);
    });

    it("tells a stranger's snapshot from ours", async () => {
      const { snapshots, disk, snapshotByOthers } = await opened();
      await snapshotByOthers(disk);
      expect((await snapshots.list(disk)).map((each) => each.pointId)).toEqual([undefined]);
    });

    it("a disk without snapshots, or without a blob, has an empty list", async () => {
      const { snapshots, disk } = await opened();
      expect(await snapshots.list(disk)).toEqual([]);
      expect(await snapshots.list({ ...disk, stream: 7 })).toEqual([]);
    });

    it("rule 10: removes one snapshot, twice if need be, and leaves the disk and the others", async () => {
      const { disks, snapshots, disk } = await opened();
      const first = await snapshot(disks, disk, "point-1");
      const second = await snapshot(disks, disk, "point-2");
      await snapshots.remove(disk, first);
      await snapshots.remove(disk, first);
      expect((await snapshots.list(disk)).map((each) => each.snapshot)).toEqual([second]);
      expect(await disks.properties(disk)).toBeDefined();
    });
  });

  describe("DiskSnapshots: copies", () => {
    it("a copy holds what the disk held at the snapshot, whatever was written since", async () => {
      const { disks, snapshots, itemId, disk, readRestored } = await opened();
      await disks.writePages(disk, 0, page(1), 0);
      await disks.writePages(disk, 4096, page(2), 0);
      const taken = await snapshot(disks, disk, "point-1");
      await disks.writePages(disk, 0, page(9), 0);
      await disks.clearPages(disk, 4096, 512, 0);
      const destination = restoredOf(itemId, "restore-1");
      await snapshots.startCopy(disk, taken, destination);
      await settled(snapshots, destination);
      const expected = new Uint8Array(SIZE_BYTES).fill(1, 0, 512).fill(2, 4096, 4608);
      expect(Buffer.compare(await readRestored(destination), expected)).toBe(0);
    });

    it("rule 2: later writes to the disk reach neither the snapshot nor the copy made from it", async () => {
      const { disks, snapshots, itemId, disk, readRestored } = await opened();
      await disks.writePages(disk, 0, page(1), 0);
      const taken = await snapshot(disks, disk, "point-1");
      const [first, second] = [restoredOf(itemId, "restore-1"), restoredOf(itemId, "restore-2")];
      await snapshots.startCopy(disk, taken, first);
      await settled(snapshots, first);
      await disks.writePages(disk, 0, page(9), 0);
      await disks.writePages(disk, 512, page(9), 0);
      await snapshots.startCopy(disk, taken, second);
      await settled(snapshots, second);
      const expected = new Uint8Array(SIZE_BYTES).fill(1, 0, 512);
      expect(Buffer.compare(await readRestored(first), expected)).toBe(0);
      expect(Buffer.compare(await readRestored(second), expected)).toBe(0);
    });

    it("rule 10: starting again, even from another snapshot or one that is gone, leaves the first copy alone", async () => {
      const { disks, snapshots, itemId, disk, readRestored } = await opened();
      await disks.writePages(disk, 0, page(1), 0);
      const first = await snapshot(disks, disk, "point-1");
      await disks.writePages(disk, 0, page(2), 0);
      const second = await snapshot(disks, disk, "point-2");
      const destination = restoredOf(itemId, "restore-1");
      await snapshots.startCopy(disk, first, destination);
      await settled(snapshots, destination);
      await snapshots.startCopy(disk, second, destination);
      await snapshots.remove(disk, second);
      await snapshots.startCopy(disk, second, destination);
      expect((await readRestored(destination))[0]).toBe(1);
    });

    it("a snapshot that is gone is point-pruned, and nothing is made", async () => {
      const { disks, snapshots, itemId, disk } = await opened();
      const taken = await snapshot(disks, disk, "point-1");
      await snapshots.remove(disk, taken);
      const destination = restoredOf(itemId, "restore-1");
      await expect(snapshots.startCopy(disk, taken, destination)).rejects.toMatchObject({ code: "point-pruned" });
      expect(await snapshots.copyState(destination)).toEqual({ kind: "missing" });
    });

    it("rule 10: a restored disk is removed, twice if need be, and the snapshot stays", async () => {
      const { disks, snapshots, itemId, disk } = await opened();
      const taken = await snapshot(disks, disk, "point-1");
      const destination = restoredOf(itemId, "restore-1");
      await snapshots.removeRestored(destination);
      await snapshots.startCopy(disk, taken, destination);
      await settled(snapshots, destination);
      await snapshots.removeRestored(destination);
      await snapshots.removeRestored(destination);
      expect(await snapshots.copyState(destination)).toEqual({ kind: "missing" });
      expect((await snapshots.list(disk)).map((each) => each.snapshot)).toEqual([taken]);
    });

    it("each copy of a disk has a name of its own: removing one leaves the other", async () => {
      const { disks, snapshots, itemId, disk, readRestored } = await opened();
      await disks.writePages(disk, 0, page(1), 0);
      const taken = await snapshot(disks, disk, "point-1");
      const first = restoredOf(itemId, "restore-1");
      const second = { ...first, attempt: 1 };
      for (const destination of [first, second]) {
        await snapshots.startCopy(disk, taken, destination);
        await settled(snapshots, destination);
      }
      await snapshots.removeRestored(first);
      expect(await snapshots.copyState(first)).toEqual({ kind: "missing" });
      expect((await readRestored(second))[0]).toBe(1);
      expect(await snapshots.restoredUrl(second)).not.toBe(await snapshots.restoredUrl(first));
    });

    it("rule 8: the address of a restored disk carries no credential", async () => {
      const { snapshots, itemId } = await opened();
      const address = new URL(await snapshots.restoredUrl(restoredOf(itemId, "restore-1")));
      expect(address.search).toBe("");
      expect(address.pathname.endsWith(`leeward-restore-${itemId}/restore-1/data.vhd`)).toBe(true);
    });
  });
}
