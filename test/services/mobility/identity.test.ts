import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { connectNbd } from "../../mobility/nbd-client.ts";
import { createWorld, noise, sameDisks, until, uploaded, type World } from "./world.ts";

async function write(world: World): Promise<void> {
  const client = await connectNbd({ path: world.socketPath });
  await client.write(4096, noise(4096));
  await client.close();
}

const sessionIds = (world: World): readonly string[] => [
  ...new Set(world.cloud.heartbeats.map((beat) => String(beat["sessionId"]))),
];

describe("the session of a mobility service", () => {
  it("P4: reads and uploads nothing before a heartbeat grants it a session, and serves its disks meanwhile", async () => {
    const world = await createWorld({ first: noise(100_000) });
    world.cloud.refusal = { status: 409, code: "session-taken", facts: { leaseLeftMs: 100 } };
    const service = await world.start();
    await write(world);
    await service.cut();
    await until("it has asked some times", () => world.cloud.heartbeats.length >= 3);
    expect(service.status()).toMatchObject({
      state: "running",
      identity: { state: "waiting" },
      seeding: { doneBytes: 0 },
      spoolCount: 1,
    });
    expect(service.status().lastError?.code).toBe("session-taken");
    expect(world.cloud.puts).toEqual([]);
    world.cloud.refusal = undefined;
    await uploaded(service);
    expect(service.status().identity.state).toBe("granted");
    expect(sameDisks(world)).toEqual([true, true]);
    // Waiting is said once, however often it asks.
    expect(world.logs.filter((line) => line.includes("session-taken"))).toHaveLength(1);
  });

  it("P4: stops uploading when another service has the session, and goes on when it is granted again", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    world.cloud.refusal = { status: 409, code: "session-taken", facts: { leaseLeftMs: 100 } };
    await until("it waits", () => service.status().identity.state === "waiting");
    const puts = world.cloud.puts.length;
    await write(world);
    await service.cut();
    const beats = world.cloud.heartbeats.length;
    await until("it has asked again", () => world.cloud.heartbeats.length >= beats + 2);
    expect([world.cloud.puts.length, world.spoolFiles().length]).toEqual([puts, 1]);
    world.cloud.refusal = undefined;
    await uploaded(service);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("P4: a delta whose upload fails is not tried on without a session", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    world.cloud.onPut = () => 503;
    await write(world);
    await service.cut();
    await until("the cache has failed", () => world.cloud.puts.includes(503));
    world.cloud.refusal = { status: 409, code: "session-taken", facts: { leaseLeftMs: 100 } };
    await until("it waits", () => service.status().identity.state === "waiting");
    await until("the attempt under way has ended", () => service.status().spoolCount === 1);
    const puts = world.cloud.puts.length;
    await sleep(1200);
    expect(world.cloud.puts.length).toBeLessThanOrEqual(puts + 1);
    world.cloud.onPut = undefined;
    world.cloud.refusal = undefined;
    await uploaded(service);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("keeps what it captures, and uploads nothing, while its item has no open stream", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    world.cloud.refusal = { status: 409, code: "stream-closed" };
    await until("it was told", () => service.status().identity.state === "refused");
    const puts = world.cloud.puts.length;
    await write(world);
    await service.cut();
    expect(service.status()).toMatchObject({ state: "running", lastError: { code: "stream-closed" } });
    // A stop tries for a while to empty the spool.
    await service.stop();
    expect([world.cloud.puts.length, world.spoolFiles().length]).toEqual([puts, 1]);
  });

  it("P5: ends its session with a clean stop, and the next start begins another one", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    await service.stop();
    expect(world.cloud.heartbeats.map((beat) => beat["ended"] === true)).toEqual([
      ...world.cloud.heartbeats.slice(1).map(() => false),
      true,
    ]);
    expect(world.cloud.heartbeats.at(-1)).toMatchObject({ uploaded: { epoch: 1 }, currentAtMs: expect.any(Number) });
    await world.start();
    await until("the next one speaks", () => sessionIds(world).length === 2);
  });

  it("P5: a stop does not wait for a control plane that is away", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    world.cloud.controlDown = true;
    await service.stop();
    expect(existsSync(join(world.folder, "state", "lock"))).toBe(false);
  });

  it("P6: a start after a kill takes its session up again, a copy of the state folder and another boot do not", async () => {
    const world = await createWorld();
    const state = join(world.folder, "state");
    const service = await world.start();
    await uploaded(service);
    const file = readFileSync(join(state, "session"));
    await service.stop();
    // As a kill leaves it.
    writeFileSync(join(state, "session"), file);
    const again = await world.start();
    await until("it speaks again", () => again.status().heartbeats.answered > 0);
    expect(sessionIds(world)).toHaveLength(1);
    await again.stop();
    writeFileSync(join(state, "session"), file);
    cpSync(state, join(world.folder, "copy"), { recursive: true });
    const copy = await world.start({ stateFolder: join(world.folder, "copy") });
    await until("the copy speaks", () => copy.status().heartbeats.answered > 0);
    expect(sessionIds(world)).toHaveLength(2);
    await copy.stop();
    world.bootId = "boot-2";
    await world.start();
    await until("the next boot speaks", () => sessionIds(world).length === 3);
  });
});

