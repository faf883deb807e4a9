import { describe, expect, it } from "vitest";
import type { TargetDisk, TargetDisks } from "../../replication/ports.ts";

/** A store of target disks, and a disk's bytes as an independent reader sees them (the ports only write). */
export interface TargetDisksUnderTest {
  readonly disks: TargetDisks;
  readonly itemId: string;
  readonly read: (disk: TargetDisk) => Promise<Uint8Array>;
}

const MIB = 1024 * 1024;

/** What every TargetDisks must do. `open` returns a store with its own item whose containers do not exist yet. */
export function targetDisksContract(open: () => Promise<TargetDisksUnderTest>): void {
  const filled = (lengthBytes: number, value: number): Uint8Array => new Uint8Array(lengthBytes).fill(value);
  const opened = async (sizeBytes = MIB): Promise<TargetDisksUnderTest & { readonly disk: TargetDisk }> => {
    const store = await open();
    const disk = { itemId: store.itemId, stream: 1, diskId: "os-disk" };
    await store.disks.create(disk, sizeBytes);
    return { ...store, disk };
  };

  describe("TargetDisks: create", () => {
    it("makes a disk of zeros with sequence number 0", async () => {
      const { disks, disk, read } = await opened(MIB + 512);
      expect(await disks.properties(disk)).toMatchObject({ sequenceNumber: 0, sizeBytes: MIB + 512 });
      expect(Buffer.compare(await read(disk), filled(MIB + 512, 0))).toBe(0);
    });

    it("rule 10: again with the same size leaves content and sequence number as they are", async () => {
      const { disks, disk, read } = await opened();
      await disks.raiseSequenceNumber(disk, 3);
      await disks.writePages(disk, 0, filled(512, 7), 3);
      await disks.create(disk, MIB);
      expect((await disks.properties(disk))?.sequenceNumber).toBe(3);
      expect((await read(disk))[0]).toBe(7);
    });

    it("with another size is a conflict and changes nothing", async () => {
      const { disks, disk } = await opened();
      await expect(disks.create(disk, 2 * MIB)).rejects.toMatchObject({ code: "conflict" });
      expect((await disks.properties(disk))?.sizeBytes).toBe(MIB);
    });

    it("keeps the disks of streams apart", async () => {
      const { disks, disk, read } = await opened();
      const next = { ...disk, stream: 2 };
      await disks.create(next, MIB);
      await disks.writePages(next, 0, filled(512, 9), 0);
      expect((await read(disk))[0]).toBe(0);
    });

    it("a disk that was never made has no properties", async () => {
      const { disks, itemId } = await open();
      expect(await disks.properties({ itemId, stream: 1, diskId: "none" })).toBeUndefined();
    });
  });

  describe("TargetDisks: the fence (rule 3)", () => {
    it("raising gives the higher of both numbers, whoever asks", async () => {
      const { disks, disk } = await opened();
      expect(await disks.raiseSequenceNumber(disk, 5)).toBe(5);
      expect(await disks.raiseSequenceNumber(disk, 5)).toBe(5);
      expect(await disks.raiseSequenceNumber(disk, 4)).toBe(5);
      expect(await disks.raiseSequenceNumber(disk, 6)).toBe(6);
    });

    it("an older generation neither writes nor clears, its own and a newer one do", async () => {
      const { disks, disk, read } = await opened();
      await disks.raiseSequenceNumber(disk, 5);
      await disks.writePages(disk, 0, filled(1024, 1), 5);
      await expect(disks.writePages(disk, 0, filled(512, 2), 4)).rejects.toMatchObject({ code: "fenced" });
      await expect(disks.clearPages(disk, 0, 512, 4)).rejects.toMatchObject({ code: "fenced" });
      expect(Buffer.compare((await read(disk)).subarray(0, 1024), filled(1024, 1))).toBe(0);
      await disks.writePages(disk, 0, filled(512, 3), 6);
      expect((await read(disk))[0]).toBe(3);
    });
  });

  describe("TargetDisks: pages", () => {
    it("writes exactly the bytes at exactly the place, of a view into a larger buffer too, up to 4 MiB", async () => {
      const { disks, disk, read } = await opened(8 * MIB);
      const source = Uint8Array.from({ length: 4 * MIB + 1024 }, (_, index) => (index * 31 + (index >> 12)) % 251);
      await disks.writePages(disk, 512, source.subarray(512, 512 + 4 * MIB), 0);
      const expected = filled(8 * MIB, 0);
      expected.set(source.subarray(512, 512 + 4 * MIB), 512);
      expect(Buffer.compare(await read(disk), expected)).toBe(0);
    });

    it("the last write wins, piece by piece", async () => {
      const { disks, disk, read } = await opened();
      await disks.writePages(disk, 0, filled(4096, 1), 0);
      await disks.writePages(disk, 1024, filled(1024, 2), 0);
      await disks.clearPages(disk, 1536, 1024, 0);
      await disks.writePages(disk, 2048, filled(512, 3), 0);
      const expected = filled(MIB, 0);
      expected.fill(1, 0, 1024).fill(2, 1024, 1536).fill(3, 2048, 2560).fill(1, 2560, 4096);
      expect(Buffer.compare(await read(disk), expected)).toBe(0);
    });

    it("clears more than one Put Page could write", async () => {
      const { disks, disk, read } = await opened(16 * MIB);
      await disks.writePages(disk, 0, filled(512, 1), 0);
      await disks.writePages(disk, 12 * MIB, filled(512, 2), 0);
      await disks.clearPages(disk, 0, 16 * MIB, 0);
      expect(Buffer.compare(await read(disk), filled(16 * MIB, 0))).toBe(0);
    });

    it("what is not aligned or too long is a fault of the caller and is never sent", async () => {
      const { disks, disk } = await opened(8 * MIB);
      await expect(disks.writePages(disk, 1, filled(512, 1), 0)).rejects.toMatchObject({ code: "internal" });
      await expect(disks.writePages(disk, 0, filled(100, 1), 0)).rejects.toMatchObject({ code: "internal" });
      await expect(disks.writePages(disk, 0, filled(4 * MIB + 512, 1), 0)).rejects.toMatchObject({ code: "internal" });
      await expect(disks.clearPages(disk, 0, 0, 0)).rejects.toMatchObject({ code: "internal" });
    });
  });

  describe("TargetDisks: snapshot", () => {
    it("rule 2: is taken when nothing changed since the properties were read", async () => {
      const { disks, disk } = await opened();
      await disks.writePages(disk, 0, filled(512, 1), 0);
      const { etag } = (await disks.properties(disk)) ?? { etag: "" };
      expect(await disks.snapshot(disk, etag, "point-1")).toBeTypeOf("string");
    });

    it("rule 3: is not taken once a page was written, cleared or a number raised", async () => {
      const { disks, disk } = await opened();
      const changes = [
        (): Promise<unknown> => disks.writePages(disk, 0, filled(512, 1), 0),
        (): Promise<unknown> => disks.clearPages(disk, 0, 512, 0),
        (): Promise<unknown> => disks.raiseSequenceNumber(disk, 9),
      ];
      for (const change of changes) {
        const { etag } = (await disks.properties(disk)) ?? { etag: "" };
        await change();
        expect(await disks.snapshot(disk, etag, "point-1")).toBeUndefined();
      }
    });
  });
}
