import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { diskContainer } from "../../../replication/names.ts";
import { until } from "./until.ts";
import { type Answer, ITEM, SEED, blobsOf, proven, startWorld } from "./world.ts";

const PATH = `replicationProtectedItems/${ITEM}/repairReplication`;
const SECTOR_BYTES = 512;

describe(`repairReplication (seed ${SEED})`, { timeout: 240_000 }, () => {
  it("brings every sector again, also one that somebody overwrote in the target; older points stay, and a repeated request begins nothing", async ({
    onTestFinished,
  }) => {
    const { cloud, operator, startSource } = await startWorld(onTestFinished);
    const source = await startSource();
    await source.write(30);
    const before = await operator.pointOf(await source.uploaded());

    const [system] = source.disks;
    if (system === undefined) throw new Error("the source has no disk");
    const disk = blobsOf(cloud, TARGET_ACCOUNT)
      .getContainerClient(diskContainer(ITEM, 1))
      .getPageBlobClient(`${system.id}.vhd`);
    // In the quarter that the guest's disk never filled: no write of the guest would heal it.
    await disk.uploadPages(Buffer.alloc(SECTOR_BYTES, 0xbd), system.sizeBytes - SECTOR_BYTES, SECTOR_BYTES);
    await source.write(5);
    const damaged = await operator.pointOf(await source.uploaded());
    expect(source.log.prefixesOf(await operator.restore(damaged, source.disks))).toEqual([]);

    const headers = { "x-ms-client-request-id": randomUUID() };
    const ask = (): Promise<Answer> => operator.call("POST", PATH, { headers });
    const asked = await ask();
    expect(asked.status).toBe(202);
    const repair = await until("the repair is done", async () => {
      const { body } = await operator.call("GET", `replicationProtectedItems/${ITEM}`);
      const found = (body as { readonly repair?: { readonly name: string; readonly state: string } }).repair;
      return found?.state === "Succeeded" ? found : undefined;
    });
    await source.write(5);
    const epoch = await source.uploaded();
    const { stream } = await operator.item();
    expect(stream).toBe(2);
    const [old, healed] = await proven(operator, source, [before, await operator.pointOf(epoch, stream)]);
    expect(old).toContain(30);
    expect(healed).toContain(source.log.length);

    expect([(await ask()).status, (await ask()).body]).toEqual([202, { ...(asked.body as object), ...repair }]);
    expect(await source.uploaded()).toBe(epoch);
  });
});
