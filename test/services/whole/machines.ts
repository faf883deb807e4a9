import { open } from "node:fs/promises";
import { expect } from "vitest";
import { type NbdDisk, openNbdDisk } from "../../../local/lab/nbd-client.ts";
import { seededRandom } from "../../../local/lab/random.ts";
import { clientsOf, POLL } from "../../../packages/azure-local/test/services/resource-manager/world.ts";
import { until } from "./until.ts";
import { type Operator, type Point, type World, SEED } from "./world.ts";
import { WriteLog } from "./write-log.ts";

/** Virtual machines of the local cloud, protected by their ids and failed over: what several tests make of them. */

const REGION = "westeurope";
/** Of the machines; what is made of them stands in one of its own. */
export const GROUP = "shop";
export const TARGET_GROUP = `${GROUP}-asr`;
const GIB = 1024 ** 3;
/** All that is written lies here; what follows is empty. */
const USED_BYTES = 4 * 1024 * 1024;
const BLOCK_BYTES = 4096;

export type Clients = ReturnType<typeof clientsOf>;

export interface JobView {
  readonly name: string;
  readonly state: string;
  readonly errors: readonly object[];
}

export const clientsTo = ({ cloud: { resourceManager } }: World): Clients =>
  clientsOf(resourceManager.url, resourceManager.token, resourceManager.subscriptionId);

/** Where the machine of an item stands after its failover. */
export const targetOf = ({ cloud }: World, name: string): string =>
  `/subscriptions/${cloud.resourceManager.subscriptionId}/resourceGroups/${TARGET_GROUP}/providers/Microsoft.Compute/virtualMachines/${name}`;

/** Machines in one network, as anybody makes them in Azure: a system disk and a data disk each. */
export async function makeMachines(
  { network, compute, resources }: Clients,
  names: readonly string[],
): Promise<readonly string[]> {
  await resources.resourceGroups.createOrUpdate(GROUP, { location: REGION });
  const addresses = {
    addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
    subnets: [{ name: "web", addressPrefix: "10.0.0.0/24" }],
  };
  const net = await network.virtualNetworks.createOrUpdate(GROUP, "hub", { location: REGION, ...addresses }, POLL);
  const ids: string[] = [];
  for (const name of names) {
    const ipConfigurations = [{ name: "one", subnet: { id: net.subnets?.[0]?.id ?? "" } }];
    const nic = await network.networkInterfaces.createOrUpdate(
      GROUP,
      `${name}-nic`,
      { location: REGION, ipConfigurations },
      POLL,
    );
    const makeDisk = async (part: string, os: object): Promise<string> => {
      const body = { location: REGION, creationData: { createOption: "Empty" }, diskSizeGB: 1, ...os } as const;
      return (await compute.disks.createOrUpdate(GROUP, `${name}-${part}`, body, POLL)).id ?? "";
    };
    const [system, data] = [
      await makeDisk("os", { osType: "Linux", hyperVGeneration: "V2" }),
      await makeDisk("data", {}),
    ];
    const model = {
      location: REGION,
      hardwareProfile: { vmSize: "Standard_B1s" },
      storageProfile: {
        osDisk: { createOption: "Attach" as const, osType: "Linux" as const, managedDisk: { id: system } },
        dataDisks: [{ lun: 0, createOption: "Attach" as const, managedDisk: { id: data } }],
      },
      networkProfile: { networkInterfaces: [{ id: nic.id ?? "" }] },
    };
    ids.push((await compute.virtualMachines.createOrUpdate(GROUP, name, model, POLL)).id ?? "");
  }
  return ids;
}

/** The first part of each disk of a machine, as its files hold it. */
export async function contentOf({ cloud }: World, machineId: string): Promise<readonly Buffer[]> {
  const found: Buffer[] = [];
  for (const { path, sizeBytes } of cloud.resourceManager.machineOf(machineId)?.disks ?? []) {
    expect(sizeBytes).toBe(GIB);
    const file = await open(path, "r");
    const content = Buffer.alloc(USED_BYTES);
    await file.read(content, 0, USED_BYTES, 0);
    await file.close();
    found.push(content);
  }
  return found;
}

