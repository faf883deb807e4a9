import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { cpioArchive } from "./cpio.ts";
import type { Kernel } from "./kernel.ts";

const FOLDER = 0o040755;
const PROGRAM = 0o100755;
const FILE = 0o100644;
const CHARACTER_DEVICE = 0o020600;

/**
 * The guest's whole first file system: busybox, `init.sh`, the modules for its disks, and the bytes of which it makes
 * its files.
 */
export function initramfs(kernel: Kernel, busyboxPath: string, pool: Buffer): Buffer {
  const modules = kernel.modulePaths.map((path, index) => ({
    path: `modules/${String(index).padStart(2, "0")}-${basename(path)}`,
    mode: FILE,
    content: readFileSync(path),
  }));
  const archive = cpioArchive([
    ...["bin", "dev", "mnt", "modules"].map((path) => ({ path, mode: FOLDER })),
    { path: "dev/console", mode: CHARACTER_DEVICE, device: [5, 1] },
    { path: "bin/busybox", mode: PROGRAM, content: readFileSync(busyboxPath) },
    { path: "init", mode: PROGRAM, content: readFileSync(join(import.meta.dirname, "init.sh")) },
    { path: "pool", mode: FILE, content: pool },
    ...modules,
  ]);
  return gzipSync(archive, { level: 1 });
}
