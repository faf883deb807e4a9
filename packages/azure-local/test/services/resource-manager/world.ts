import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ComputeManagementClient } from "@azure/arm-compute";
import { NetworkManagementClient } from "@azure/arm-network";
import { ResourceManagementClient } from "@azure/arm-resources";
import { StorageManagementClient } from "@azure/arm-storage";
import { BlobServiceClient } from "@azure/storage-blob";
import { expect } from "vitest";
import { vhdFooter } from "../../../resource-manager/disks/fixed-vhd.ts";
import type {
  MachineProgram,
  MachinePrograms,
  ProgramPlace,
  ScriptCommand,
} from "../../../resource-manager/machines/machine-program.ts";
import {
  startResourceManager,
  type ResourceManager,
  type ResourceManagerOptions,
} from "../../../resource-manager/resource-manager.ts";
import { startStorage, type LocalStorage } from "../../../storage/storage.ts";

export const SUBSCRIPTION = "00000000-0000-4000-8000-0000000000aa";
export const TOKEN = "test-token";
export const GROUP = "Lab-RG";
export const REGION = "northeurope";
export const ACCOUNT = "armtargetne";
const MIB = 1024 * 1024;
/** No Retry-After is sent in tests, so this interval counts. */
export const POLL = { updateIntervalInMs: 5 };

/**
 * The real clients over http, as the embedded cloud gives them to the product: no credential, the header set per call
 * (see docs/resource-manager.md).
 */
export function clientsOf(url: string, token = TOKEN, subscriptionId = SUBSCRIPTION) {
  const options = {
    endpoint: url,
    allowInsecureConnection: true,
    retryOptions: { maxRetries: 0 },
    additionalPolicies: [
      {
        position: "perCall" as const,
        policy: {
          name: "localToken",
          sendRequest: async (request, next) => {
            request.headers.set("authorization", `Bearer ${token}`);
            return next(request);
          },
        } satisfies NonNullable<
          NonNullable<ConstructorParameters<typeof ComputeManagementClient>[2]>["additionalPolicies"]
        >[number]["policy"],
      },
    ],
  };
  const none = undefined as never;
  return {
    resources: new ResourceManagementClient(none, subscriptionId, options),
    network: new NetworkManagementClient(none, subscriptionId, options),
    compute: new ComputeManagementClient(none, subscriptionId, options),
    storage: new StorageManagementClient(none, subscriptionId, options),
  };
}

interface ProgramStart {
  readonly command: ScriptCommand;
  readonly place: ProgramPlace;
}

export interface World {
  readonly folder: string;
  readonly storage: LocalStorage;
  arm: ResourceManager;
  clients: ReturnType<typeof clientsOf>;
  /** The Resource Manager's clock: the real one until a test sets it. */
  clock: { now(): number };
  /** Programs that the machines started. */
  readonly started: ProgramStart[];
  /** Names of programs that were stopped. */
  readonly stopped: string[];
  /** Stops the Resource Manager and starts it again on the same state, as a restarted supervisor does. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Makes a page blob that is a fixed VHD of these bytes. Returns its URL. */
  putVhd(name: string, content: Buffer, damage?: (vhd: Buffer) => void): Promise<string>;
}

