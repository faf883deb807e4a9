import { closeSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connectNbd } from "../../mobility/nbd-client.ts";
import { replay } from "../../mobility/replay.ts";
import { createWorld, noise, sameDisks, until, uploaded } from "./world.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

describe("mobility service", () => {
  it("brings what the disks held before into the cloud, and ends `seeding` with the delta that completes it", async () => {
    const world = await createWorld({
      first: noise(MIB + 5 * KIB),
      second: Buffer.concat([Buffer.alloc(MIB), noise(9 * KIB)]),
    });
    const service = await world.start();
    await uploaded(service);
    expect(sameDisks(world)).toEqual([true, true]);
    const { headers } = replay(world.cloud.blobs);
    expect(headers.map(({ flags }) => flags.seeding)).toEqual([...headers.slice(1).map(() => true), false]);
    expect(service.status()).toMatchObject({
      state: "running",
      pendingBytes: 0,
      seeding: { doneBytes: 4 * MIB, totalBytes: 4 * MIB },
    });
  });

  it("makes a delta without extents when disks of zeros have been read, so that points may begin", async () => {
    const world = await createWorld();
    await world.start();
    await until("the delta is uploaded", () => world.cloud.blobs.size === 1);
    const { headers } = replay(world.cloud.blobs);
    expect(headers).toMatchObject([{ epoch: 1, flags: { seeding: false } }]);
    expect([...world.cloud.blobs.values()][0]?.length).toBeLessThan(1024);
  });

  it("rule 1: deltas of many overlapping writes from several connections equal the images byte for byte", async () => {
    const world = await createWorld({ epochMaxAgeMs: 40 });
    const service = await world.start();
    const clients = await Promise.all(
      [1, 2, 3, 4].map((number) => connectNbd({ path: world.socketPath }, number % 2 === 0 ? "a-data" : "b-os")),
    );
    await Promise.all(
      clients.map(async (client, number) => {
        for (let round = 0; round < 40; round += 1) {
          await Promise.all(
            Array.from({ length: 16 }, (_, index) => {
              const sector = (round * 131 + index * 17 + number * 5) % 1500;
              const length = 512 * (1 + ((round + index * 7) % 90));
              const offset = Math.min(sector * 512, 1_100_000);
              if ((round + index) % 9 === 0) return client.zero(offset, length);
              return client.write(
                offset + (index % 4 === 0 ? 100 : 0),
                Buffer.alloc(length, 1 + number * 60 + (round % 60)),
                index % 11 === 0,
              );
            }),
          );
        }
        await client.close();
      }),
    );
    const { epoch } = await service.cut();
    expect(epoch).toBeGreaterThan(1);
    await uploaded(service);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("a seed never undoes a newer write: initial replication under writes to the very range that it reads", async () => {
    const MEGABYTES = 24;
    const world = await createWorld({ first: noise(MEGABYTES * MIB), sizeBytes: MEGABYTES * MIB });
    const service = await world.start();
    const clients = await Promise.all([1, 2, 3].map(() => connectNbd({ path: world.socketPath }, "a-data")));
    await Promise.all(
      clients.map(async (client, number) => {
        for (let round = 0; !service.status().seeding.done; round += 1) {
          // Right where the pass reads now or next.
          const at = Math.min(service.status().seeding.doneBytes + (round % 3) * 200 * KIB, (MEGABYTES - 1) * MIB);
          await client.write(at - (at % 512) + number * 512, Buffer.alloc(4 * KIB, 1 + (round % 250)));
        }
        await client.close();
      }),
    );
    await service.cut();
    await uploaded(service);
    expect(service.status().churn.writes).toBeGreaterThan(20);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("serialises long writes that overlap: the image is one of them as a whole where they meet, and the log agrees", async () => {
    const world = await createWorld({ sizeBytes: 40 * MIB });
    const service = await world.start();
    const clients = await Promise.all([1, 2, 3].map(() => connectNbd({ path: world.socketPath }, "a-data")));
    await Promise.all(
      clients.flatMap((client, number) => [
        client.write(number * MIB, Buffer.alloc(20 * MIB, 10 + number)),
        client.write(number * MIB + 512, Buffer.alloc(4 * KIB, 20 + number)),
        client.zero(3 * MIB + number * 100, 9 * MIB),
      ]),
    );
    for (const client of clients) await client.close();
    await service.cut();
    await uploaded(service);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("reads back what was written, whatever the alignment", async () => {
    const world = await createWorld({ first: noise(2 * MIB) });
    await world.start();
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    const expected = world.image(0);
    for (const [offset, length] of [
      [1, 1],
      [511, 2],
      [1000, 3000],
      [4096, 512],
      [2 * MIB - 1, 1],
    ] as const) {
      const data = noise(length);
      await client.write(offset, data);
      data.copy(expected, offset);
      await client.zero(offset + 5000 > 2 * MIB - 700 ? 0 : offset + 5000, 700);
      expected.fill(
        0,
        offset + 5000 > 2 * MIB - 700 ? 0 : offset + 5000,
        (offset + 5000 > 2 * MIB - 700 ? 0 : offset + 5000) + 700,
      );
    }
    expect((await client.read(0, 2 * MIB)).equals(expected)).toBe(true);
    await client.close();
    expect(world.image(0).equals(expected)).toBe(true);
  });

  it("an idle machine makes no deltas, and its heartbeat says that everything up to now is uploaded", async () => {
    const world = await createWorld({ epochMaxAgeMs: 20 });
    const service = await world.start();
    await until("the first delta is uploaded", () => world.cloud.blobs.size === 1 && service.status().spoolCount === 0);
    const beats = world.cloud.heartbeats.length;
    await until("two more heartbeats", () => world.cloud.heartbeats.length >= beats + 2);
    const last = world.cloud.heartbeats.at(-1);
    expect(last).toMatchObject({ bootId: "boot-1", pendingBytes: 0, uploaded: { epoch: 1 } });
    expect(last?.["currentAtMs"]).toBe(last?.["sentMs"]);
    expect(world.cloud.blobs.size).toBe(1);
  });

  it("does not call itself current while a write waits", async () => {
    const world = await createWorld();
    const service = await world.start();
    await until("the first delta is uploaded", () => service.status().uploaded.epoch === 1);
    await until("it is current", () => world.cloud.heartbeats.at(-1)?.["currentAtMs"] !== undefined);
    const client = await connectNbd({ path: world.socketPath });
    await client.write(0, noise(512));
    const writtenMs = Date.now();
    const beats = world.cloud.heartbeats.length;
    await until("two more heartbeats", () => world.cloud.heartbeats.length >= beats + 2);
    const last = world.cloud.heartbeats.at(-1);
    // It still vouches for the time before the write, and for no later one.
    expect(last?.["uploaded"]).toMatchObject({ epoch: 1 });
    expect(last?.["currentAtMs"]).toBeLessThanOrEqual(writtenMs);
    await client.close();
  });

  it("source times never decrease, however the clock jumps", async () => {
    const world = await createWorld();
    const times = [1e12, 5e11, 2e12, 1, 1.5e12];
    world.clock = { now: () => times[0] ?? 0 };
    let service = await world.start();
    for (const round of times.keys()) {
      world.clock = { now: () => times[round] ?? 0 };
      const client = await connectNbd({ path: world.socketPath });
      await client.write(512 * round, noise(512));
      await client.close();
      await service.cut();
      if (round !== 2) continue;
      await service.stop();
      service = await world.start();
    }
    await uploaded(service);
    // `replay` holds the order of the times.
    const { headers } = replay(world.cloud.blobs);
    expect(headers.at(-1)?.lastWriteMs).toBe(2e12);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("goes on where it stopped: nothing is read or sent twice, and the chain continues", async () => {
    const world = await createWorld({ first: noise(MIB) });
    const service = await world.start();
    await uploaded(service);
    const client = await connectNbd({ path: world.socketPath });
    await client.write(4096, noise(8192));
    await client.close();
    await service.stop();
    expect([world.journalFiles(), world.spoolFiles()]).toEqual([[], []]);
    const blobs = world.cloud.blobs.size;
    const again = await world.start();
    await until("it is current", () => world.cloud.heartbeats.at(-1)?.["currentAtMs"] !== undefined);
    expect(again.status().seeding.done).toBe(true);
    expect(world.cloud.blobs.size).toBe(blobs);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("reads again what may differ after a crash of the machine and nothing else, and takes no zeros for granted", async () => {
    const world = await createWorld({
      first: noise(10 * MIB),
      second: noise(MIB),
      sizeBytes: 12 * MIB,
      epochMaxAgeMs: 30,
    });
    const service = await world.start();
    await uploaded(service);
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    await client.write(5 * MIB, noise(4096));
    await service.cut();
    await uploaded(service);
    const state = readFileSync(join(world.folder, "state", "state.json"));
    await client.close();
    await service.stop();
    // The machine lost power: its state file still says that the service runs, and the image lost writes that the log
    // has.
    writeFileSync(join(world.folder, "state", "state.json"), state);
    const file = openSync(world.images[0] ?? "", "r+");
    writeSync(file, Buffer.alloc(4096), 0, 4096, 5 * MIB);
    writeSync(file, Buffer.alloc(131_072), 0, 131_072, 6 * MIB);
    closeSync(file);
    world.bootId = "boot-2";
    const before = world.cloud.blobs.size;
    const again = await world.start();
    expect(again.status().seeding.totalBytes).toBe(4 * MIB);
    await uploaded(again);
    expect(sameDisks(world)).toEqual([true, true]);
    const { headers } = replay(world.cloud.blobs);
    expect(headers.slice(before).map(({ flags }) => flags.seeding)).toEqual([
      ...headers.slice(before + 1).map(() => true),
      false,
    ]);
    expect(world.logs.join("\n")).toContain("machine-restarted");
    expect(again.status().resynchronization).toEqual({ state: "none" });
  });

  it("a restart of the machine after a clean stop reads nothing again", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    await service.stop();
    world.bootId = "boot-2";
    const again = await world.start();
    expect(again.status().seeding.done).toBe(true);
  });

  it("rule 8: keeps its token to itself, and credentials out of every log, status and file", async () => {
    const world = await createWorld({ epochMaxAgeMs: 20 });
    world.cloud.onPut = () => 403;
    const service = await world.start();
    await until("uploads have failed", () => world.cloud.puts.length >= 2);
    world.cloud.onPut = undefined;
    await until("the delta is uploaded", () => service.status().uploaded.epoch === 1);
    const token = join(world.folder, "state", "item-token");
    expect(statSync(token).mode & 0o777).toBe(0o600);
    const secrets = ["first-credential", readFileSync(token, "utf8"), "one-time-token"];
    const written = [
      ...world.logs,
      JSON.stringify(service.status()),
      readFileSync(join(world.folder, "state", "state.json"), "utf8"),
    ].join("\n");
    expect(secrets.filter((secret) => written.includes(secret))).toEqual([]);
    expect(written).toContain("store-refused");
  });
});
