import { copyFile, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readProgress } from "../../../local/demo/progress.ts";
import { downloaded, flipOneBit, proveRestored, restorePoint } from "../../../local/demo/proof.ts";
import { seededRandom } from "../../../local/lab/random.ts";
import { attachGuest, type VmDisk } from "../../../local/lab/vm.ts";
import { recordSource } from "../../../local/lab/writer.ts";
import { TARGET_ACCOUNT, startCloud, type Cloud } from "../../../local/supervisor/cloud.ts";
import { operatorApi } from "../../../local/supervisor/operator-api.ts";
import { FREE_PORTS } from "../../../local/supervisor/ports.ts";
import { protectVm, type VmProtection } from "../../../local/supervisor/protect-vm.ts";

const MIB = 1024 * 1024;
const SEED = 42;

let folder = "";
let cloud: Cloud | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "leeward-cloud-"));
});
afterEach(async () => {
  await cloud?.stop();
  cloud = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function openCloud(): Promise<Cloud> {
  cloud = await startCloud({
    folder,
    ports: FREE_PORTS,
    persistence: "disk",
    schedules: { points: "*/1 * * * * *", sweep: "*/2 * * * * *" },
    random: () => 0.5,
    topicSubscriptions: [
      { name: "queue", destination: { kind: "storage-queue", account: TARGET_ACCOUNT, queue: "told" } },
    ],
  });
  return cloud;
}

/** Two small disks; the second is no whole number of MiB, so its VHD is longer than the disk. */
async function smallDisks(): Promise<readonly VmDisk[]> {
  const disks: VmDisk[] = [];
  for (const [id, sizeBytes] of [
    ["system", 4 * MIB],
    ["data", 2 * MIB - 512 * 7],
  ] as const) {
    const path = join(folder, `${id}.img`);
    const content = Buffer.alloc(MIB);
    seededRandom(SEED, sizeBytes).fill(content);
    await writeFile(path, content);
    await truncate(path, sizeBytes);
    const baselinePath = `${path}.first`;
    await copyFile(path, baselinePath);
    disks.push({ id, path, sizeBytes, baselinePath, use: "records" });
  }
  return disks;
}

const vmOf = (disks: readonly VmDisk[]): VmProtection => ({
  itemId: "small-vm",
  disks,
  folder: join(folder, "vm"),
  crashConsistentFrequencyInMinutes: 1 / 60,
  epochMaxAgeMs: 300,
  heartbeatMs: 500,
  nbdPort: undefined,
});

async function until<Result>(ask: () => Promise<Result | undefined>): Promise<Result> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await sleep(100);
  }
}

/** The types of the events in the queue that the topic delivers to. */
async function toldTypes({ storage }: Cloud): Promise<ReadonlySet<string>> {
  const queue = QueueServiceClient.fromConnectionString(
    storage.account(TARGET_ACCOUNT).connectionString,
  ).getQueueClient("told");
  const { peekedMessageItems } = await queue.peekMessages({ numberOfMessages: 32 });
  const events = peekedMessageItems.map(
    ({ messageText }) => JSON.parse(Buffer.from(messageText, "base64").toString()) as { eventType: string },
  );
  return new Set(events.map(({ eventType }) => eventType));
}

describe("the local cloud as a whole", () => {
  it("turns a guest's writes into a point whose restored disks are one prefix of its log, and a flipped bit is caught (rule 1)", async () => {
    const running = await openCloud();
    const api = operatorApi(running.app.url, running.secrets.functionKey);
    const disks = await smallDisks();
    const mobility = await protectVm(running, vmOf(disks));
    const guest = await attachGuest(mobility.address, disks, () => Date.now(), true);
    const source = recordSource(
      disks.map(({ sizeBytes }, disk) => ({ disk, sizeBytes })),
      SEED,
    );
    for (let number = 0; number < 150; number++) await guest.submit(source.next());
    await guest.flush();
    const lastMs = guest.log.at(-1)?.acknowledgedMs ?? 0;
    const point = await until(async () =>
      (await api.points("small-vm")).find(({ sourceTimeMs }) => sourceTimeMs >= lastMs),
    );

    const restored = join(folder, "restored");
    const connection = { url: running.app.url, functionKey: running.secrets.functionKey };
    await restorePoint(connection, "small-vm", point, restored);
    const evidence = {
      disks,
      log: guest.log,
      seed: SEED,
      fileCommits: [],
      point,
      restored: downloaded(disks, restored),
    };
    expect(await proveRestored(evidence)).toMatchObject({ kind: "proven", files: undefined });
    await flipOneBit(restored, seededRandom(SEED));
    expect(await proveRestored(evidence)).toMatchObject({ kind: "refuted" });
    guest.close();
    const told = await until(async () => {
      const types = await toldTypes(running);
      return types.has("Leeward.RecoveryPointCreated") ? types : undefined;
    });
    expect(told).toEqual(new Set(["Leeward.ReplicationHealthChanged", "Leeward.RecoveryPointCreated"]));
  });

  it("goes on after the function app was killed and the mobility service stopped, on the same disks", async () => {
    const running = await openCloud();
    const disks = await smallDisks();
    const first = await protectVm(running, vmOf(disks));
    await until(async () => ((await readProgress(running.storage, "small-vm")).applied > 0 ? true : undefined));
    await first.stop();
    await running.app.kill();
    await running.app.restart();

    const second = await protectVm(running, vmOf(disks));
    const { applied } = await readProgress(running.storage, "small-vm");
    const guest = await attachGuest(second.address, disks, () => Date.now(), false);
    await guest.submit({ kind: "write", disk: 0, offsetBytes: 0, bytes: Buffer.alloc(4096, 7), durable: "flush" });
    const later = await until(async () => {
      const progress = await readProgress(running.storage, "small-vm");
      return progress.applied > applied ? progress : undefined;
    });
    expect(later.stopped).toBeUndefined();
    guest.close();
  });

  it("keeps its secrets for their owner alone, and none of them in a log (rule 8)", async () => {
    const running = await openCloud();
    await protectVm(running, vmOf(await smallDisks()));
    await until(async () => ((await readProgress(running.storage, "small-vm")).applied > 0 ? true : undefined));
    expect((await stat(join(folder, "secrets.json"))).mode & 0o077).toBe(0);
    await running.stop();
    const logs = await Promise.all(
      (await readdir(running.logFolder)).map((name) => readFile(join(running.logFolder, name), "utf8")),
    );
    const { functionKey, masterKey, accountKeys } = running.secrets;
    for (const secret of [functionKey, masterKey, ...Object.values(accountKeys)])
      expect(logs.join("\n")).not.toContain(secret);
    expect(logs.join("\n")).not.toMatch(/[?&]sig=(?!\*)/);
  });
});
