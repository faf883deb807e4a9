import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { ARM_PAGE_COUNT } from "../limits.ts";
import type { Reachability } from "../reachability.ts";
import { deploy, type DeployedGroup } from "./deployment.ts";
import { openDiskFiles, type DiskFiles } from "./disks/disk-files.ts";
import { isGranted, serveVhd } from "./disks/vhd-download.ts";
import type { ArmRequest } from "./engine/answer.ts";
import { handle } from "./engine/engine.ts";
import { createFaults, type Faults } from "./engine/faults.ts";
import { createOperations } from "./engine/operations.ts";
import { createPast } from "./engine/past.ts";
import type { CloudFacts, Runtime, StorageAccountFacts, World } from "./engine/resource-type.ts";
import { openStore, type ArmStore } from "./engine/store.ts";
import { namesOf, worldAt } from "./engine/world.ts";
import type { MachineProgram, MachinePrograms } from "./machines/machine-program.ts";
import { createMachines, type Machine } from "./machines/machines.ts";
import { bootMachines, bringUpMachines } from "./machines/resume.ts";
import { startArmServer, type ArmServer } from "./server.ts";
import { createSwitches } from "./switches.ts";
import { accessOf } from "./types/disk-access.ts";
import { answerOther } from "./types/others.ts";
import { TYPES } from "./types/table.ts";
import { vmIdOf } from "./types/virtual-machines.ts";

export interface ResourceManagerOptions<Program extends MachineProgram = MachineProgram> {
  /** State, disks and machines lie below it. */
  readonly folder: string;
  readonly persistence: "disk" | "memory";
  /** 0: any free port. Operation and disk addresses contain it: kept state needs the same one. */
  readonly port: number;
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly subscriptionId: string;
  /** Its clients' bearer token. */
  readonly token: string;
  readonly accounts: readonly StorageAccountFacts[];
  /** Groups with storage accounts of `accounts`, created at the start unless they exist. */
  readonly deployed?: readonly DeployedGroup[];
  /** What extensions can start in machines; nothing by default. */
  readonly programs?: MachinePrograms<Program>;
  readonly now: () => number;
  /** The operation's share of Azure's usual durations; 0: as long as its work. */
  readonly pace: number;
  /** Sent while an operation runs; undefined: clients use their own interval. */
  readonly retryAfterSeconds?: number;
  readonly pageCount?: number;
}

/** Azure Resource Manager for one subscription in two regions, with switches for tests and the lab. */
export interface ResourceManager<Program extends MachineProgram = MachineProgram> {
  readonly url: string;
  readonly subscriptionId: string;
  readonly token: string;
  /** The one supported version of each type, by lower-case type. */
  readonly apiVersions: Readonly<Record<string, string>>;
  readonly faults: Faults;
  /** Until true: requests about this region are cut (false) or never answered ("hangs"), and its operations pause. */
  setReachable(region: string, reachable: Reachability): void;
  /** The core limit of one family in a region, or of all of them for "cores". */
  setQuota(region: string, family: string, cores: number): void;
  /** True: the size is not sold in the region (SkuNotAvailable, and a restriction in the list of skus). */
  setRestricted(region: string, size: string, restricted: boolean): void;
  /** The running machine of a virtual machine's id: its disk files, and the program of its extension. */
  machineOf(id: string): Machine<Program> | undefined;
  /** Starts the machines that ran when the cloud ended. A failed start is reported by the resource. */
  resumeMachines(): Promise<void>;
  /** Resources read since the start: the cost of requests. */
  rowsRead(): number;
  /** Stops all work and the machines' programs; both resume at the next start. */
  haltMachines(): Promise<void>;
  kill(): void;
  close(): Promise<void>;
}

const API_VERSIONS = Object.fromEntries(TYPES.map(({ name, apiVersion }) => [name.toLowerCase(), apiVersion]));
const REGIONS = ["westeurope", "northeurope"] as const;

