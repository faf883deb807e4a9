import { open } from "node:fs/promises";
import { expect, it, onTestFinished } from "vitest";
import { openNbdDisk, type NbdDisk } from "../../../local/lab/nbd-client.ts";
import { seededRandom } from "../../../local/lab/random.ts";
import { TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { clientsOf, POLL } from "../resource-manager/world.ts";
import { until } from "./until.ts";
import { type Point, type World, SEED, blobsOf, startWorld } from "./world.ts";
import { WriteLog } from "./write-log.ts";

const REGION = "westeurope";
const GROUP = "shop";
const GIB = 1024 ** 3;
/** All that is written lies here; what follows is empty. */
const USED_BYTES = 4 * 1024 * 1024;
const BLOCK_BYTES = 4096;

type Clients = ReturnType<typeof clientsOf>;

interface JobView {
  readonly name: string;
  readonly state: string;
  readonly errors: readonly object[];
}

/** Two machines in one network, as anybody makes them in Azure: a system disk and a data disk each. */
async function makeMachines({ network, compute, resources }: Clients, names: readonly string[]): Promise<readonly string[]> {
  await resources.resourceGroups.createOrUpdate(GROUP, { location: REGION });
  const addresses = { addressSpace: { addressPrefixes: ["10.0.0.0/16"] }, subnets: [{ name: "web", addressPrefix: "10.0.0.0/24" }] };
  const net = await network.virtualNetworks.createOrUpdate(GROUP, "hub", { location: REGION, ...addresses }, POLL);
  const ids: string[] = [];
  for (const name of names) {
    const ipConfigurations = [{ name: "one", subnet: { id: net.subnets?.[0]?.id ?? "" } }];
    const nic = await network.networkInterfaces.createOrUpdate(GROUP, `${name}-nic`, { location: REGION, ipConfigurations }, POLL);
    const makeDisk = async (part: string, os: object): Promise<string> => {
      const body = { location: REGION, creationData: { createOption: "Empty" }, diskSizeGB: 1, ...os } as const;
      return (await compute.disks.createOrUpdate(GROUP, `${name}-${part}`, body, POLL)).id ?? "";
    };
    const [system, data] = [await makeDisk("os", { osType: "Linux", hyperVGeneration: "V2" }), await makeDisk("data", {})];
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
async function contentOf({ cloud }: World, machineId: string): Promise<readonly Buffer[]> {
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
async function fillDisks({ cloud }: World, machineId: string): Promise<void> {
  for (const [at, { path }] of (cloud.resourceManager.machineOf(machineId)?.disks ?? []).entries()) {
    const content = Buffer.alloc(USED_BYTES / 2);
    seededRandom(SEED, at).fill(content);
    const file = await open(path, "r+");
    await file.write(content, 0, content.length, 0);
    await file.close();
  }
}

it(
  "a machine is protected by its id, and fails over to a point though the app dies meanwhile; another is disabled and leaves an empty ledger",
  { timeout: 400_000 },
  async () => {
    const world = await startWorld((undo) => onTestFinished(undo));
    const { cloud, operator } = world;
    const clients = clientsOf(cloud.resourceManager.url, cloud.resourceManager.token, cloud.resourceManager.subscriptionId);
    const [first = "", second = ""] = await makeMachines(clients, ["web-1", "web-2"]);
    await fillDisks(world, first);

    const ask = async (method: string, path: string, body?: object): Promise<JobView> => {
      const answer = await operator.call(method, `replicationProtectedItems/${path}`, body === undefined ? {} : { body });
      if (answer.status !== 202) throw new Error(`${method} ${path} was answered with ${answer.status}: ${answer.text}`);
      expect(answer.headers.get("location")).toBe(`/api/replicationJobs/${(answer.body as JobView).name}`);
      return answer.body as JobView;
    };
    const ended = (job: JobView): Promise<JobView> =>
      until(`the job ${job.name} ends`, async () => {
        const found = (await operator.call("GET", `replicationJobs/${job.name}`)).body as JobView;
        return ["Succeeded", "Failed", "Cancelled"].includes(found.state) ? found : undefined;
      });
    const stateOf = async (item: string): Promise<unknown> => {
      const { protectionState, allowedOperations } = (await operator.call("GET", `replicationProtectedItems/${item}`)).body as Record<
        string,
        unknown
      >;
      return { protectionState, allowedOperations };
    };
    const enable = async (item: string, sourceVmId: string): Promise<void> => {
      const policy = { crashConsistentFrequencyInMinutes: 1 / 60 };
      const job = await ended(await ask("PUT", item, { sourceVmId, targetRegion: "northeurope", policy }));
      expect([job.state, job.errors]).toEqual(["Succeeded", []]);
    };

    await enable("web-1", first);
    await enable("web-2", second);

    // The guest writes one block after the other until a point holds the tenth, and then some more.
    const log = new WriteLog(await contentOf(world, first));
    const random = seededRandom(SEED, 99);
    const address = cloud.resourceManager.machineOf(first)?.mobility?.address ?? { kind: "unix", path: "" };
    const guest: readonly NbdDisk[] = [await openNbdDisk(address, "web-1-os"), await openNbdDisk(address, "web-1-data")];
    const write = async (): Promise<void> => {
      const bytes = Buffer.alloc(BLOCK_BYTES);
      random.fill(bytes);
      const logged = { disk: log.length % 2, offsetBytes: BLOCK_BYTES * ((log.length * 37) % (USED_BYTES / BLOCK_BYTES)), bytes };
      log.add(logged);
      await guest[logged.disk]?.write(logged.offsetBytes, bytes, { forceUnitAccess: true });
    };
    for (let count = 0; count < 10; count += 1) await write();
    const writtenMs = Date.now();
    const point: Point = await until("a point holds the first writes", async () => {
      await write();
      return (await operator.points("web-1")).find(({ sourceTime }) => Date.parse(sourceTime) >= writtenMs);
    });
    const before = log.length;
    await write();
    for (const disk of guest) disk.close();
    expect(
      await until("the item is protected", async () => {
        const { protectionState, allowedOperations } = (await stateOf("web-1")) as {
          protectionState: string;
          allowedOperations: readonly string[];
        };
        return protectionState === "Protected" ? allowedOperations : undefined;
      }),
    ).toContain("UnplannedFailover");

    const asked = await ask("POST", "web-1/unplannedFailover", { recoveryPointId: point.name, sourceSiteOperations: "Required" });
    // The app dies in the middle, and the flow goes on from its history.
    await until("the flow has begun", async () => {
      const { tasks } = (await operator.call("GET", `replicationJobs/${asked.name}`)).body as { tasks: readonly { state: string }[] };
      return tasks.some(({ state }) => state === "Succeeded") ? true : undefined;
    });
    await cloud.app.kill();
    await cloud.app.restart();
    const failedOver = await ended(asked);
    expect([failedOver.state, failedOver.errors]).toEqual(["Succeeded", []]);
    const target = `/subscriptions/${cloud.resourceManager.subscriptionId}/resourceGroups/${GROUP}-asr/providers/Microsoft.Compute/virtualMachines/web-1`;
    const prefixes = log.prefixesOf(await contentOf(world, target));
    expect(prefixes.length).toBeGreaterThan(0);
    expect(Math.max(...prefixes)).toBeGreaterThanOrEqual(10);
    expect(Math.min(...prefixes)).toBeLessThanOrEqual(before);
    const again = await operator.call("POST", "replicationProtectedItems/web-1/unplannedFailover", { body: {} });
    expect([again.status, again.body]).toMatchObject([409, { error: { code: "operation-not-allowed" } }]);

    const disabled = await ended(await ask("DELETE", "web-2"));
    expect([disabled.state, disabled.errors]).toEqual(["Succeeded", []]);
    expect(await stateOf("web-2")).toEqual({ protectionState: "UnprotectedStatesBegin", allowedOperations: ["EnableProtection"] });
    const container = blobsOf(cloud, TARGET_ACCOUNT).getContainerClient("leeward-item-web-2");
    const ledger = await container.getBlobClient("ledger.json").downloadToBuffer();
    expect(JSON.parse(ledger.toString("utf8"))).toMatchObject({ body: { entries: [] } });
    await expect(clients.compute.virtualMachineExtensions.get(GROUP, "web-2", "leeward-mobility")).rejects.toMatchObject({
      statusCode: 404,
    });
  },
);
