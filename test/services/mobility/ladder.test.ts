import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { MobilityService } from "../../../mobility/service/service.ts";
import { connectNbd, type TestClient } from "../../mobility/nbd-client.ts";
import { replay } from "../../mobility/replay.ts";
import { activityOf } from "./killed.ts";
import { createWorld, noise, sameDisks, until, uploaded, type World } from "./world.ts";

const MIB = 1024 * 1024;
/** Of util-linux; where they are missing or forbidden the test is skipped. */
const [MOUNT, UNMOUNT] = ["mount", "umount"] as const;

async function writeMany(client: TestClient, count: number, from = 0): Promise<void> {
  for (let index = 0; index < count; index += 1)
    await client.write(from + ((index * 97) % 64) * 16_384, noise(16_384), index % 50 === 0);
}

/** Flags of the deltas behind `before`: `seeding` until the last of them. */
function expectOnlyLastIsConsistent(world: World, before: number): void {
  const flags = replay(world.cloud.blobs)
    .headers.slice(before)
    .map((header) => header.flags.seeding);
  expect(flags).toEqual([...flags.slice(1).map(() => true), false]);
}

/**
 * Asks for it, and tells what the status said in every turn until the request was durable: by then all may have been
 * read.
 */
async function resynchronized(service: MobilityService, requestId: string): Promise<readonly object[]> {
  const said: object[] = [];
  const over = new AbortController();
  const asked = service.resynchronize(requestId).finally(() => over.abort());
  while (!over.signal.aborted) {
    await new Promise((resolve) => void setImmediate(resolve));
    said.push(service.status().resynchronization);
  }
  await asked;
  return said;
}