export async function startWorld(options: Partial<ResourceManagerOptions> = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-arm-"));
  const storage = await startStorage({
    folder: join(folder, "storage"),
    persistence: "memory",
    accounts: [
      { name: "armsourcewe", region: "westeurope", blobPort: 0, queuePort: 0 },
      { name: ACCOUNT, region: REGION, blobPort: 0, queuePort: 0 },
    ],
    key: () => Buffer.alloc(64, 7).toString("base64"),
  });
  const started: ProgramStart[] = [];
  const stopped: string[] = [];
  const clock = { now: () => Date.now() };
  const start = (port: number): Promise<ResourceManager> =>
    startResourceManager({
      folder: join(folder, "arm"),
      persistence: "disk",
      port,
      subscriptionId: SUBSCRIPTION,
      token: TOKEN,
      accounts: storage.accounts,
      programs: recordedPrograms(started, stopped),
      now: () => world.clock.now(),
      pace: 0,
      ...options,
    });
  const world: World = {
    folder,
    storage,
    clock,
    started,
    stopped,
    arm: undefined as never,
    clients: undefined as never,
    restart: async () => {
      const port = Number(new URL(world.arm.url).port);
      await world.arm.close();
      world.arm = await start(port);
      await world.arm.resumeMachines();
    },
    putVhd: (name, content, damage) => putVhd(storage, name, content, damage),
    stop: async () => {
      await world.arm.close();
      await storage.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  world.arm = await start(0);
  world.clients = clientsOf(world.arm.url);
  await world.clients.resources.resourceGroups.createOrUpdate(GROUP, { location: REGION });
  return world;
}

/** Fake programs for commands `run NAME ...`: starts are only recorded. The one called "broken" never starts. */
function recordedPrograms(started: ProgramStart[], stopped: string[]): MachinePrograms<MachineProgram> {
  return {
    refusal: ({ text }) => (text.startsWith("run ") ? undefined : "a machine of this test runs 'run NAME'"),
    start: (command, place) => {
      const name = command.text.split(" ")[1] ?? "";
      if (name === "broken") return Promise.reject(new Error("it is broken"));
      started.push({ command, place });
      let running = true;
      const end = (): Promise<void> => {
        if (running) stopped.push(name);
        running = false;
        return Promise.resolve();
      };
      return Promise.resolve({
        get running() {
          return running;
        },
        stop: end,
        kill: end,
      });
    },
  };
}

async function putVhd(
  storage: LocalStorage,
  name: string,
  content: Buffer,
  damage: (vhd: Buffer) => void = () => {},
): Promise<string> {
  const footer = vhdFooter(content.length, { uniqueId: randomUUID(), createdMs: Date.now() });
  const vhd = Buffer.concat([content, footer]);
  damage(vhd);
  const service = BlobServiceClient.fromConnectionString(storage.account(ACCOUNT).connectionString);
  const container = service.getContainerClient("vhds");
  await container.createIfNotExists();
  const blob = container.getPageBlobClient(name);
  await blob.create(vhd.length);
  for (let at = 0; at < vhd.length; at += MIB) {
    const piece = vhd.subarray(at, Math.min(at + MIB, vhd.length));
    if (!piece.equals(Buffer.alloc(piece.length))) await blob.uploadPages(piece, at, piece.length);
  }
  return blob.url;
}

export const idOf = (type: string, name: string, group = GROUP): string =>
  `/subscriptions/${SUBSCRIPTION}/resourceGroups/${group}/providers/${type}/${name}`;

/** A network with one subnet and an interface in it: what every machine needs. */
export async function makeNic(world: World, name: string): Promise<string> {
  const { network } = world.clients;
  await network.virtualNetworks.createOrUpdate(
    GROUP,
    "lab-vnet",
    {
      location: REGION,
      addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
      subnets: [{ name: "default", addressPrefix: "10.0.0.0/24" }],
    },
    POLL,
  );
  const subnet = { id: idOf("Microsoft.Network/virtualNetworks", "lab-vnet/subnets/default") };
  await network.networkInterfaces.createOrUpdate(
    GROUP,
    name,
    { location: REGION, ipConfigurations: [{ name: "primary", subnet }] },
    POLL,
  );
  return idOf("Microsoft.Network/networkInterfaces", name);
}

export async function makeDisk(world: World, name: string, sizeGB = 1): Promise<string> {
  await world.clients.compute.disks.createOrUpdate(
    GROUP,
    name,
    { location: REGION, creationData: { createOption: "Empty" }, diskSizeGB: sizeGB },
    POLL,
  );
  return idOf("Microsoft.Compute/disks", name);
}

export function machineModel(
  nicId: string,
  osDiskId: string,
  dataDiskIds: readonly string[] = [],
  size = "Standard_D2s_v5",
) {
  return {
    location: REGION,
    hardwareProfile: { vmSize: size },
    storageProfile: {
      osDisk: { createOption: "Attach" as const, osType: "Linux" as const, managedDisk: { id: osDiskId } },
      dataDisks: dataDiskIds.map((id, lun) => ({ lun, createOption: "Attach" as const, managedDisk: { id } })),
    },
    networkProfile: { networkInterfaces: [{ id: nicId }] },
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

/** A request without an SDK, to see statuses and headers that the SDKs hide. */
export async function raw(
  world: World,
  method: string,
  pathOrUrl: string,
  body?: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  const url = pathOrUrl.startsWith("http") ? pathOrUrl : `${world.arm.url}${pathOrUrl}`;
  const answer = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    headers: answer.headers,
    body: text === "" ? undefined : (JSON.parse(text) as RawAnswer["body"]),
  };
}

/** The SDK's error for a refusal. */
export const refusal = (statusCode: number, code: string): unknown =>
  expect.objectContaining({ statusCode, code }) as unknown;
