import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeDefaultExt4 } from "../../local/lab/ext4.ts";
import { type MobilityOptions, type MobilityService, startMobility } from "../../local/supervisor/mobility-service.ts";
import type { ServiceStatus, SourceDisk } from "../services/whole/source.ts";
import { until } from "../services/whole/until.ts";
import { ITEM, type OnEnd, type World } from "../services/whole/world.ts";
import { initramfs } from "./guest/initramfs.ts";
import { findKernel } from "./guest/kernel.ts";
import { type Machine, type Mark, bootMachine } from "./machine.ts";
import { RECORD_BYTES } from "./oracle.ts";
import { BUSYBOX } from "./tools.ts";

const DATA_BYTES = 64 * 1024 * 1024;
/** At 12 KiB each they leave the disk half empty. */
const FILES_MAX = 2500;
/** Record 0 is not used; together they are no whole number of MiB. */
const RECORDS_BYTES = (FILES_MAX + 1) * RECORD_BYTES;
const EPOCH_MAX_AGE_MS = 250;
const HEARTBEAT_MS = 300;

interface Boot {
  /** The last file that the guest had marked before. */
  readonly marked: number;
  /** The files that it found when it mounted its disk. */
  readonly found: number;
}

/**
 * A protected VM: two disks, a mobility service that serves them, and a guest in QEMU that writes to them as soon as it
 * is booted.
 */
export interface Vm {
  readonly disks: readonly [data: SourceDisk, records: SourceDisk];
  /** Of all boots, oldest first. */
  marks(): readonly Mark[];
  boots(): readonly Boot[];
  /** The kernel's messages of all boots. */
  console(): Promise<string>;
  boot(): Promise<void>;
  /** Waits for so many more marks. */
  writes(files: number): Promise<void>;
  /** SIGKILL of QEMU. */
  cutPower(): Promise<void>;
  startService(): Promise<void>;
  /** SIGKILL of the mobility service. */
  killService(): Promise<void>;
  /** Without power: waits until everything lies in the cache; the last epoch. */
  uploaded(): Promise<number>;
}

/** Protects the VM and starts its mobility service; the guest is not booted yet. */
export async function protectVm(world: World, pool: Buffer, onEnd: OnEnd): Promise<Vm> {
  const disks = await makeDisks(world.folder);
  const options: MobilityOptions = {
    itemId: ITEM,
    apiUrl: `${world.cloud.app.url}/api`,
    registrationToken: await world.operator.protect(disks),
    disks: disks.map(({ id, path }) => ({ id, path })),
    folder: join(world.folder, "vm"),
    logFolder: world.cloud.logFolder,
    nbdPort: undefined,
    epochMaxAgeMs: EPOCH_MAX_AGE_MS,
    heartbeatMs: HEARTBEAT_MS,
  };
  const guest = await prepareGuest(world.folder, pool);
  const machines: Machine[] = [];
  const boots: Boot[] = [];
  let service: MobilityService = await startMobility(options);
  onEnd(() => service.stop());
  const marks = (): readonly Mark[] => machines.flatMap((machine) => machine.marks);
  const lastMarked = (): number => marks().at(-1)?.number ?? 0;
  const running = (): Machine => {
    const machine = machines.at(-1);
    if (machine === undefined) throw new Error("the guest was never booted");
    return machine;
  };
  const consoleFile = (boot: number): string => join(world.folder, `console-${boot}.log`);
  return {
    disks,
    marks,
    boots: () => boots,
    console: async () =>
      (await Promise.all(boots.map((_, index) => readFile(consoleFile(index + 1), "utf8")))).join(""),
    boot: async () => {
      const marked = lastMarked();
      const boot = boots.length + 1;
      const where = { ...guest, socketPath: join(options.folder, "nbd.sock"), consoleFile: consoleFile(boot) };
      const machine = await bootMachine({ ...where, boot, exports: ["data", "records"], files: FILES_MAX }, onEnd);
      machines.push(machine);
      boots.push({ marked, found: machine.found });
    },
    writes: (files) => running().reaches(lastMarked() + files),
    cutPower: () => running().cutPower(),
    startService: async () => {
      service = await startMobility(options);
    },
    killService: () => service.kill(),
    uploaded: () => everythingUploaded(service),
  };
}

async function makeDisks(folder: string): Promise<readonly [SourceDisk, SourceDisk]> {
  const data = { id: "data", path: join(folder, "data.img"), sizeBytes: DATA_BYTES };
  const records = { id: "records", path: join(folder, "records.img"), sizeBytes: RECORDS_BYTES };
  await makeDefaultExt4(data.path, data.sizeBytes);
  await writeFile(records.path, "");
  await truncate(records.path, records.sizeBytes);
  return [data, records];
}

async function prepareGuest(
  folder: string,
  pool: Buffer,
): Promise<{ readonly kernelPath: string; readonly initramfsPath: string }> {
  const kernel = findKernel();
  if (kernel === undefined) throw new Error("Debian's cloud kernel is missing; .ci/vm-tools brings it");
  const initramfsPath = join(folder, "initramfs.gz");
  await writeFile(initramfsPath, initramfs(kernel, BUSYBOX, pool));
  return { kernelPath: kernel.imagePath, initramfsPath };
}

/** Nobody writes any more: waits until all that was written lies in the cache. */
async function everythingUploaded(service: MobilityService): Promise<number> {
  const status = async (): Promise<ServiceStatus | undefined> => (await service.status()) as ServiceStatus | undefined;
  const before = (await status())?.atMs;
  service.cut();
  return until("everything is uploaded", async () => {
    const now = await status();
    // The file is written every second: only the next one speaks of what was written before the call.
    if (now === undefined || now.atMs === before || now.pendingBytes > 0 || !now.seeding.done) return undefined;
    return now.uploaded.epoch === now.sealed.epoch ? now.uploaded.epoch : undefined;
  });
}
