import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { systemPorts, type MobilityPorts } from "../../../mobility/service/ports.ts";
import { startMobility, type MobilityService } from "../../../mobility/service/service.ts";
import type { MobilityStatus } from "../../../mobility/service/status.ts";
import { parseConfig, type MobilityConfig } from "../../../mobility/system/config.ts";
import { startFakeCloud, type FakeCloud } from "../../mobility/fake-cloud.ts";
import { replay } from "../../mobility/replay.ts";
import { temporaryFolder } from "../../mobility/temporary.ts";

const MIB = 1024 * 1024;

/**
 * A source machine with two small disks, the cloud that it replicates to, and everything that outlives a mobility
 * service.
 */
export interface World {
  readonly folder: string;
  readonly cloud: FakeCloud;
  readonly socketPath: string;
  readonly configPath: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Image files in the order of the disks' ids. */
  readonly images: readonly string[];
  /** Log lines of all services started here. */
  readonly logs: string[];
  /** What the clock of the services says; tests set it. */
  clock: { now(): number };
  bootId: string;
  /** Starts the service, with other settings where the test gives some. */
  start(changes?: object): Promise<MobilityService>;
  image(index: number): Buffer;
  journalFiles(): readonly string[];
  spoolFiles(): readonly string[];
  /** Uploaded, and not yet applied at the target. */
  keptFiles(): readonly string[];
}

/**
 * `first` and `second` are what the disks hold before the first start (padded with zeros). The second one is listed
 * first, and so is the default export.
 */
export async function createWorld(
  options: {
    readonly first?: Buffer;
    readonly second?: Buffer;
    readonly epochMaxAgeMs?: number;
    readonly sizeBytes?: number;
    readonly settings?: object;
  } = {},
): Promise<World> {
  const folder = temporaryFolder();
  const cloud = await startFakeCloud();
  onTestFinished(() => cloud.stop());
  const images = ["a-data", "b-os"].map((id) => join(folder, `${id}.img`));
  for (const [index, path] of images.entries()) {
    writeFileSync(path, (index === 0 ? options.first : options.second) ?? Buffer.alloc(0));
    truncateSync(path, options.sizeBytes ?? 2 * MIB);
  }
  const socketPath = join(folder, "nbd.sock");
  const config = {
    itemId: "vm1",
    apiUrl: cloud.apiUrl,
    registrationToken: cloud.registrationToken,
    stateFolder: join(folder, "state"),
    machineId: "machine",
    disks: [
      { id: "b-os", path: images[1] },
      { id: "a-data", path: images[0] },
    ],
    nbd: { socketPath },
    epochMaxAgeMs: options.epochMaxAgeMs ?? 3_600_000,
    heartbeatMs: 250,
    ...options.settings,
  };
  const configPath = join(folder, "config.json");
  writeFileSync(configPath, JSON.stringify(config));
  const list = (name: string): readonly string[] => {
    const path = join(folder, "state", name);
    return existsSync(path) ? readdirSync(path).toSorted() : [];
  };
  const world: World = {
    folder,
    cloud,
    socketPath,
    configPath,
    config,
    images,
    logs: [],
    clock: { now: () => Date.now() },
    bootId: "boot-1",
    start: async (changes = {}) => {
      const system = systemPorts(
        (level, event, facts) => void world.logs.push(JSON.stringify({ level, event, ...facts })),
      );
      const clock = { ...system.clock, now: () => world.clock.now() };
      const ports: MobilityPorts = { ...system, clock, bootId: world.bootId };
      const service = await startMobility(parsedConfig({ ...config, ...changes }), ports);
      onTestFinished(async () => {
        await service.stop();
        ports.transport.close();
      });
      return service;
    },
    image: (index) => readFileSync(images[index] ?? ""),
    journalFiles: () => list("journal"),
    spoolFiles: () => list("spool"),
    keptFiles: () => list("kept"),
  };
  return world;
}

export function parsedConfig(config: object): MobilityConfig {
  return parseConfig(JSON.stringify(config));
}

/** Waits until the condition holds; fails with its text after half a minute. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  for (let left = 3000; left > 0; left -= 1) {
    if (holds()) return;
    await sleep(10);
  }
  throw new Error(`never happened: ${what}`);
}

/** Whether the disks that the cloud's deltas make equal the source's, disk by disk. */
export function sameDisks(world: World): readonly boolean[] {
  const { images } = replay(world.cloud.blobs);
  return images.map((image, index) => image.equals(world.image(index)));
}

/** What the service of this world last wrote into its status file. */
export function statusOf(world: World): MobilityStatus {
  return JSON.parse(readFileSync(join(world.folder, "state", "status.json"), "utf8")) as MobilityStatus;
}

export function noise(lengthBytes: number): Buffer {
  return randomBytes(lengthBytes);
}

/** Waits until everything that the disks hold is in the cloud. */
export async function uploaded(service: MobilityService): Promise<void> {
  await until("everything is uploaded", () => service.status().seeding.done && service.status().pendingBytes === 0);
}
