import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { openResourceManager } from "../azure/arm/resource-manager.ts";
import { openNbdDisk } from "../local/lab/nbd-client.ts";
import { seededRandom } from "../local/lab/random.ts";
import type { Cloud } from "../local/supervisor/cloud.ts";
import type { Change, ResourceJson, ResourceManager } from "../replication/resources/resource-manager.ts";

const MIB = 1024 * 1024;
const REGION = "westeurope";
const GROUP = "shop";
const LOOK_MS = 20;
/** What each disk holds before protection, and what its guest writes afterwards. */
const FILLED_BYTES = 8 * MIB;
const WRITTEN_BYTES = 2 * MIB;

export const managementOf = (cloud: Cloud): ResourceManager =>
  openResourceManager(
    { endpoint: cloud.resourceManager.url, access: { kind: "token", token: cloud.resourceManager.token } },
    { now: () => Date.now() },
  );

export const machineId = (cloud: Cloud, name: string, group = GROUP): string =>
  idOf(cloud, `Microsoft.Compute/virtualMachines/${name}`, group);

const idOf = ({ resourceManager }: Cloud, path: string, group = GROUP): string =>
  `/subscriptions/${resourceManager.subscriptionId}/resourceGroups/${group}/providers/${path}`;

/**
 * Virtual machines in one network of the source region, each with a system disk and a data disk of 1 GiB with content.
 */
export async function makeSourceMachines(cloud: Cloud, names: readonly string[]): Promise<void> {
  const management = managementOf(cloud);
  const put = (id: string, body: ResourceJson): Promise<void> =>
    settle(management, { kind: "put", id, body: { location: REGION, ...body } });
  await put(`/subscriptions/${cloud.resourceManager.subscriptionId}/resourceGroups/${GROUP}`, {});
  await put(idOf(cloud, "Microsoft.Network/virtualNetworks/hub"), {
    properties: {
      addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
      subnets: [{ name: "web", properties: { addressPrefix: "10.0.0.0/24" } }],
    },
  });
  for (const name of names) {
    const [nic, system, data] = [
      idOf(cloud, `Microsoft.Network/networkInterfaces/${name}`),
      idOf(cloud, `Microsoft.Compute/disks/${name}-os`),
      idOf(cloud, `Microsoft.Compute/disks/${name}-data`),
    ];
    const subnet = { id: idOf(cloud, "Microsoft.Network/virtualNetworks/hub/subnets/web") };
    await put(nic, { properties: { ipConfigurations: [{ name: "one", properties: { subnet } }] } });
    const empty = { creationData: { createOption: "Empty" }, diskSizeGB: 1 };
    await put(system, { properties: { ...empty, osType: "Linux", hyperVGeneration: "V2" } });
    await put(data, { properties: empty });
    await put(machineId(cloud, name), {
      properties: {
        hardwareProfile: { vmSize: "Standard_B1s" },
        storageProfile: {
          osDisk: { createOption: "Attach", osType: "Linux", managedDisk: { id: system } },
          dataDisks: [{ lun: 0, createOption: "Attach", managedDisk: { id: data } }],
        },
        networkProfile: { networkInterfaces: [{ id: nic }] },
      },
    });
    await fillDisks(cloud, name);
  }
}

async function fillDisks({ resourceManager }: Cloud, name: string): Promise<void> {
  const content = Buffer.alloc(FILLED_BYTES);
  seededRandom(name.length, name.charCodeAt(name.length - 1)).fill(content);
  for (const { path } of resourceManager.machineOf(machineIdOf(resourceManager, name))?.disks ?? []) {
    const file = await open(path, "r+");
    await file.write(content, 0, content.length, 0);
    await file.close();
  }
}

const machineIdOf = ({ subscriptionId }: Cloud["resourceManager"], name: string): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/${GROUP}/providers/Microsoft.Compute/virtualMachines/${name}`;

/** Some MiB on each disk of a protected machine, through its mobility service. */
export async function writeAsGuest(cloud: Cloud, name: string): Promise<void> {
  const machine = cloud.resourceManager.machineOf(machineId(cloud, name));
  if (machine?.program === undefined) throw new Error(`The mobility service of ${name} does not run.`);
  for (const disk of machine.disks) {
    const guest = await openNbdDisk(machine.program.address, disk.name);
    const content = Buffer.alloc(WRITTEN_BYTES);
    seededRandom(disk.lun ?? 99, name.length).fill(content);
    await guest.write(FILLED_BYTES / 2, content, { forceUnitAccess: true });
    guest.close();
  }
}

/** Makes a change and waits for its end. */
async function settle(management: ResourceManager, change: Change): Promise<void> {
  let begun = await management.begin(change);
  for (;;) {
    if (begun.kind === "done") return;
    if (begun.kind === "failed") throw new Error(`${change.id}: ${begun.azureCode} ${begun.message}`);
    await sleep(LOOK_MS);
    begun = begun.kind === "busy" ? await management.begin(change) : await management.poll(begun.operation);
  }
}
