import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlobClient, BlobServiceClient } from "@azure/storage-blob";
import type { EventSwitches } from "@leeward/azure-local/events";
import { afterAll } from "vitest";
import { createClient } from "../../../api/client.ts";
import type { Told } from "../../../api/operation.ts";
import type { protectedItem } from "../../../api/protected-items.ts";
import type { recoveryPoint } from "../../../api/recovery-points.ts";
import { seededRandom } from "../../../local/lab/random.ts";
import { startCloud, type Cloud } from "../../../local/supervisor/cloud.ts";
import { type MobilityOptions, startMobility } from "../../../local/supervisor/mobility-service.ts";
import { FREE_PORTS } from "../../../local/supervisor/ports.ts";
import { hostProgram, mobilityProgram } from "../../../local/supervisor/programs.ts";
import { startMovedMobility } from "./moved-service.ts";
import { Source, type SourceDisk } from "./source.ts";
import { until } from "./until.ts";
import { diskOfVhd } from "./write-log.ts";

const MIB = 1024 * 1024;
export const ITEM = "whole-vm";
/** `FC_SEED=<seed>` runs the whole set with other writes and other moments. */
export const SEED = Number(process.env["FC_SEED"] ?? 1);
/** Timers as short as NCRONTAB can say them, so that a test need not wait for a minute. */
export const SCHEDULES = { points: "*/1 * * * * *", sweep: "*/2 * * * * *" } as const;
/** A point after every second: the shortest interval that the API takes. */
const POINT_INTERVAL_MINUTES = 1 / 60;
const EPOCH_MAX_AGE_MS = 150;
const HEARTBEAT_MS = 300;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON, undefined when it is none. */
  readonly body: unknown;
}

export interface CallOptions {
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Instead of the right one; empty for none. */
  readonly key?: string;
}

/** One that can be used. */
export type Point = Told<typeof recoveryPoint>;

/** An operator's view of one function app: nothing but its HTTP API, and the addresses that it grants. */
export interface Operator {
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Answer>;
  protect(
    disks: readonly { readonly id: string; readonly sizeBytes: number }[],
    item?: string,
  ): Promise<string | undefined>;
  /** Newest first. */
  points(item?: string): Promise<readonly Point[]>;
  item(item?: string): Promise<ItemView>;
  /** Restores a point through the API and downloads its disks, as raw bytes. */
  restore(point: Point, disks: readonly SourceDisk[]): Promise<readonly Buffer[]>;
  /** Waits for a point that holds this epoch of the stream, the first one without a number. */
  pointOf(epoch: number, stream?: number): Promise<Point>;
}

/** An item that replicates. */
export type ItemView = Told<typeof protectedItem> & {
  readonly [Name in ReplicationField]: NonNullable<Told<typeof protectedItem>[Name]>;
};
type ReplicationField = "stream" | "applied" | "replicationHealth" | "healthErrors";

export interface World {
  readonly folder: string;
  readonly cloud: Cloud;
  readonly operator: Operator;
  /** Protects the machine and starts it: two small disks of which the second is no whole number of MiB. */
  readonly startSource: (options?: SourceOptions) => Promise<Source>;
}

interface SourceOptions {
  /** In place of the function app's own address, with `/api`. */
  readonly apiUrl?: string;
  /** Holds the milliseconds by which the machine's clock is off. */
  readonly clockFile?: string;
  /** Settings of the mobility service that the test gives. */
  readonly service?: Partial<MobilityOptions>;
}

/**
 * Where to say what has to be undone in the end, backwards: `onTestFinished` of the test's own context, because tests
 * that mostly wait run side by side, or `onSuiteEnd()` for a world that several tests share.
 */
export type OnEnd = (undo: () => Promise<void>) => void;

/**
 * Call it in the body of a `describe`: within a hook, where worlds are made, it is too late to register another hook.
 */
export function onSuiteEnd(): OnEnd {
  const undos: (() => Promise<void>)[] = [];
  afterAll(async () => {
    for (const undo of undos.toReversed()) await undo();
  });
  return (undo) => void undos.push(undo);
}