export async function startResourceManager<Program extends MachineProgram = MachineProgram>(
  options: ResourceManagerOptions<Program>,
): Promise<ResourceManager<Program>> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const { token, now, subscriptionId, programs, pace } = options;
  const disks = await openDiskFiles(join(options.folder, "disks"));
  const machines = createMachines(join(options.folder, "machines"), programs);
  const file = options.persistence === "memory" ? undefined : join(options.folder, "resources.sqlite");
  const store = openStore(file, namesOf(TYPES));
  const server = await startServer(options, store);
  const switches = createSwitches(pace);
  const checkCommand: CloudFacts["checkCommand"] = (command) => machines.check(command);
  const facts = { url: server.url, regions: REGIONS, accounts: options.accounts, checkCommand, ...switches.facts };
  const past = createPast();
  const world = (): World => worldAt(now(), { store, types: TYPES, facts, newGuid: randomUUID, past });
  const runtime: Runtime = { disks, machines, world };
  const { reachability } = switches;
  const isReachable = (region: string): boolean => reachability(region) === true;
  const faults = createFaults(past);
  const operations = createOperations({ store, runtime, now, newGuid: randomUUID, pace, isReachable, faults });
  const engine = {
    store,
    types: TYPES,
    operations,
    faults,
    world,
    addresses: { url: server.url, secret: token, retryAfterSeconds: options.retryAfterSeconds },
    subscriptionId,
    pageCount: options.pageCount ?? ARM_PAGE_COUNT,
    reachability,
    past,
    others: (request: ArmRequest, at: World) => answerOther(request, at, TYPES),
  };
  if (store.isEmpty()) deploy(options.deployed ?? [], subscriptionId, (request) => handle(request, engine));
  const transaction = (work: () => void): void => store.transaction(work);
  const halt = async (): Promise<void> => {
    disks.close();
    await operations.close();
    await machines.close();
  };
  await bootMachines(runtime, transaction);
  operations.startWork();
  const downloadParts = (): DownloadParts => ({ store, world: world(), disks, reachability });
  server.open({
    answer: (request) => handle(request, engine),
    download: (request, response, url) => download(request, response, url, downloadParts()),
  });
  return {
    url: server.url,
    subscriptionId,
    token,
    apiVersions: API_VERSIONS,
    faults,
    ...switches.switches,
    machineOf: (id) => {
      store.transaction(() => operations.settleDue());
      const record = world().find(id);
      return record === undefined ? undefined : machines.find(vmIdOf(record));
    },
    resumeMachines: () => bringUpMachines(runtime, transaction, (key) => operations.isBusy(key)),
    rowsRead: () => store.rowsRead(),
    haltMachines: halt,
    kill: () => machines.kill(),
    close: async () => {
      await server.close();
      await halt();
      store.close();
    },
  };
}

type ServerOptions = Pick<ResourceManagerOptions, "port" | "tls" | "token">;

/** Closes the store on a failed start. */
async function startServer({ port, tls, token }: ServerOptions, store: ArmStore): Promise<ArmServer> {
  try {
    return await startArmServer({ port, tls, isToken: (given) => given === token });
  } catch (error) {
    store.close();
    throw error;
  }
}

interface DownloadParts {
  readonly store: ArmStore;
  readonly world: World;
  readonly disks: DiskFiles;
  readonly reachability: (region: string) => Reachability;
}

/** `/disk-access/{unique id}/abcd?...&sig=...`: from beginGetAccess. */
async function download(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  { store, world, disks, reachability }: DownloadParts,
): Promise<void> {
  const uniqueId = url.pathname.split("/")[2] ?? "";
  const record = store.withUniqueId(uniqueId);
  const reachable = record === undefined || reachability(record.location);
  if (reachable === "hangs") return;
  if (!reachable) return void response.destroy();
  const refuse = (status: number, code: string): void =>
    void response.writeHead(status, { "x-ms-error-code": code }).end();
  if (record === undefined || !isGranted(accessOf(record.hidden), url.searchParams.get("sig") ?? "", world.nowMs)) {
    return refuse(403, "AuthenticationFailed");
  }
  if ((request.method !== "GET" && request.method !== "HEAD") || url.searchParams.has("comp"))
    return refuse(501, "NotImplemented");
  const createdMs = Date.parse(String(record.body.properties["timeCreated"]));
  await serveVhd(request, response, { path: disks.path(uniqueId), uniqueId, createdMs });
}
