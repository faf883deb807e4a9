import { copyFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import { startExt4Writer, type Ext4Writer } from "../lab/ext4-writer.ts";
import { makeExt4, missingExt4Tools } from "../lab/ext4.ts";
import type { Guest } from "../lab/guest.ts";
import { copyContent, makeImage } from "../lab/images.ts";
import { makeMachine } from "../lab/machine.ts";
import type { Random } from "../lab/random.ts";
import { attachGuest, type VmDisk } from "../lab/vm.ts";
import { startWriter, type Writer } from "../lab/writer.ts";
import { startCloud, type Cloud } from "../supervisor/cloud.ts";
import type { MobilityService } from "../supervisor/mobility-service.ts";
import { operatorApi, type OperatorApi } from "../supervisor/operator-api.ts";
import { FREE_PORTS } from "../supervisor/ports.ts";
import { flowsApi, type FlowsApi } from "./flows-api.ts";
import { observeStore, type Observations } from "./observations.ts";

/** The item is named after its machine. */
export const ITEM_ID = "web-1";
export const OTHER_ID = "web-2";
const GROUP = "shop";
const SOURCE_REGION = "westeurope";
const TARGET_REGION = "northeurope";
/** Managed disks have at least 1 GiB; all content and all writes are in the first quarter. */
const USED_BYTES = 256 * 1024 * 1024;
const FILLED_SHARE = 0.1;
const FILE_SYSTEM_BYTES = 24 * 1024 * 1024;
const RECORDS_PER_SECOND = 80;
const FILE_INTERVAL_MS = 1500;
/** The file system of 24 MiB has space for these, at 48 KiB each, and for its journal. */
const FILES_MAX = 200;
/** Short enough for many points in two minutes: one every three seconds, or with every epoch when those come later. */
const POINT_INTERVAL_MINUTES = 0.05;
const SCHEDULES = { points: "*/2 * * * * *", sweep: "*/5 * * * * *" };

/** Everything that the demo has set up. */
export interface Scene {
  readonly folder: string;
  readonly seed: number;
  readonly cloud: Cloud;
  readonly api: OperatorApi;
  readonly flows: FlowsApi;
  readonly store: Observations;
  readonly machineId: string;
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
  return startCloud({
    folder,
    ports: FREE_PORTS,
    persistence: "disk",
    schedules: SCHEDULES,
    random: () => random.next(),
  });
}

/**
 * The source VM, with a system disk and a data disk, which has a file system if the tools for it exist. `missing` names
 * the missing tools.
 */
export async function makeSourceMachine(
  folder: string,
  seed: number,
  cloud: Cloud,
): Promise<{ readonly machineId: string; readonly disks: readonly VmDisk[]; readonly missing: readonly string[] }> {
  const missing = missingExt4Tools();
  const names = [`${ITEM_ID}-os`, `${ITEM_ID}-data`];
  const machineId = await makeMachine(cloud.resourceManager, {
    name: ITEM_ID,
    resourceGroup: GROUP,
    region: SOURCE_REGION,
    disks: names,
  });
  const made = cloud.resourceManager.machineOf(machineId)?.disks ?? [];
  const disks: VmDisk[] = [];
  for (const [at, { name, path, sizeBytes }] of made.entries()) {
    const baselinePath = join(folder, `${name}.first`);
    const isFiles = at > 0 && missing.length === 0;
    if (isFiles) await makeFileSystem(baselinePath);
    else await makeImage({ path: baselinePath, sizeBytes: USED_BYTES, filledShare: FILLED_SHARE, seed: seed + at });
    await copyContent(baselinePath, path);
    await truncate(baselinePath, sizeBytes);
    disks.push({ id: name, path, sizeBytes, baselinePath, use: isFiles ? "ext4" : "records" });
  }
  return { machineId, disks, missing };
}

/** A small file system at the beginning of a disk, and the shadow copy in which the writer changes it. */
async function makeFileSystem(baselinePath: string): Promise<void> {
  await makeExt4(baselinePath, FILE_SYSTEM_BYTES);
  await copyFile(baselinePath, `${baselinePath}.shadow`);
}

/** A second VM, which is protected and then unprotected again. */
export function makeOtherMachine(cloud: Cloud): Promise<string> {
  return makeMachine(cloud.resourceManager, {
    name: OTHER_ID,
    resourceGroup: GROUP,
    region: SOURCE_REGION,
    disks: [`${OTHER_ID}-os`],
  });
}

export function openScene(
  folder: string,
  seed: number,
  cloud: Cloud,
  machine: { readonly machineId: string; readonly disks: readonly VmDisk[] },
): Scene {
  return {
    folder,
    seed,
    cloud,
    ...machine,
    api: operatorApi(cloud.app.url, cloud.secrets.functionKey),
    flows: flowsApi(cloud),
    store: observeStore(cloud.storage, ITEM_ID),
  };
}

export const enableBody = (sourceVmId: string) => ({
  sourceVmId,
  targetRegion: TARGET_REGION,
  policy: { crashConsistentFrequencyInMinutes: POINT_INTERVAL_MINUTES },
});

/** The machine that a failover creates, by Site Recovery's names. */
export const targetMachineId = ({ cloud }: Scene): string =>
  `/subscriptions/${cloud.resourceManager.subscriptionId}/resourceGroups/${GROUP}-asr/providers/Microsoft.Compute/virtualMachines/${ITEM_ID}`;

/** Attaches a guest to the disks of a protected machine. */
export async function attachTo({ cloud, machineId, disks }: Scene): Promise<RunningVm> {
  const mobility = cloud.resourceManager.machineOf(machineId)?.program;
  if (mobility === undefined) throw new LeewardError("internal", "The machine has no mobility service.", { machineId });
  return { mobility, guest: await attachGuest(mobility.address, disks, () => Date.now(), true) };
}

export function startWriters(scene: Scene, guest: Guest): Writers {
  const recordDisks = scene.disks.flatMap(({ use }, disk) =>
    use === "records" ? [{ disk, sizeBytes: USED_BYTES }] : [],
  );
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
            shadowPath: `${fileDisk.baselinePath ?? fileDisk.path}.shadow`,
            seed: scene.seed,
            intervalMs: FILE_INTERVAL_MS,
            filesMax: FILES_MAX,
          }),
  };
}