/** A fresh folder that goes when the test ends. */
export async function temporaryFolder(onEnd: OnEnd): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-whole-"));
  onEnd(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The whole local cloud on disk, with a real function app as a child; everything stops when the test ends. */
export async function startWorld(
  onEnd: OnEnd,
  eventSwitches: Partial<EventSwitches> = {},
  appEnvironment: Readonly<Record<string, string>> = {},
): Promise<World> {
  requireBuild();
  const folder = await temporaryFolder(onEnd);
  const random = seededRandom(SEED);
  const cloud = await startCloud({
    folder: join(folder, "cloud"),
    ports: FREE_PORTS,
    persistence: "disk",
    schedules: SCHEDULES,
    random: () => random.next(),
    eventSwitches,
    appEnvironment,
  });
  onEnd(() => cloud.stop());
  const operator = operatorOf(cloud.app.url, cloud.secrets.functionKey);
  return {
    folder,
    cloud,
    operator,
    startSource: (options = {}) =>
      startSource({ folder, operator, apiUrl: `${cloud.app.url}/api`, logFolder: cloud.logFolder, onEnd, ...options }),
  };
}

/** Protects the machine, and starts its mobility service: as an operator and an installer do it. */
export async function startSource(where: {
  readonly folder: string;
  readonly operator: Operator;
  readonly apiUrl: string;
  readonly logFolder: string;
  readonly onEnd: OnEnd;
  readonly clockFile?: string | undefined;
  readonly service?: Partial<MobilityOptions>;
}): Promise<Source> {
  const { clockFile } = where;
  const disks = await makeDisks(where.folder);
  const service: MobilityOptions = {
    itemId: ITEM,
    apiUrl: where.apiUrl,
    registrationToken: await where.operator.protect(disks),
    disks: disks.map(({ id, path }) => ({ id, path })),
    folder: join(where.folder, "vm"),
    logFolder: where.logFolder,
    nbdPort: undefined,
    epochMaxAgeMs: EPOCH_MAX_AGE_MS,
    heartbeatMs: HEARTBEAT_MS,
    ...where.service,
  };
  const source = await Source.start(disks, SEED, () =>
    clockFile === undefined ? startMobility(service) : startMovedMobility(service, clockFile),
  );
  where.onEnd(() => source.stop());
  return source;
}

/** Two disks with content from the start. */
async function makeDisks(folder: string): Promise<readonly SourceDisk[]> {
  const disks: SourceDisk[] = [];
  for (const [id, sizeBytes] of [
    ["system", 2 * MIB],
    ["data", MIB - 512 * 7],
  ] as const) {
    const path = join(folder, `${id}.img`);
    const content = Buffer.alloc(sizeBytes);
    // The last quarter stays empty, as on a disk that is not full.
    seededRandom(SEED, sizeBytes).fill(content.subarray(0, (sizeBytes * 3) / 4));
    await writeFile(path, content);
    disks.push({ id, path, sizeBytes });
  }
  return disks;
}

export function requireBuild(): void {
  for (const program of [hostProgram(), mobilityProgram()]) {
    if (!existsSync(program))
      throw new Error(`These tests start the built programs, and ${program} is missing. Run: npm run build`);
  }
}

/** Speaks to the function app at `url` (without `/api`). */
export function operatorOf(url: string, functionKey: string): Operator {
  const call = async (method: string, path: string, options: CallOptions = {}): Promise<Answer> => {
    const {
      body,
      raw = body === undefined ? undefined : JSON.stringify(body),
      headers = {},
      key = functionKey,
    } = options;
    const answer = await fetch(path.startsWith("/") ? `${url}${path}` : `${url}/api/${path}`, {
      method,
      headers: { ...(key === "" ? {} : { "x-functions-key": key }), ...headers },
      ...(raw === undefined ? {} : { body: raw }),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, body: parseJson(text) };
  };
  const client = createClient({ url, functionKey });
  const operator: Operator = {
    call,
    protect: async (disks, item = ITEM) => {
      const policy = { crashConsistentFrequencyInMinutes: POINT_INTERVAL_MINUTES };
      const given = disks.map(({ id, sizeBytes }) => ({ id, sizeBytes }));
      const { status, body } = await client.protectItem({ item, body: { disks: given, policy } });
      return status === 201 ? body.registrationToken : undefined;
    },
    points: async (item = ITEM) =>
      (await client.listRecoveryPoints({ item })).body.value.flatMap((point) => ("damaged" in point ? [] : [point])),
    item: async (item = ITEM) => {
      const { body } = await client.showItem({ item });
      const { stream, applied, replicationHealth, healthErrors } = body;
      if (
        stream === undefined ||
        applied === undefined ||
        replicationHealth === undefined ||
        healthErrors === undefined
      )
        throw new Error(`${item} does not replicate: ${JSON.stringify(body)}`);
      return { ...body, stream, applied, replicationHealth, healthErrors };
    },
    restore: async (point, disks) => {
      const begun = await client.restoreRecoveryPoint({ item: ITEM, point: point.name });
      const names = { item: ITEM, restore: begun.body.name };
      await until(`the restore of ${point.name} succeeds`, async () => {
        const { state, error } = (await client.showRestore(names)).body;
        if (state === "Failed") throw new Error(`the restore failed: ${JSON.stringify(error)}`);
        return state === "Succeeded" ? true : undefined;
      });
      const granted = (await client.grantRestoreAccess(names)).body;
      const found: Buffer[] = [];
      for (const { id, sizeBytes } of disks) {
        const address = granted.value.find((each) => each.id === id)?.url;
        if (address === undefined) throw new Error(`no access to the restored disk ${id} was granted`);
        found.push(diskOfVhd(await new BlobClient(address).downloadToBuffer(), sizeBytes));
      }
      return found;
    },
    pointOf: (epoch, stream = 1) =>
      until(`a point of stream ${stream} holds epoch ${epoch}`, async () =>
        (await operator.points()).find(({ position }) => position.stream === stream && position.epoch >= epoch),
      ).catch(async (cause: unknown) => {
        throw new Error(`no point holds epoch ${epoch}: ${JSON.stringify(await operator.item())}`, { cause });
      }),
  };
  return operator;
}

/**
 * Restores the points side by side and holds each against the model: the counts of writes that it may show. Fails when
 * one is no prefix of the writes over both disks together (rule 1).
 */
export async function proven(
  operator: Operator,
  source: Source,
  points: readonly Point[],
): Promise<readonly (readonly number[])[]> {
  return Promise.all(
    points.map(async (point) => {
      const prefixes = source.log.prefixesOf(await operator.restore(point, source.disks));
      if (prefixes.length === 0)
        throw new Error(`seed ${SEED}: the point ${point.name} of epoch ${point.position.epoch} is no prefix`);
      return prefixes;
    }),
  );
}

/** The account of the local cloud, with its own key: what an attacker with the key, or a confused operator, can do. */
export function blobsOf(cloud: Cloud, account: string): BlobServiceClient {
  return BlobServiceClient.fromConnectionString(cloud.storage.account(account).connectionString);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
