import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { CACHE_ACCOUNT, TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { POINT_SETTLE_MS } from "../../../replication/limits.ts";
import {
  GROUP,
  TARGET_GROUP,
  type JobView,
  clientsTo,
  contentOf,
  fillDisks,
  flowsOf,
  makeMachines,
  openGuest,
  targetOf,
} from "./machines.ts";
import { movedClock } from "./moved-service.ts";
import { until } from "./until.ts";
import { type Answer, type OnEnd, type World, blobsOf, startWorld, temporaryFolder } from "./world.ts";

/** Names of all blobs of a container, snapshots with their time; undefined when there is no such container. */
async function blobsIn({ cloud }: World, account: string, container: string): Promise<readonly string[] | undefined> {
  const client = blobsOf(cloud, account).getContainerClient(container);
  if (!(await client.exists())) return undefined;
  const found: string[] = [];
  for await (const { name, snapshot } of client.listBlobsFlat({ includeSnapshots: true }))
    found.push(`${name} ${snapshot ?? ""}`.trimEnd());
  return found;
}

async function recordOf({ cloud }: World, container: string, name: string): Promise<unknown> {
  const blob = blobsOf(cloud, TARGET_ACCOUNT).getContainerClient(container).getBlobClient(name);
  return (JSON.parse((await blob.downloadToBuffer()).toString("utf8")) as { readonly body: unknown }).body;
}

/** Where the target stands; the rest of the record tells of workers, who may still come and go. */
async function appliedOf(world: World): Promise<unknown> {
  return ((await recordOf(world, "leeward-item-web-1", "progress.json")) as { readonly applied: unknown }).applied;
}

it(
  "of two failovers at once one is done; its commit leaves the machine and no point, hears the source no more, and disabling leaves what users work with",
  { timeout: 400_000 },
  async () => {
    const onEnd: OnEnd = (undo) => onTestFinished(undo);
    const clockFile = join(await temporaryFolder(onEnd), "clock");
    await writeFile(clockFile, "0");
    const world = await startWorld(onEnd, {}, movedClock(clockFile));
    const { cloud, operator } = world;
    const clients = clientsTo(world);
    const [first = ""] = await makeMachines(clients, ["web-1"]);
    await fillDisks(world, first);
    const { ended, succeeds, inState, enable } = flowsOf(operator);
    await enable("web-1", first);
    const guest = await openGuest(world, first, "web-1");
    for (let count = 0; count < 5; count += 1) await guest.write();
    await guest.pointOfNow();
    await inState("web-1", "Protected");

    // Two operators, of whom one asks twice at once, because the first answer is late.
    const failOver = (id: string): Promise<Answer> =>
      operator.call("POST", "replicationProtectedItems/web-1/unplannedFailover", {
        body: { recoveryPointType: "LatestProcessed" },
        headers: { "x-ms-client-request-id": id },
      });
    const [one, same] = await Promise.all([failOver("one"), failOver("one")]);
    expect([one.status, same.status, (same.body as JobView).name]).toEqual([202, 202, (one.body as JobView).name]);
    const other = await failOver("two");
    expect([other.status, other.body]).toMatchObject([
      409,
      {
        error: {
          code: "operation-not-allowed",
          facts: { state: "FailoverInProgress", reason: "busy", allowedOperations: "" },
        },
      },
    ]);
    const { state, errors } = await ended(one.body as JobView);
    expect([state, errors]).toEqual(["Succeeded", []]);
    const prefixes = guest.log.prefixesOf(await contentOf(world, targetOf(world, "web-1")));
    expect(Math.max(...prefixes)).toBeGreaterThanOrEqual(5);
    expect(await inState("web-1", "UnplannedFailoverCommitPendingStatesBegin")).toEqual([
      "DisableProtection",
      "Commit",
    ]);

    // The source was not shut down: it writes on, and its service sends on. Points settle for two minutes, which pass
    // here at once.
    await guest.write();
    await writeFile(clockFile, String(POINT_SETTLE_MS + 1000));
    await succeeds("POST", "web-1/failoverCommit");
    await inState("web-1", "UnplannedFailoverCommitted");
    expect(await operator.points("web-1")).toEqual([]);
    const disks = await blobsIn(world, TARGET_ACCOUNT, "leeward-disk-web-1-0000000001");
    expect(disks?.toSorted()).toEqual(["web-1-data.vhd", "web-1-os.vhd"]);
    const applied = await appliedOf(world);
    await until("the source's service hears that nobody listens any more", async () => {
      await guest.write();
      const status = await cloud.resourceManager.machineOf(first)?.program?.status();
      return JSON.stringify(status?.["lastError"] ?? "").includes('"stream-closed"') ? true : undefined;
    });
    guest.close();
    // What it had sent meanwhile belongs to a stream that is closed: the sweep takes it away, and nothing of it is
    // applied.
    await until("the cache is swept", async () =>
      (await blobsIn(world, CACHE_ACCOUNT, "leeward-cache-web-1-0000000001"))?.length === 0 ? true : undefined,
    );
    expect(await appliedOf(world)).toEqual(applied);
    expect(await operator.points("web-1")).toEqual([]);

    await succeeds("DELETE", "web-1");
    expect(await inState("web-1", "UnprotectedStatesBegin")).toEqual(["EnableProtection"]);
    expect(await recordOf(world, "leeward-management-web-1", "ledger.json")).toMatchObject({ entries: [] });
    expect((await clients.compute.virtualMachines.get(TARGET_GROUP, "web-1")).provisioningState).toBe("Succeeded");
    expect(guest.log.prefixesOf(await contentOf(world, targetOf(world, "web-1")))).toEqual(prefixes);
    await expect(
      clients.compute.virtualMachineExtensions.get(GROUP, "web-1", "leeward-mobility"),
    ).rejects.toMatchObject({
      statusCode: 404,
    });
    expect(await blobsIn(world, CACHE_ACCOUNT, "leeward-cache-web-1-0000000001")).toBeUndefined();
    expect(await blobsIn(world, TARGET_ACCOUNT, "leeward-disk-web-1-0000000001")).toBeUndefined();
  },
);
