import { rm, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TopicSubscription } from "@leeward/azure-local/events/topic";
import { prepareVm } from "./lab/vm.ts";
import { startAttachedGuest, type AttachedGuest } from "./start/attached-guest.ts";
import { guideText } from "./start/guide.ts";
import { parseStartOptions, type StartOptions } from "./start/options.ts";
import { ownVm } from "./start/own-disks.ts";
import { statusLine } from "./start/status-line.ts";
import { startCloud, type Cloud } from "./supervisor/cloud.ts";
import { exitWith } from "./supervisor/exit.ts";
import { Interrupted, onInterrupt, type Interrupt } from "./supervisor/interrupt.ts";
import { lockFolder } from "./supervisor/lock.ts";
import type { MobilityService } from "./supervisor/mobility-service.ts";
import { operatorApi } from "./supervisor/operator-api.ts";
import { protectVm } from "./supervisor/protect-vm.ts";
import { CONNECTION_FILE, STATE_FOLDER } from "./supervisor/state-folder.ts";

const LAB_ITEM = "lab-vm";
const LAB_SEED = 20_260_101;
/** Enough to watch epochs and points appear, little enough to run for days. */
const RECORDS_PER_SECOND = 5;
const SCHEDULES = { points: "*/10 * * * * *", sweep: "*/30 * * * * *" };
const POINT_INTERVAL_MINUTES = 1;
const EPOCH_MAX_AGE_MS = 5000;
const HEARTBEAT_MS = 5000;
const STATUS_MS = 5000;
/** A tenth of Azure's time: enough to watch operations run. */
const RESOURCE_MANAGER_PACE = 0.1;

/** The replicated VM: the lab's or the user's. */
interface StartedVm {
  readonly itemId: string;
  readonly disks: readonly { readonly id: string; readonly path: string; readonly sizeBytes: number }[];
  readonly folder: string;
}

/** `npm start`: the local cloud on fixed ports, its state in `.leeward/`, until Ctrl-C. */
async function start(): Promise<void> {
  const options = parseStartOptions(process.argv.slice(2));
  const folder = resolve(STATE_FOLDER);
  // The user's images are checked before anything starts.
  const own = options.images.length === 0 ? undefined : await ownVm(options.images);
  const unlock = await lockFolder(folder);
  const interrupt = onInterrupt();
  try {
    const vm: StartedVm =
      own === undefined
        ? { itemId: LAB_ITEM, disks: await labDisks(folder), folder: join(folder, "vm") }
        : { ...own, folder: join(folder, own.itemId) };
    say("Starting the local cloud ...");
    const cloud = await startCloud({
      folder,
      ports: options.ports,
      persistence: "disk",
      schedules: SCHEDULES,
      random: Math.random,
      resourceManager: { pace: RESOURCE_MANAGER_PACE, retryAfterSeconds: 1 },
      topicSubscriptions: webhookSubscriptions(options.eventWebhook),
      say: notice,
      signal: interrupt.signal,
    });
    interrupt.killWith(() => cloud.kill());
    try {
      await replicate(cloud, vm, options, interrupt);
    } finally {
      say("\nStopping ...");
      await cloud.stop();
    }
  } catch (error) {
    // Ctrl-C is the normal end of this program.
    if (!(error instanceof Interrupted)) throw error;
    say("Stopped. The state stays in .leeward/; npm run reset empties it.");
  } finally {
    await rm(join(folder, CONNECTION_FILE), { force: true });
    await unlock();
  }
}

function webhookSubscriptions(url: string | undefined): readonly TopicSubscription[] {
  return url === undefined ? [] : [{ name: "webhook", destination: { kind: "webhook", url } }];
}

async function labDisks(folder: string): Promise<StartedVm["disks"]> {
  return prepareVm({ folder: join(folder, "vm"), seed: LAB_SEED });
}

