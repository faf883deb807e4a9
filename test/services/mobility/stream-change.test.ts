import { describe, expect, it } from "vitest";
import { parseDeltaName } from "../../../replication/names.ts";
import { connectNbd } from "../../mobility/nbd-client.ts";
import { replay } from "../../mobility/replay.ts";
import { createWorld, noise, until, type World } from "./world.ts";

const MIB = 1024 * 1024;

async function write(world: World, sector = 8): Promise<void> {
  const client = await connectNbd({ path: world.socketPath });
  await client.write(sector * 512, noise(4096));
  await client.close();
}

const blobsOf = ({ cloud }: World, stream: number): ReadonlyMap<string, Buffer> =>
  new Map([...cloud.blobs].filter(([name]) => parseDeltaName(name)?.stream === stream));

type Service = Awaited<ReturnType<World["start"]>>;

/** Waits until the target holds all disks in this stream. `epoch` is how far the stream has come at least. */
async function replicated(world: World, service: Service, stream: number): Promise<void> {
  await until(`stream ${stream} is seeded and uploaded`, () => {
    const { sealed, uploaded, seeding, pendingBytes } = service.status();
    return (
      sealed.stream === stream &&
      sealed.epoch > 0 &&
      uploaded.epoch === sealed.epoch &&
      seeding.done &&
      pendingBytes === 0
    );
  });
  const { images } = replay(blobsOf(world, stream), undefined, undefined, world.cloud.nonce);
  expect(images.map((image, index) => image.equals(world.image(index)))).toEqual([true, true]);
}

describe("another stream of the item", () => {
  it("begins while the service runs: all disks are sent again, and what was not uploaded of the old one never is", async () => {
    const world = await createWorld({ first: noise(MIB) });
    const service = await world.start();
    await replicated(world, service, 1);
    world.cloud.onPut = (name) => (parseDeltaName(name)?.stream === 1 ? 503 : undefined);
    await write(world);
    await service.cut();
    const before = blobsOf(world, 1).size;
    world.cloud.stream = 2;
    await until(
      "the other stream has begun",
      () => service.status().sealed.stream === 2 && service.status().mode === "logging",
    );
    world.cloud.onPut = undefined;
    await write(world, 100);
    await service.cut();
    await replicated(world, service, 2);
    expect(blobsOf(world, 1).size).toBe(before);
    expect(world.spoolFiles()).toEqual([]);
    expect(service.status()).toMatchObject({ state: "running", identity: { state: "granted" } });
    expect(world.cloud.heartbeats.at(-1)).toMatchObject({ start: { stream: 2, epoch: 0 }, uploaded: { stream: 2 } });
  });

  it("begins again for a service that had stopped uploading: two had written the old one", async () => {
    const other = await createWorld({ first: noise(10_000) });
    await replicated(other, await other.start(), 1);
    const world = await createWorld({ first: noise(10_000) });
    for (const [name, bytes] of other.cloud.blobs) world.cloud.blobs.set(name, bytes);
    const service = await world.start();
    await until("uploads stop", () => service.status().state === "uploads-stopped");
    await until("the control plane hears of it", () => world.cloud.heartbeats.at(-1)?.["uploadsStopped"] !== undefined);
    world.cloud.stream = 2;
    await replicated(world, service, 2);
    expect(service.status().state).toBe("running");
    await until("that is over", () => world.cloud.heartbeats.at(-1)?.["uploadsStopped"] === undefined);
  });

  it("is what a start makes of the state folder of an earlier life of the item, with a new registration", async () => {
    const world = await createWorld({ first: noise(MIB) });
    const first = await world.start();
    await replicated(world, first, 1);
    await first.stop();
    world.cloud.forgetService();
    Object.assign(world.cloud, { stream: 7, registrationToken: "of the second life" });
    const second = await world.start({ registrationToken: "of the second life" });
    await replicated(world, second, 7);
    await write(world);
    await second.cut();
    await replicated(world, second, 7);
    expect(world.cloud.registrations).toHaveLength(2);
  });

  it("is known by its nonce when it has the number of the old one", async () => {
    const world = await createWorld({ first: noise(MIB) });
    const service = await world.start();
    await replicated(world, service, 1);
    world.cloud.blobs.clear();
    world.cloud.nonce = "f".repeat(32);
    const { start } = world.cloud.heartbeats.at(-1) ?? {};
    await until(
      "the other stream has begun",
      () => JSON.stringify(world.cloud.heartbeats.at(-1)?.["start"]) !== JSON.stringify(start),
    );
    await expect(replicated(world, service, 1)).resolves.toBeUndefined();
  });

  it("does not begin when it is one of other disks: nothing is sent, and the guest goes on", async () => {
    const world = await createWorld({ first: noise(MIB) });
    const service = await world.start();
    await replicated(world, service, 1);
    const start = { stream: 2, epoch: 0, checksum: "0".repeat(64) };
    world.cloud.wishes = { stream: 2, start };
    await until("it was told", () => service.status().lastError?.code === "disk-invalid");
    const puts = world.cloud.puts.length;
    await write(world);
    await service.cut();
    world.cloud.wishes = {};
    await replicated(world, service, 1);
    expect(world.cloud.puts.length).toBe(puts + 1);
  });

  it("is sent nowhere but to https, or to this very machine", async () => {
    const world = await createWorld({ first: noise(MIB) });
    const upload = { containerUrl: "http://cache.example/leeward-cache-vm1?sig=secret", expiresMs: 1e15 };
    world.cloud.wishes = { upload };
    const service = await world.start();
    await until("it was told", () => service.status().lastError?.code === "store-refused");
    expect(world.cloud.puts).toEqual([]);
    world.cloud.wishes = {};
    await replicated(world, service, 1);
  });
});