/** What the disks hold before anybody protects the machine. */
export async function fillDisks({ cloud }: World, machineId: string): Promise<void> {
  for (const [at, { path }] of (cloud.resourceManager.machineOf(machineId)?.disks ?? []).entries()) {
    const content = Buffer.alloc(USED_BYTES / 2);
    seededRandom(SEED, at).fill(content);
    const file = await open(path, "r+");
    await file.write(content, 0, content.length, 0);
    await file.close();
  }
}

/** An operator of flows: asks, and waits for the jobs. */
export function flowsOf(operator: Operator) {
  const ended = (job: JobView): Promise<JobView> =>
    until(`the job ${job.name} ends`, async () => {
      const found = (await operator.call("GET", `replicationJobs/${job.name}`)).body as JobView;
      return ["Succeeded", "Failed", "Cancelled"].includes(found.state) ? found : undefined;
    });
  const ask = async (method: string, path: string, body?: object): Promise<JobView> => {
    const answer = await operator.call(method, `replicationProtectedItems/${path}`, body === undefined ? {} : { body });
    if (answer.status !== 202) throw new Error(`${method} ${path} was answered with ${answer.status}: ${answer.text}`);
    expect(answer.headers.get("location")).toBe(`/api/replicationJobs/${(answer.body as JobView).name}`);
    return answer.body as JobView;
  };
  const succeeds = async (method: string, path: string, body?: object): Promise<void> => {
    const { state, errors } = await ended(await ask(method, path, body));
    expect([path, state, errors]).toEqual([path, "Succeeded", []]);
  };
  return {
    ask,
    ended,
    succeeds,
    /** Waits until the item is in this state: it is told of the end of its job after the job. */
    inState: (item: string, wanted: string): Promise<readonly string[]> =>
      until(`${item} is ${wanted}`, async () => {
        const { protectionState, allowedOperations } = (await operator.call("GET", `replicationProtectedItems/${item}`))
          .body as {
          readonly protectionState: string;
          readonly allowedOperations: readonly string[];
        };
        return protectionState === wanted ? allowedOperations : undefined;
      }),
    enable: (item: string, sourceVmId: string): Promise<void> => {
      const policy = { crashConsistentFrequencyInMinutes: 1 / 60 };
      return succeeds("PUT", item, { sourceVmId, targetRegion: "northeurope", policy });
    },
  };
}

/** The guest of a machine: it writes one block after the other, on its two disks in turn, and remembers all of them. */
export interface Guest {
  readonly log: WriteLog;
  write(): Promise<void>;
  /** Writes on until a point holds what was written before. */
  pointOfNow(): Promise<Point>;
  close(): void;
}

export async function openGuest(world: World, machineId: string, name: string): Promise<Guest> {
  const { cloud, operator } = world;
  const log = new WriteLog(await contentOf(world, machineId));
  const random = seededRandom(SEED, 99);
  const address = cloud.resourceManager.machineOf(machineId)?.program?.address ?? { kind: "unix", path: "" };
  const disks: readonly NbdDisk[] = [
    await openNbdDisk(address, `${name}-os`),
    await openNbdDisk(address, `${name}-data`),
  ];
  const write = async (): Promise<void> => {
    const bytes = Buffer.alloc(BLOCK_BYTES);
    random.fill(bytes);
    const logged = {
      disk: log.length % 2,
      offsetBytes: BLOCK_BYTES * ((log.length * 37) % (USED_BYTES / BLOCK_BYTES)),
      bytes,
    };
    log.add(logged);
    await disks[logged.disk]?.write(logged.offsetBytes, bytes, { forceUnitAccess: true });
  };
  return {
    log,
    write,
    pointOfNow: () => {
      const writtenMs = Date.now();
      return until("a point holds what was written", async () => {
        await write();
        return (await operator.points(name)).find(({ sourceTime }) => Date.parse(sourceTime) >= writtenMs);
      });
    },
    close: () => {
      for (const disk of disks) disk.close();
    },
  };
}
