import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ContainerSASPermissions } from "@azure/storage-blob";
import { describe, expect, it } from "vitest";
import { CACHE_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { startApiProxy } from "./api-proxy.ts";
import { until } from "./until.ts";
import { ITEM, SEED, blobsOf, proven, startWorld, type World } from "./world.ts";

/** How often a function was invoked since the app started. */
async function invocations(world: World, name: string): Promise<number> {
  const counts = (await world.cloud.app.invocations())[name] as { readonly succeeded: number } | undefined;
  return counts?.succeeded ?? 0;
}

describe.concurrent(`credentials and answers of the cache that go wrong (seed ${SEED})`, () => {
  it("rule 4: a grant that is over, or forged, is renewed by heartbeat, and nothing is lost", async ({
    onTestFinished,
  }) => {
    const world = await startWorld(onTestFinished);
    const container = blobsOf(world.cloud, CACHE_ACCOUNT).getContainerClient(`leeward-cache-${ITEM}-0000000001`);
    const hourMs = 3_600_000;
    const expired = await container.generateSasUrl({
      permissions: ContainerSASPermissions.parse("c"),
      startsOn: new Date(Date.now() - 2 * hourMs),
      expiresOn: new Date(Date.now() - hourMs),
    });
    const wrong = [
      () => expired,
      (url: string) => url.replace(/sig=[^&]+/, "sig=AAAAAAAA"),
      (url: string) => url.replace("sp=c", "sp=cw"),
    ];
    const proxy = await startApiProxy(
      onTestFinished,
      world.cloud.app.url,
      (url, number) => wrong[number]?.(url) ?? url,
    );
    const source = await world.startSource({ apiUrl: proxy.apiUrl });
    await source.write(20);
    const point = await world.operator.pointOf(await source.uploaded());
    // Three bad grants, each answered by one more heartbeat; then good ones.
    expect(proxy.granted.length).toBeGreaterThan(wrong.length);
    expect((await proven(world.operator, source, [point]))[0]).toContain(source.log.length);
  });

  it("rule 4: a delta that the cache took while its answer was lost counts once the control plane has confirmed it", async ({
    onTestFinished,
  }) => {
    // Without events the delta is still in the cache when it is sent again.
    const world = await startWorld(onTestFinished, { dropRatio: 1 });
    const source = await world.startSource();
    const { storage } = world.cloud;
    const cut = { left: 4 };
    storage.observe(({ account, operation, status }) => {
      if (account !== CACHE_ACCOUNT || operation !== "BlockBlob_Upload" || status !== 201 || cut.left === 0) return;
      cut.left -= 1;
      storage.setReachable(CACHE_ACCOUNT, false);
      setTimeout(() => storage.setReachable(CACHE_ACCOUNT, true), 50);
    });
    while (cut.left > 0) {
      await source.write(8);
      await source.uploaded();
    }
    const point = await world.operator.pointOf(await source.uploaded());
    expect(await invocations(world, "settleMobility")).toBeGreaterThan(0);
    expect((await proven(world.operator, source, [point]))[0]).toContain(source.log.length);
    expect((await source.status())?.state).toBe("running");
  });
});

describe.concurrent(`the clock of the source jumps (seed ${SEED})`, () => {
  it("years ahead and back again: content and order are right, times never decrease, and the skew is told", async ({
    onTestFinished,
  }) => {
    const world = await startWorld(onTestFinished);
    const clockFile = join(world.folder, "clock");
    await writeFile(clockFile, "0");
    const source = await world.startSource({ clockFile });
    const yearMs = 365 * 24 * 3_600_000;
    const counts: number[] = [];
    const points = [];
    for (const offsetMs of [0, 3 * yearMs, -3 * yearMs, 0]) {
      await writeFile(clockFile, String(offsetMs));
      await source.write(20);
      points.push(await world.operator.pointOf(await source.uploaded()));
      counts.push(source.log.length);
      if (offsetMs === 0) continue;
      await until("the skew is told", async () =>
        (await world.operator.item()).healthErrors.some(({ code }) => code === "clock-skew") ? true : undefined,
      );
    }
    const found = await proven(world.operator, source, points);
    expect(found.map((prefixes, index) => prefixes.includes(counts[index] ?? -1))).toEqual([true, true, true, true]);
    const times = (await world.operator.points()).map(({ sourceTime }) => sourceTime).toReversed();
    expect(times).toEqual(times.toSorted());
    expect((await world.operator.item()).stopped).toBeUndefined();
  });
});
