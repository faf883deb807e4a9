import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { heartbeatRequest } from "../../mobility/service/report.ts";
import { openService, type OpenedService } from "../../mobility/service/service.ts";
import { parseConfig } from "../../mobility/system/config.ts";
import type { HttpAnswer } from "../../mobility/system/transport.ts";
import { decodeDelta } from "../../replication/delta/decode.ts";
import { hasCode } from "../../replication/errors.ts";
import { deltaName } from "../../replication/names.ts";
import { startPosition, type DiskDescription } from "../../replication/position.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";
import {
  createServiceProcess,
  type CarriedRequest,
  type ServiceMachine,
  type ServiceProcess,
} from "../memory/service-process.ts";
import { createVirtualTime } from "../memory/virtual-time.ts";
import { NONCE, replay } from "./replay.ts";

/** `LEEWARD_HISTORIES=1000` looks further. */
const SEEDS = Number(process.env["LEEWARD_HISTORIES"] ?? 20);
const DISK_BYTES = 256 * 1024;
const CONFIG = parseConfig(
  JSON.stringify({
    itemId: "vm1",
    apiUrl: "http://127.0.0.1:1/api",
    registrationToken: "one-time-token",
    stateFolder: "/var/leeward/state",
    machineId: "machine",
    disks: [{ id: "disk", path: "/dev/disk.img" }],
    nbd: { socketPath: "/run/never.sock" },
  }),
);

const DISKS: readonly DiskDescription[] = [{ id: "disk", sizeBytes: DISK_BYTES, sectorSizeBytes: 512 }];
const opened = (disks: readonly DiskDescription[]): object => ({
  stream: 1,
  start: startPosition("vm1", 1, disks, NONCE),
  nonce: NONCE,
  ticket: "ticket",
  cacheEndpoint: "https://cache.example",
});

/** What the service sees of control plane and cache. */
function createCloud(blobs: Map<string, Buffer>): (request: CarriedRequest) => HttpAnswer {
  const json = (status: number, value: object): HttpAnswer => ({ status, headers: {}, body: JSON.stringify(value) });
  return ({ method, url, headers, body }) => {
    if (method === "PUT") {
      const name = url.pathname.replace("/cache/", "");
      if (headers["content-md5"] !== createHash("md5").update(body).digest("base64"))
        return { status: 400, headers: { "x-ms-error-code": "Md5Mismatch" }, body: "" };
      if (blobs.has(name)) return { status: 409, headers: { "x-ms-error-code": "BlobAlreadyExists" }, body: "" };
      blobs.set(name, body);
      return { status: 201, headers: {}, body: "" };
    }
    const sent = JSON.parse(body.toString("utf8")) as Readonly<Record<string, unknown>>;
    if (url.pathname.endsWith("/register")) return json(200, opened(sent["disks"] as readonly DiskDescription[]));
    if (url.pathname.endsWith("/settle")) {
      const blob = blobs.get(deltaName(Number(sent["stream"]), Number(sent["epoch"])));
      const isSame = blob !== undefined && decodeDelta(blob).end.checksum === sent["checksum"];
      return json(200, { outcome: isSame ? "same" : "other" });
    }
    const upload = { containerUrl: "https://cache.example/cache?sig=x", expiresMs: 1e15 };
    return json(200, { ...opened(DISKS), upload, applied: sent["uploaded"], intervalMs: 10_000 });
  };
}

/**
 * A machine with one disk, its service on the model of the medium and on virtual time, and a network that loses what it
 * likes.
 */
class MemoryMachine {
  readonly random;
  readonly time;
  readonly medium;
  readonly blobs = new Map<string, Buffer>();
  readonly events: string[] = [];
  lossChance = 0.2;
  boots = 1;
  process: ServiceProcess | undefined;
  readonly #machine: ServiceMachine;