describe("back-pressure", () => {
  it("loses the log when the spool is full, never the guest, and brings only what the log missed when the uplink is back", async () => {
    const world = await createWorld({
      first: noise(16 * MIB),
      sizeBytes: 32 * MIB,
      epochMaxAgeMs: 50,
      settings: { spoolMaxBytes: 2 * MIB },
    });
    const service = await world.start();
    await uploaded(service);
    const complete = world.cloud.blobs.size;
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    world.cloud.onPut = () => 503;
    await writeMany(client, 40);
    const recorded = (await service.cut()).epoch;
    await writeMany(client, 200);
    const full = service.status();
    expect(full).toMatchObject({
      mode: "tracking",
      state: "running",
      resynchronization: { state: "required", reason: "spool-full" },
    });
    expect(full.dirtyBytes).toBeGreaterThan(0);
    expect(full.dirtyBytes).toBeLessThanOrEqual(64 * 16_384);
    expect(full.spoolBytes).toBeLessThanOrEqual(2 * MIB);
    await expect(service.cut()).rejects.toMatchObject({ code: "resynchronization-required" });
    await until(
      "the control plane is told",
      () =>
        (world.cloud.heartbeats.at(-1)?.["resynchronization"] as { state?: string } | undefined)?.state === "required",
    );
    const current = world.cloud.heartbeats.at(-1)?.["currentAtMs"];

    // What was recorded before the gap is a state of the source: it goes up as one, and old points stay good.
    world.cloud.onPut = undefined;
    await until("there is a log again", () => service.status().mode === "logging");
    await uploaded(service);
    const { headers } = replay(world.cloud.blobs);
    expect(headers.slice(complete, recorded).every((header) => !header.flags.seeding)).toBe(true);
    expect(service.status()).toMatchObject({ resynchronization: { state: "none" }, dirtyBytes: 0 });
    expect(sameDisks(world)).toEqual([true, true]);
    const gap = headers.findIndex((header, index) => index >= complete && header.flags.seeding);
    expectOnlyLastIsConsistent(world, gap);
    const resent = [...world.cloud.blobs.values()].slice(gap).reduce((sum, blob) => sum + blob.length, 0);
    expect(resent).toBeLessThan(3 * MIB);
    await until(
      "it is current again",
      () => Number(world.cloud.heartbeats.at(-1)?.["currentAtMs"]) > Number(current ?? 0),
    );
    await client.close();
  });

  it("is without a log after a stop too, and begins the next one with what it missed", async () => {
    const world = await createWorld({ first: noise(MIB), epochMaxAgeMs: 50, settings: { spoolMaxBytes: MIB } });
    const service = await world.start();
    await uploaded(service);
    const complete = world.cloud.blobs.size;
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    world.cloud.onPut = () => 503;
    await writeMany(client, 120);
    await client.close();
    await service.stop();
    expect(activityOf(world)).toEqual({ kind: "tracking", reason: "spool-full" });
    // The stop was clean: the machine may go down as well.
    world.bootId = "boot-2";
    world.cloud.onPut = undefined;
    const again = await world.start();
    expect(again.status().mode).toBe("tracking");
    await until("there is a log again", () => again.status().mode === "logging");
    await uploaded(again);
    expect(sameDisks(world)).toEqual([true, true]);
    const flags = replay(world.cloud.blobs).headers.map((header) => header.flags.seeding);
    expect(flags.slice(complete)).toContain(true);
    expect(flags.at(-1)).toBe(false);
  });

  it("reads all disks again on request, once for each request", async () => {
    const world = await createWorld({ first: noise(MIB), second: noise(MIB), epochMaxAgeMs: 50 });
    const service = await world.start();
    await uploaded(service);
    const complete = world.cloud.blobs.size;
    const running = expect.objectContaining({ state: "running", reason: "requested", totalBytes: 4 * MIB });
    expect(await resynchronized(service, "request-1")).toContainEqual(running);
    await service.resynchronize("request-1");
    await uploaded(service);
    await uploaded(service);
    expectOnlyLastIsConsistent(world, complete);
    expect(sameDisks(world)).toEqual([true, true]);
    await service.stop();
    const after = world.cloud.blobs.size;
    const again = await world.start();
    await again.resynchronize("request-1");
    expect(again.status()).toMatchObject({ seeding: { done: true }, resynchronization: { state: "none" } });
    expect(world.cloud.blobs.size).toBe(after);
    expect(await resynchronized(again, "request-2")).toContainEqual(running);
    await uploaded(again);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("initial replication goes on where it stood, under writes, with zeros left out", async () => {
    const world = await createWorld({
      first: Buffer.concat([noise(24 * MIB), Buffer.alloc(8 * MIB), noise(8 * MIB)]),
      sizeBytes: 64 * MIB,
      epochMaxAgeMs: 30,
      settings: { seedBytesPerSecond: 32 * MIB },
    });
    const service = await world.start();
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    for (let round = 0; service.status().dirtyBytes > 112 * MIB; round += 1)
      await client.write(((round * 37) % 640) * 65_536, noise(4096));
    await client.close();
    expect(service.status().seeding.timeLeftMs).toBeGreaterThan(0);
    await service.stop();
    const again = await world.start();
    const { doneBytes, totalBytes } = again.status().seeding;
    expect(totalBytes).toBe(128 * MIB);
    expect(doneBytes).toBeGreaterThanOrEqual(15 * MIB);
    await uploaded(again);
    expect(sameDisks(world)).toEqual([true, true]);
    expect([...world.cloud.blobs.values()].reduce((sum, blob) => sum + blob.length, 0)).toBeLessThan(48 * MIB);
  });
});

describe("a full file system", () => {
  const small = mountsSmallDisks();
  it.skipIf(!small)(
    `holds neither the guest nor the way out of it up: spool and state share a disk of 12 MiB that others fill${small ? "" : " (needs the right to mount)"}`,
    async () => {
      const world = await createWorld({ first: noise(MIB), sizeBytes: 8 * MIB, epochMaxAgeMs: 50 });
      const state = join(world.folder, "state");
      mkdirSync(state);
      mountSmallDisk(state);
      onTestFinished(() => void execFileSync(UNMOUNT, ["--lazy", state]));
      const service = await world.start();
      await uploaded(service);
      const client = await connectNbd({ path: world.socketPath }, "a-data");
      world.cloud.onPut = () => 503;
      // Every write of it takes room of its own, sealed or not.
      for (let index = 0; index < 200; index += 1)
        await client.write(4 * MIB + index * 16_384, noise(16_384), index % 50 === 0);
      // Somebody else takes the rest, in ever smaller pieces, until not a page is left.
      const rest = join(state, "of-somebody-else");
      for (let piece = 64 * 1024; piece >= 4096; piece /= 2) fill(rest, piece);
      await writeMany(client, 400, MIB);
      await until("there is no log", () => service.status().mode === "tracking");
      await writeMany(client, 60, 4 * MIB);
      expect(service.status().state).toBe("running");
      // The uplink alone makes room.
      world.cloud.onPut = undefined;
      await until("there is a log again", () => service.status().mode === "logging");
      await client.close();
      await uploaded(service);
      expect(sameDisks(world)).toEqual([true, true]);
      expect(replay(world.cloud.blobs).headers.at(-1)?.flags.seeding).toBe(false);
    },
  );
});

function fill(path: string, pieceBytes: number): void {
  try {
    for (;;) writeFileSync(path, Buffer.alloc(pieceBytes, 1), { flag: "a" });
  } catch {
    // Full.
  }
}

function mountSmallDisk(path: string): void {
  execFileSync(MOUNT, ["-t", "tmpfs", "-o", "size=12m", "leeward-test", path], { stdio: "ignore" });
}

/** Containers and ordinary users often may not. */
function mountsSmallDisks(): boolean {
  const path = join("/tmp", `lw-mount-${process.pid}`);
  try {
    mkdirSync(path);
    mountSmallDisk(path);
    execFileSync(UNMOUNT, [path]);
    return true;
  } catch {
    return false;
  } finally {
    try {
      execFileSync("rmdir", [path], { stdio: "ignore" });
    } catch {
      // It was never made.
    }
  }
}
