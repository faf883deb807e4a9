import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openNbdDisk } from "../../../local/lab/nbd-client.ts";
import { CACHE_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import {
  type MobilityOptions,
  type MobilityService,
  startMobility,
} from "../../../local/supervisor/mobility-service.ts";
import type { ServiceStatus, Source } from "./source.ts";
import { until } from "./until.ts";
import { ITEM, type OnEnd, SEED, type World, blobsOf, proven, startWorld } from "./world.ts";

/** Two machines and their cloud on a busy computer. */
const PATIENCE = { timeout: 240_000 };

/** What a copy of the machine has: its disks and the folder of its mobility service, as they are at this moment. */
function copyMachine(world: World, source: Source, name: string): Pick<MobilityOptions, "folder" | "disks"> {
  const folder = join(world.folder, name);
  mkdirSync(folder);
  // A socket and a lock belong to the process that runs.
  const held = (path: string): boolean => !/\/(lock|status\.sock|status\.json)$/.test(path);
  cpSync(join(world.folder, "vm", "state"), join(folder, "state"), { recursive: true, filter: held });
  const disks = source.disks.map(({ id, path }) => {
    const copy = join(folder, `${id}.img`);
    cpSync(path, copy);
    return { id, path: copy };
  });
  return { folder, disks };
}

interface Copy {
  readonly service: MobilityService;
  readonly status: () => Promise<ServiceStatus | undefined>;
  /** Waits until the copy says that it is in this state. */
  readonly becomes: (state: string) => Promise<ServiceStatus>;
  /** Writes as the guest of the copy does. */
  readonly write: (bytes: Buffer) => Promise<Buffer>;
}

async function startCopy(
  world: World,
  onEnd: OnEnd,
  options: Pick<MobilityOptions, "folder" | "disks"> & Partial<MobilityOptions>,
): Promise<Copy> {
  const service = await startMobility({
    itemId: ITEM,
    apiUrl: `${world.cloud.app.url}/api`,
    // The one of the configuration, which the original has used up.
    registrationToken: "0".repeat(64),
    logFolder: world.cloud.logFolder,
    nbdPort: undefined,
    epochMaxAgeMs: 150,
    heartbeatMs: 300,
    ...options,
  });
  onEnd(() => service.stop());
  const status = async (): Promise<ServiceStatus | undefined> => (await service.status()) as ServiceStatus | undefined;
  return {
    service,
    status,
    becomes: (state) =>
      until(`the copy is ${state}`, async () => {
        const found = await status();
        return found?.identity.state === state ? found : undefined;
      }),
    write: async (bytes) => {
      const disk = await openNbdDisk(service.address, "system");
      await disk.write(0, bytes);
      const found = Buffer.from(await disk.read(0, bytes.length));
      disk.close();
      return found;
    },
  };
}

async function foreignBlobs(world: World): Promise<readonly string[]> {
  const container = blobsOf(world.cloud, CACHE_ACCOUNT).getContainerClient(`leeward-foreign-${ITEM}`);
  if (!(await container.exists())) return [];
  const names: string[] = [];
  for await (const { name } of container.listBlobsFlat()) names.push(name);
  return names;
}

describe.concurrent(`copies of a protected machine (seed ${SEED})`, PATIENCE, () => {
  it("P1: a clone that boots in a test failover is silent, serves its own guest, and the original replicates on", async ({
    onTestFinished,
  }) => {
    const world = await startWorld(onTestFinished);
    const source = await world.startSource();
    await source.write(20);
    await world.operator.pointOf(await source.uploaded());
    // The clone has deltas in its spool, as a machine whose last point was taken while it was sending.
    world.cloud.storage.setReachable(CACHE_ACCOUNT, false);
    await source.write(10);
    await until("a delta waits", async () => ((await source.status())?.spoolCount ?? 0) > 0 || undefined);
    const machine = copyMachine(world, source, "clone");
    world.cloud.storage.setReachable(CACHE_ACCOUNT, true);
    const clone = await startCopy(world, onTestFinished, { ...machine, machineId: "clone" });
    const written = Buffer.alloc(4096, 7);
    expect((await clone.write(written)).equals(written)).toBe(true);
    const silent = await clone.becomes("silent");
    expect(silent).toMatchObject({
      state: "uploads-stopped",
      identity: { machineId: "clone" },
      lastError: { code: "machine-mismatch" },
    });
    await source.write(40);
    const last = await world.operator.pointOf(await source.uploaded());
    const [prefixes] = await proven(world.operator, source, [last]);
    expect(prefixes).toContain(source.log.length);
    const item = await world.operator.item();
    expect(item.stopped).toBeUndefined();
    expect(item.session).toMatchObject({ machineId: `local-${ITEM}`, ended: false });
    expect(await foreignBlobs(world)).toEqual([]);
    expect((await source.status())?.identity.state).toBe("granted");
    // It has asked once, and never again.
    expect(await clone.status()).toMatchObject({
      uploadedCount: 0,
      heartbeats: { sent: 1 },
      identity: { state: "silent" },
    });
  });

  it("P4, P8: of two services with one state the second waits; when the first ends, what is outdated still uploads nothing", async ({
    onTestFinished,
  }) => {
    const world = await startWorld(onTestFinished);
    const source = await world.startSource();
    await source.write(20);
    await world.operator.pointOf(await source.uploaded());
    const copy = await startCopy(world, onTestFinished, copyMachine(world, source, "copy"));
    expect(await copy.becomes("waiting")).toMatchObject({ lastError: { code: "session-taken" } });
    await copy.write(Buffer.alloc(4096, 9));
    await source.write(40);
    const point = await world.operator.pointOf(await source.uploaded());
    // Both stand still now: the copy gets its turn, and is found to know less than the target.
    await source.stop();
    expect(await copy.becomes("refused")).toMatchObject({ uploadedCount: 0, lastError: { code: "position-fork" } });
    await source.restart();
    await source.write(20);
    const last = await world.operator.pointOf(await source.uploaded());
    const [before, after] = await proven(world.operator, source, [point, last]);
    expect(before).toContain(60);
    expect(after).toContain(source.log.length);
    expect((await world.operator.item()).stopped).toBeUndefined();
    expect(await foreignBlobs(world)).toEqual([]);
  });

  it("P14: an operator has the item token exchanged while the guest writes", async ({ onTestFinished }) => {
    const world = await startWorld(onTestFinished);
    const source = await world.startSource();
    await source.write(10);
    const token = (): string => readFileSync(join(world.folder, "vm", "state", "item-token"), "utf8");
    const old = token();
    expect((await world.operator.call("POST", `replicationProtectedItems/${ITEM}/rotateToken`)).status).toBe(202);
    await source.write(20);
    await until("the token is another one", async () => token() !== old || undefined);
    await source.kill();
    await source.restart();
    await source.write(20);
    const last = await world.operator.pointOf(await source.uploaded());
    const [prefixes] = await proven(world.operator, source, [last]);
    expect(prefixes).toContain(source.log.length);
    const body = {
      machineId: `local-${ITEM}`,
      bootId: "b",
      sessionId: "s",
      sentMs: 1,
      uploaded: { stream: 1, epoch: 0, checksum: "0".repeat(64) },
      pendingBytes: 0,
    };
    const beat = await world.operator.call("POST", `mobility/${ITEM}/heartbeat`, {
      headers: { authorization: `Bearer ${old}` },
      body,
      key: "",
    });
    expect(beat.status).toBe(401);
  });
});