  constructor(seed: number) {
    const random = createRandom(seed);
    const time = createVirtualTime(1_750_000_000_000, random);
    this.medium = createMemoryMedium({ random, schedule: (work) => time.soon(work, 3), shortWriteChance: 0.05 });
    this.random = random;
    this.time = time;
    this.medium.put("/dev/disk.img", Buffer.alloc(DISK_BYTES, 7));
    const cloud = createCloud(this.blobs);
    this.#machine = {
      random,
      time,
      medium: this.medium,
      log: (_, event) => void this.events.push(event),
      network: async (request) => {
        const pass = (): Promise<void> => new Promise((resolve) => time.soon(resolve, 50));
        await pass();
        if (random.chance(this.lossChance)) throw new Error("ECONNRESET");
        const answer = cloud(request);
        await pass();
        if (random.chance(this.lossChance)) throw new Error("ECONNRESET");
        return answer;
      },
    };
  }

  get isAlive(): boolean {
    return this.process?.medium.isAlive === true;
  }

  /** The service, or undefined when it died at its start. */
  async open(): Promise<OpenedService | undefined> {
    const process = createServiceProcess(this.#machine, `boot-${this.boots}`);
    this.process = process;
    let service: OpenedService | undefined;
    let failure: unknown;
    openService(CONFIG, process.ports).then(
      (opened) => (service = opened),
      (error: unknown) => (failure = error),
    );
    await this.time.until(() => service !== undefined || failure !== undefined || !process.medium.isAlive);
    // The first registration gives up after some attempts.
    if (hasCode(failure, "control-unavailable")) return undefined;
    if (process.medium.isAlive && failure !== undefined) throw failure;
    return process.medium.isAlive ? service : undefined;
  }

  die(power: boolean): void {
    this.process?.kill();
    if (!power) return;
    this.medium.cutPower();
    this.boots += 1;
  }

  get image(): Buffer {
    return this.medium.get("/dev/disk.img") ?? Buffer.alloc(0);
  }
}

const isUploaded = (service: OpenedService): boolean => {
  const { pendingBytes, resynchronization, seeding, sealed, uploaded } = service.status();
  return seeding.done && pendingBytes === 0 && resynchronization.state === "none" && sealed.epoch === uploaded.epoch;
};

/**
 * How often the service says that nothing waits, after the last write of a guest that writes now and then: each time
 * that is true.
 */
async function currentWhileWriting(machine: MemoryMachine, service: OpenedService): Promise<number> {
  const { random, time } = machine;
  let count = 0;
  for (let write = 0; write < 3; write += 1) {
    const wroteMs = time.nowMs;
    await service.volumes[0]?.write(512 * random.below(64), Buffer.alloc(512, random.below(256)), false);
    let known = -1;
    for (let steps = 0; steps < 60; steps += 1) {
      const { currentAtMs = 0 } = await heartbeatRequest(service.parts);
      if (currentAtMs > wroteMs && known !== machine.blobs.size) {
        known = machine.blobs.size;
        count += 1;
        expect(replay(machine.blobs).images[0]?.equals(machine.image)).toBe(true);
      }
      await time.step();
    }
  }
  return count;
}

async function uploadedBy(machine: MemoryMachine, service: OpenedService): Promise<void> {
  await machine.time.until(() => isUploaded(service));
  expect(service.status()).toMatchObject({
    state: "running",
    mode: "logging",
    pendingBytes: 0,
    resynchronization: { state: "none" },
  });
  expect(replay(machine.blobs).images[0]?.equals(machine.image)).toBe(true);
}

/** Six lives that end at any moment, then all comes to the cloud, and a clean stop leaves nothing to do. */
async function history(seed: number): Promise<void> {
  const machine = new MemoryMachine(seed);
  const { random, time } = machine;
  for (let life = 0; life < 6; life += 1) {
    const service = await machine.open();
    if (service !== undefined) {
      const power = random.chance(0.5);
      machine.process?.medium.dieAfter(random.below(300), power ? "power" : "kill");
      const [volume] = service.volumes;
      for (let count = random.below(30); count > 0 && machine.isAlive; count -= 1) {
        const at = 512 * random.below(DISK_BYTES / 512 - 8);
        const write = async (): Promise<void> =>
          volume?.write(at, Buffer.alloc(4096, random.below(256)), random.chance(0.2));
        let over = false;
        write().then(
          () => (over = true),
          () => (over = true),
        );
        if (!(await time.until(() => over || !machine.isAlive))) throw new Error("a write is never answered");
        for (let steps = random.below(20); steps > 0; steps -= 1) await time.step();
      }
      if (machine.isAlive) machine.die(power);
      else if (power) machine.boots += 1;
    }
    machine.process?.kill();
  }
  machine.lossChance = 0;
  const service = await machine.open();
  if (service === undefined) throw new Error("nothing kills the last one");
  await uploadedBy(machine, service);
  expect(await currentWhileWriting(machine, service)).toBeGreaterThan(0);
  await uploadedBy(machine, service);
  await time.finish(service.stop());
  expect(machine.process?.medium.openPaths).toEqual([]);
  machine.process?.kill();
  const deltas = machine.blobs.size;
  const again = await machine.open();
  if (again === undefined) throw new Error("nothing kills the last one");
  for (let steps = 500; steps > 0; steps -= 1) await time.step();
  expect([isUploaded(again), machine.blobs.size]).toEqual([true, deltas]);
}

describe("the whole service in memory", () => {
  it("replicates through a network that loses things, deaths at any operation and clean stops", async () => {
    for (let seed = 0; seed < SEEDS; seed += 1) await expect(history(seed), `seed ${seed}`).resolves.toBeUndefined();
  }, 900_000);
});