describe("a clone of the machine", () => {
  it("P1: falls silent: it serves its disks, reads and uploads nothing, asks nothing more, and says so", async () => {
    const world = await createWorld({ first: noise(100_000) });
    const first = await world.start();
    await uploaded(first);
    await first.stop();
    const before = { puts: world.cloud.puts.length, beats: world.cloud.heartbeats.length };
    world.cloud.refusal = { status: 409, code: "machine-mismatch" };
    world.cloud.registrations.length = 0;
    // The registration token of its configuration was used up by the original.
    const clone = await world.start({ machineId: "clone", registrationToken: "used-by-the-original" });
    await until("it is silent", () => clone.status().identity.state === "silent");
    await write(world);
    await clone.cut();
    await sleep(1000);
    expect(world.cloud.heartbeats.length).toBe(before.beats + 1);
    expect(world.cloud.registrations).toHaveLength(1);
    expect([world.cloud.puts.length, world.cloud.settled.length]).toEqual([before.puts, 0]);
    expect(clone.status()).toMatchObject({
      state: "uploads-stopped",
      identity: { state: "silent", machineId: "clone" },
    });
    expect(clone.status().lastError?.code).toBe("machine-mismatch");
    expect(world.logs.filter((line) => line.includes("identity-changed") && line.includes("silent"))).toHaveLength(1);
    await clone.stop();
    // It has no session to end.
    expect(world.cloud.heartbeats.length).toBe(before.beats + 1);
  });

  it("P3: a machine that was moved on purpose registers with a new registration token and goes on", async () => {
    const world = await createWorld({ first: noise(100_000) });
    const first = await world.start();
    await uploaded(first);
    await first.stop();
    world.cloud.refusal = { status: 409, code: "machine-mismatch" };
    const starting = world.start({ machineId: "new-machine" });
    await until("it registers", () => {
      const last = world.cloud.registrations.at(-1);
      if (last?.["machineId"] === "new-machine") world.cloud.refusal = undefined;
      return world.cloud.refusal === undefined;
    });
    const service = await starting;
    await until("it speaks", () => service.status().identity.state === "granted");
    await write(world);
    await service.cut();
    await uploaded(service);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("P8: a service whose state folder is an older copy stops before it uploads anything", async () => {
    const world = await createWorld();
    world.cloud.refusal = { status: 409, code: "position-fork" };
    const service = await world.start();
    await until("it is refused", () => service.status().identity.state === "refused");
    expect(service.status()).toMatchObject({
      state: "running",
      uploadedCount: 0,
      lastError: { code: "position-fork" },
    });
    // It asks rarely: a repair may open a stream for it.
    expect(world.cloud.heartbeats).toHaveLength(1);
    expect(world.cloud.heartbeats[0]).toMatchObject({ machineId: "machine", sealed: { epoch: 0 } });
  });

  it("P2: a service whose token was refused asks rarely", async () => {
    const world = await createWorld();
    const first = await world.start();
    await uploaded(first);
    await first.stop();
    rmSync(join(world.folder, "state", "item-token"));
    const service = await world.start({ registrationToken: "wrong" });
    await until("it is refused", () => service.status().identity.state === "refused");
    const { sent } = service.status().heartbeats;
    await sleep(1000);
    expect(service.status().heartbeats.sent).toBe(sent);
    expect(world.cloud.registrations).toHaveLength(2);
  });
});

describe("the exchange of the item token", () => {
  it("P14: goes with the heartbeats, and the service is the same afterwards", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    const token = join(world.folder, "state", "item-token");
    const old = readFileSync(token, "utf8");
    world.cloud.wishes = { rotation: "wanted" };
    await until("it proposes one", () => world.cloud.heartbeats.at(-1)?.["nextTokenHash"] !== undefined);
    expect(statSync(`${token}-next`).mode & 0o777).toBe(0o600);
    world.cloud.wishes = { rotation: "accepted" };
    await until("the new one is kept", () => !existsSync(`${token}-next`));
    world.cloud.wishes = {};
    expect(readFileSync(token, "utf8")).not.toBe(old);
    expect(world.logs.join("\n")).toContain("token-exchanged");
    await write(world);
    await service.cut();
    await uploaded(service);
    for (const secret of [old, readFileSync(token, "utf8")]) expect(world.logs.join("\n")).not.toContain(secret);
  });
});

describe("what the service says about itself", () => {
  const ask = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let text = "";
      connect(path)
        .on("data", (part: Buffer) => (text += part.toString()))
        .on("end", () => resolve(text))
        .on("error", reject);
    });

  it("O1: one JSON document for every client of the status socket, which only its owner can use", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    const socket = join(world.folder, "state", "status.sock");
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    const answers = await Promise.all([ask(socket), ask(socket), ask(socket)]);
    for (const answer of answers) {
      expect(JSON.parse(answer)).toMatchObject({
        version: 1,
        lagMs: 0,
        uploadedCount: 1,
        identity: { state: "granted", machineId: "machine", bootId: "boot-1" },
        heartbeats: { answered: expect.any(Number) },
        memory: { rssBytes: expect.any(Number) },
        appPoints: { state: "idle" },
      });
    }
    await service.stop();
    expect(existsSync(socket)).toBe(false);
  });

  it("O1: the socket of a killed service is taken over, and one that cannot be made stops nothing", async () => {
    const world = await createWorld();
    const first = await world.start();
    await first.stop();
    writeFileSync(join(world.folder, "state", "status.sock"), "");
    const service = await world.start();
    expect(JSON.parse(await ask(join(world.folder, "state", "status.sock")))).toMatchObject({ itemId: "vm1" });
    await service.stop();
    const deep = join(world.folder, "x".repeat(100));
    await (await world.start({ stateFolder: deep, registrationToken: "one-time-token" })).stop();
    expect(world.logs.join("\n")).toContain("status-socket-unavailable");
  });

  it("O2: the lag grows while something waits, and counters only grow", async () => {
    const world = await createWorld();
    let nowMs = 1_000_000;
    world.clock = { now: () => nowMs };
    const service = await world.start();
    await uploaded(service);
    expect(service.status().lagMs).toBe(0);
    world.cloud.onPut = () => 503;
    nowMs += 10;
    await write(world);
    await service.cut();
    nowMs += 7000;
    expect(service.status().lagMs).toBe(7010);
    const before = service.status();
    world.cloud.onPut = undefined;
    await uploaded(service);
    const after = service.status();
    expect(after.lagMs).toBe(0);
    expect(after.uploadedCount).toBe(before.uploadedCount + 1);
    expect(after.uploadedBytes).toBeGreaterThan(before.uploadedBytes);
    expect(after.heartbeats.sent).toBeGreaterThanOrEqual(before.heartbeats.sent);
  });
});
