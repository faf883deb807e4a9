import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Guest } from "./guest.ts";
import { makeImage } from "./images.ts";
import { openNbdDisk, type NbdAddress } from "./nbd-client.ts";

const MIB = 1024 * 1024;

export interface VmDisk {
  readonly id: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** A copy from before the first write, for the oracle; undefined when none was requested. */
  readonly baselinePath: string | undefined;
  /** Its writer: the record writer, or the ext4 file system. */
  readonly use: "records" | "ext4";
}

export interface VmOptions {
  readonly folder: string;
  readonly seed: number;
}

/** Prepares the lab VM's disks as images below `folder`: makes missing ones, keeps existing ones. */
export async function prepareVm(options: VmOptions): Promise<readonly VmDisk[]> {
  await mkdir(options.folder, { recursive: true });
  const disks: VmDisk[] = [];
  for (const [id, sizeBytes, filledShare] of [
    ["system", 256 * MIB, 0.12],
    ["data", 128 * MIB, 0.08],
  ] as const) {
    const path = join(options.folder, `${id}.img`);
    await makeImage({ path, sizeBytes, filledShare, seed: options.seed + disks.length });
    disks.push({ id, path, sizeBytes, baselinePath: undefined, use: "records" });
  }
  return disks;
}

/** Attaches a guest to the disks, in their order. */
export async function attachGuest(
  address: NbdAddress,
  disks: readonly { readonly id: string }[],
  now: () => number,
  keepLog: boolean,
): Promise<Guest> {
  const opened = [];
  for (const disk of disks) opened.push(await openNbdDisk(address, disk.id));
  return new Guest(opened, now, keepLog);
}
