import { randomBytes } from "node:crypto";
import type { ContainerClient } from "@azure/storage-blob";
import { describe, expect, it } from "vitest";
import { CACHE_ACCOUNT, TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { until } from "./until.ts";
import { ITEM, SEED, type World, blobsOf, proven, startWorld } from "./world.ts";

const MIB = 1024 * 1024;
const deltaName = (stream: number, epoch: number): string =>
  `${String(stream).padStart(10, "0")}/${String(epoch).padStart(12, "0")}`;

const cacheOf = (world: World): ContainerClient =>
  blobsOf(world.cloud, CACHE_ACCOUNT).getContainerClient(`leeward-cache-${ITEM}-0000000001`);

async function namesIn(container: ContainerClient): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name } of container.listBlobsFlat()) names.push(name);
  return names;
}

/** What the quarantine holds, by the beginning of its names. */
async function quarantined(world: World): Promise<readonly string[]> {
  const container = blobsOf(world.cloud, CACHE_ACCOUNT).getContainerClient(`leeward-foreign-${ITEM}`);
  return (await container.exists()) ? namesIn(container) : [];
}

const isStopped = (world: World, code: string): Promise<true> =>
  until(`the item stops with ${code}`, async () => {
    const { stopped } = await world.operator.item();
    if (stopped === undefined) return undefined;
    expect(stopped).toMatchObject({ code, hint: expect.stringMatching(/.{20}/) });
    return true;
  });

describe.concurrent(`blobs in the cache container of an item that nobody of ours wrote (seed ${SEED})`, () => {
  it("what can be no delta to come is moved away, whatever it is, and replication goes on", async ({
    onTestFinished,
  }) => {
    const world = await startWorld(onTestFinished);
    const source = await world.startSource();
    await source.write(20);
    const first = await world.operator.pointOf(await source.uploaded());
    const cache = cacheOf(world);
    const old = randomBytes(100);
    const rubbish = [
      "holiday.jpg",
      "a b/ü?#%25 \u{1F600}",
      "x".repeat(1024),
      "0000000001",
      `${deltaName(1, 1)}.tmp`,
      deltaName(1, 0),
    ];
    for (const name of rubbish) await cache.getBlockBlobClient(name).upload("x", 1);
    await cache.getPageBlobClient("page").create(512);
    await cache.getAppendBlobClient("append").create();
    // Deltas of a stream that was never announced, of a closed one, and one that was applied long ago.
    const streams = [deltaName(2, 1), deltaName(0, 1), deltaName(1, 1)];
    for (const name of streams) await cache.getBlockBlobClient(name).upload(old, old.length);
    // A lease keeps a blob from being removed: its sweep fails, and nothing else may.
    const leased = cache.getBlockBlobClient("leased");
    await leased.upload("x", 1);
    await leased.getBlobLeaseClient().acquireLease(-1);

    await source.write(20);
    const last = await world.operator.pointOf(await source.uploaded());
    // The one that was applied is in the journal, and goes when nobody holds the item.
    await until("only the leased blob is left", async () => {
      const left = (await namesIn(cache)).filter((name) => name !== deltaName(1, 1));
      return left.join() === "leased" ? true : undefined;
    });
    const moved = (await quarantined(world)).filter((name) => !name.startsWith("leased"));
    expect(moved).toHaveLength(rubbish.length + 2 + 2);
    const [early, late] = await proven(world.operator, source, [first, last]);
    expect(early).toContain(20);
    expect(late).toContain(source.log.length);
  });

  for (const events of ["delivered", "lost"] as const) {
    it(`what stands in the place of the next delta stops the item, until the right one comes; events are ${events}`, async ({
      onTestFinished,
    }) => {
      const world = await startWorld(onTestFinished, events === "lost" ? { dropRatio: 1 } : {});
      const source = await world.startSource();
      await source.write(20);
      let epoch = await source.uploaded();
      await world.operator.pointOf(epoch);
      const cache = cacheOf(world);
      const journal = blobsOf(world.cloud, TARGET_ACCOUNT).getContainerClient(`leeward-item-${ITEM}`);
      const earlier = await journal
        .getBlobClient((await namesIn(journal)).find((name) => name.startsWith("journal/")) ?? "")
        .downloadToBuffer();
      const forged = [
        { code: "delta-corrupt", bytes: randomBytes(5000) },
        { code: "delta-foreign", bytes: earlier },
        { code: "delta-too-large", bytes: Buffer.alloc(64 * MIB + 1) },
      ];
      for (const { code, bytes } of events === "lost" ? forged.slice(0, 1) : forged) {
        const before = await quarantined(world);
        await cache.getBlockBlobClient(deltaName(1, epoch + 1)).upload(bytes, bytes.length);
        if (code !== "delta-too-large") await isStopped(world, code);
        await source.write(10);
        epoch = await source.uploaded();
        const [prefixes] = await proven(world.operator, source, [await world.operator.pointOf(epoch)]);
        expect(prefixes).toContain(source.log.length);
        expect((await world.operator.item()).stopped).toBeUndefined();
        expect(await quarantined(world)).toHaveLength(before.length + 1);
      }
    });
  }
});
