import { join } from "node:path";
import { missingExt4Tools } from "../lab/ext4.ts";
import { startExt4Writer, type Ext4Writer } from "../lab/ext4-writer.ts";
import type { Guest } from "../lab/guest.ts";
import type { Random } from "../lab/random.ts";
import { attachGuest, prepareVm, type VmDisk } from "../lab/vm.ts";
import { startWriter, type Writer } from "../lab/writer.ts";
import { startCloud, type Cloud } from "../supervisor/cloud.ts";
import type { MobilityService } from "../supervisor/mobility-service.ts";
import { operatorApi, type OperatorApi } from "../supervisor/operator-api.ts";
import { FREE_PORTS } from "../supervisor/ports.ts";
import { protectVm } from "../supervisor/protect-vm.ts";
import { observeStore, type Observations } from "./observations.ts";

export const ITEM_ID = "lab-vm";
const RECORDS_PER_SECOND = 80;
const FILE_INTERVAL_MS = 1500;
/** The file system of 24 MiB has room for these, at 48 KiB each, and for its journal. */
const FILES_MAX = 200;
/** So short that 90 seconds show many: a point every three seconds, an epoch every second. */
const POINT_INTERVAL_MINUTES = 0.05;
const EPOCH_MAX_AGE_MS = 1000;
const HEARTBEAT_MS = 1000;
const SCHEDULES = { points: "*/2 * * * * *", sweep: "*/5 * * * * *" };

/** Everything that the demo has set up. */
export interface Scene {
  readonly folder: string;
  readonly seed: number;
  readonly cloud: Cloud;
  readonly api: OperatorApi;
  readonly store: Observations;
  readonly disks: readonly VmDisk[];
}

export interface RunningVm {
  readonly mobility: MobilityService;
  readonly guest: Guest;
}

export interface Writers {
  readonly records: Writer;
  readonly files: Ext4Writer | undefined;
}

export function openCloud(folder: string, random: Random): Promise<Cloud> {
  return startCloud({ folder, ports: FREE_PORTS, persistence: "disk", schedules: SCHEDULES, random: () => random.next() });
}

/** The VM's images. `missing` names the tools for want of which there is no file system disk. */
export async function makeVm(
  folder: string,
  seed: number,
): Promise<{ readonly disks: readonly VmDisk[]; readonly missing: readonly string[] }> {
  const missing = missingExt4Tools();
  const disks = await prepareVm({ folder: join(folder, "vm"), seed, withExt4: missing.length === 0, withBaseline: true });
  return { disks, missing };
}

export function openScene(folder: string, seed: number, cloud: Cloud, disks: readonly VmDisk[]): Scene {
  return {
    folder,
    seed,
    cloud,
    disks,
    api: operatorApi(cloud.app.url, cloud.secrets.functionKey),
    store: observeStore(cloud.storage, ITEM_ID),
  };
}

export async function startVm(scene: Scene): Promise<RunningVm> {
  const mobility = await protectVm(scene.cloud, {
    itemId: ITEM_ID,
    disks: scene.disks,
    folder: join(scene.folder, "vm"),
    crashConsistentFrequencyInMinutes: POINT_INTERVAL_MINUTES,
    epochMaxAgeMs: EPOCH_MAX_AGE_MS,
    heartbeatMs: HEARTBEAT_MS,
    nbdPort: undefined,
  });
  const guest = await attachGuest(mobility.address, scene.disks, () => Date.now(), true);
  return { mobility, guest };
}

export function startWriters(scene: Scene, guest: Guest): Writers {
  const recordDisks = scene.disks.flatMap(({ use, sizeBytes }, disk) => (use === "records" ? [{ disk, sizeBytes }] : []));
  const files = scene.disks.findIndex((disk) => disk.use === "ext4");
  const fileDisk = scene.disks[files];
  return {
    records: startWriter({ guest, disks: recordDisks, seed: scene.seed, recordsPerSecond: RECORDS_PER_SECOND }),
    files:
      fileDisk === undefined
        ? undefined
        : startExt4Writer({
            guest,
            disk: files,
            shadowPath: `${fileDisk.path}.shadow`,
            seed: scene.seed,
            intervalMs: FILE_INTERVAL_MS,
            filesMax: FILES_MAX,
          }),
  };
}