async function replicate(cloud: Cloud, vm: StartedVm, options: StartOptions, interrupt: Interrupt): Promise<void> {
  const mobility = await interrupt.race(
    protectVm(cloud, {
      itemId: vm.itemId,
      disks: vm.disks,
      folder: shortPath(vm.folder),
      crashConsistentFrequencyInMinutes: POINT_INTERVAL_MINUTES,
      epochMaxAgeMs: EPOCH_MAX_AGE_MS,
      heartbeatMs: HEARTBEAT_MS,
      nbdPort: options.ports.nbd,
    }),
  );
  const connectionFile = await writeConnection(cloud, vm, resolve(STATE_FOLDER));
  const diskIds = vm.disks.map((disk) => disk.id);
  say(guideText({ cloud, mobility, itemId: vm.itemId, diskIds, connectionFile, writer: options.writer }));
  if (!options.writer) return watch(cloud, mobility, vm.itemId, undefined, interrupt);
  const guest = await startAttachedGuest({
    address: mobility.address,
    disks: vm.disks,
    seed: () => Date.now(),
    recordsPerSecond: RECORDS_PER_SECOND,
    signal: interrupt.signal,
    say: notice,
  });
  try {
    await Promise.race([watch(cloud, mobility, vm.itemId, guest, interrupt), guest.done]);
  } finally {
    // Ctrl-C has stopped it, and its disks go last.
    if (interrupt.signal.aborted) await guest.done;
  }
}

/** Shows the state every few seconds until Ctrl-C. Restarts dead children; reports those that stay down. */
async function watch(
  cloud: Cloud,
  mobility: MobilityService,
  itemId: string,
  guest: AttachedGuest | undefined,
  interrupt: Interrupt,
): Promise<void> {
  const api = operatorApi(cloud.app.url, cloud.secrets.functionKey);
  for (;;) {
    const states = { app: cloud.app.state, mobility: mobility.state };
    const seedingPercentage = seedingOf(await mobility.status());
    show(
      await interrupt.race(
        statusLine({ api, itemId, states, seedingPercentage, guestRecords: guest?.records, nowMs: Date.now() }),
      ),
    );
    await interrupt.race(sleep(STATUS_MS, undefined, { ref: true }));
  }
}

/** Address and keys for the command line and other tools: readable by the user only, removed when the cloud stops. */
async function writeConnection(cloud: Cloud, vm: StartedVm, folder: string): Promise<string> {
  const path = join(folder, CONNECTION_FILE);
  const storage = Object.fromEntries(
    cloud.storage.accounts.map(({ name, connectionString }) => [name, connectionString]),
  );
  const { url: armUrl, subscriptionId, token } = cloud.resourceManager;
  const resourceManager = { url: armUrl, subscriptionId, token };
  const connection = {
    url: cloud.app.url,
    functionKey: cloud.secrets.functionKey,
    item: vm.itemId,
    storage,
    resourceManager,
  };
  const text = JSON.stringify(connection, undefined, 2);
  await rm(path, { force: true });
  await writeFile(path, `${text}\n`, { mode: 0o600 });
  return path;
}

/**
 * A unix socket's path has at most 107 bytes; below a deep folder the relative path is shorter than the absolute one.
 */
function shortPath(folder: string): string {
  return Buffer.byteLength(join(folder, "nbd.sock")) <= 107 ? folder : relative(".", folder);
}

function seedingOf(status: Readonly<Record<string, unknown>> | undefined): number | undefined {
  const seeding = status?.["seeding"] as
    | { readonly doneBytes: number; readonly totalBytes: number; readonly done: boolean }
    | undefined;
  if (seeding === undefined || seeding.done || seeding.totalBytes === 0) return undefined;
  return Math.floor((seeding.doneBytes * 100) / seeding.totalBytes);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Prints a separate line beside the status line. */
function notice(text: string): void {
  process.stdout.write(process.stdout.isTTY ? `\r\u001B[2K  ${text}\n` : `  ${text}\n`);
}

/** On a terminal, one line that is overwritten; elsewhere, a new line each time. */
function show(line: string): void {
  process.stdout.write(
    process.stdout.isTTY ? `\r\u001B[2K  ${line.slice(0, (process.stdout.columns ?? 120) - 3)}` : `  ${line}\n`,
  );
}

await exitWith(start);
