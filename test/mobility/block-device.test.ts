import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readBlockDevice } from "../../mobility/disks/block-device.ts";
import { openImage } from "../../mobility/disks/image.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { temporaryFolder } from "./temporary.ts";

const FILES = nodeFiles();

/** Files as the kernel shows them for a disk and its first partition, 259:0 and 259:1. */
function sysfs({ sectors = "2048", blockBytes = "4096" } = {}): string {
  const root = temporaryFolder();
  const disk = join(root, "devices/nvme0n1");
  for (const folder of [join(disk, "queue"), join(disk, "nvme0n1p1"), join(root, "dev/block")])
    mkdirSync(folder, { recursive: true });
  writeFileSync(join(disk, "size"), `${sectors}\n`);
  writeFileSync(join(disk, "queue/logical_block_size"), `${blockBytes}\n`);
  writeFileSync(join(disk, "nvme0n1p1/size"), "1024\n");
  symlinkSync("../../devices/nvme0n1", join(root, "dev/block/259:0"));
  symlinkSync("../../devices/nvme0n1/nvme0n1p1", join(root, "dev/block/259:1"));
  return root;
}

const invalid = expect.objectContaining({ code: "disk-invalid" });

describe("block devices", () => {
  it("have the size and the block size that the kernel names, in sectors of 512 bytes whatever their blocks", () => {
    expect(readBlockDevice(259 * 256, sysfs())).toEqual({ sizeBytes: 1024 * 1024, logicalBlockBytes: 4096 });
  });

  it("a partition has its own size and the block size of its disk", () => {
    expect(readBlockDevice(259 * 256 + 1, sysfs())).toEqual({ sizeBytes: 512 * 1024, logicalBlockBytes: 4096 });
  });

  it("large minor numbers are put together as makedev does", () => {
    const root = sysfs();
    symlinkSync("../../devices/nvme0n1", join(root, "dev/block/259:1048575"));
    // makedev(259, 0xfffff): the low 8 bits of the minor at 0, the others from bit 20 on.
    expect(readBlockDevice(0xff + 259 * 2 ** 8 + 0xfff * 2 ** 20, root).sizeBytes).toBe(1024 * 1024);
  });

  it.each([
    ["no entry at all", 8 * 256, {}],
    ["a size that is no number", 259 * 256, { sectors: "many" }],
    ["an empty block size", 259 * 256, { blockBytes: "" }],
  ])("are refused when the kernel shows %s", (_, rdev, files) => {
    expect(() => readBlockDevice(rdev, sysfs(files))).toThrowError(invalid);
  });
});

describe("image files", () => {
  it.each([
    ["empty", 0, 512],
    ["not whole sectors", 1000, 512],
    ["not whole sectors of 4096 bytes", 8192 + 512, 4096],
  ])("are refused when they are %s", (_, sizeBytes, sectorSizeBytes) => {
    const path = join(temporaryFolder(), "disk.img");
    writeFileSync(path, "");
    truncateSync(path, sizeBytes);
    expect(() => openImage(FILES, "disk", path, sectorSizeBytes)).toThrowError(invalid);
  });

  it("are refused when they are folders or do not exist", () => {
    const folder = temporaryFolder();
    for (const path of [folder, join(folder, "nothing")]) {
      expect(() => openImage(FILES, "disk", path, 512)).toThrowError(
        expect.objectContaining({ code: "configuration-invalid" }),
      );
    }
  });
});
