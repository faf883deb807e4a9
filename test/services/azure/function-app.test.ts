import { BlobClient, ContainerClient } from "@azure/storage-blob";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyHints } from "../../../functions/queues/apply-hints.ts";
import { restoreSlices } from "../../../functions/queues/restore-slices.ts";
import { heartbeatMobility, registerMobility, settleMobility } from "../../../functions/routes/mobility.ts";
import { protectItem, showItem } from "../../../functions/routes/protected-items.ts";
import { listRecoveryPoints } from "../../../functions/routes/recovery-points.ts";
import { grantRestoreAccess, restoreRecoveryPoint } from "../../../functions/routes/restores.ts";
import { parseSettings } from "../../../functions/settings.ts";
import { sweep } from "../../../functions/timers/sweep.ts";
import { type ApplicationSource, connectApplication } from "../../../functions/wiring.ts";
import { HINTS_QUEUE, RESTORES_QUEUE, deltaName } from "../../../replication/names.ts";
import type { DiskDescription } from "../../../replication/position.ts";
import type { HeartbeatAnswer, RegisterAnswer } from "../../../replication/service/protocol.ts";
import { call, deliver, deltaOf, fire } from "../../functions/app-under-test.ts";
import { type TestAccounts, newItemId, startAccounts } from "./accounts.ts";

const DISKS: readonly DiskDescription[] = [
  { id: "data", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 },
  { id: "os", sizeBytes: 3 * 1024 * 1024, sectorSizeBytes: 4096 },
];
const ITEM_TOKEN = "cd".repeat(32);

/**
 * The whole way of one write over real requests to storage: wired as the app wires itself, called as its host calls it.
 */
describe("the function app on the storage of the local cloud", () => {
  let accounts: TestAccounts;
  let app: ApplicationSource;
  let queues: QueueServiceClient;
  beforeAll(async () => {
    accounts = await startAccounts();
    const application = connectApplication(
      parseSettings({
        CacheStorage: accounts.connectionStrings.cache,
        TargetStorage: accounts.connectionStrings.target,
        LEEWARD_CHECK_ANSWERS: "true",
        LEEWARD_POINT_SCHEDULE: "0 * * * * *",
        LEEWARD_SWEEP_SCHEDULE: "*/30 * * * * *",
      }),
    );
    // Nothing is kept warm, so that a slice ends as soon as nothing is left.
    const { wakeUps } = application;
    const cold: typeof wakeUps = {
      ...wakeUps,
      enter: (itemId) => {
        const slot = wakeUps.enter(itemId);
        return slot === undefined ? undefined : { ...slot, awaitHint: undefined };
      },
    };
    app = () => ({ ...application, wakeUps: cold });
    queues = QueueServiceClient.fromConnectionString(accounts.connectionStrings.target);
  });
  afterAll(() => accounts.close());

  /** Takes the next message of a queue as the host gives it to the worker: decoded, then parsed. */
  async function next(queue: string): Promise<unknown> {
    const client = queues.getQueueClient(queue);
    for (let tries = 0; tries < 100; tries += 1) {
      const [message] = (await client.receiveMessages()).receivedMessageItems;
      if (message !== undefined) {
        await client.deleteMessage(message.messageId, message.popReceipt);
        return JSON.parse(Buffer.from(message.messageText, "base64").toString("utf8"));
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`no message came in ${queue}`);
  }

  it("takes a VM from protection to a restored disk", async () => {
    const item = newItemId();
    const params = { item };
    const { body: enabled } = await call(protectItem(app), { params, body: { disks: DISKS } });
    const { registrationToken } = enabled as { registrationToken: string };
    const registration = { registrationToken, itemToken: ITEM_TOKEN, machineId: "m", bootId: "b", disks: DISKS };
    const { body: registered } = await call(registerMobility(app), { params, body: registration });
    const { start, ticket } = registered as RegisterAnswer;
    const headers = { authorization: `Bearer ${ticket}.${ITEM_TOKEN}` };

    const beat = { machineId: "m", bootId: "b", sessionId: "s", sentMs: Date.now(), uploaded: start, pendingBytes: 0 };
    const { upload } = (await call(heartbeatMobility(app), { params, headers, body: beat })).body as HeartbeatAnswer;
    const cache = new ContainerClient(upload.containerUrl);
    const first = deltaOf(
      item,
      start,
      DISKS,
      [
        { disk: 0, page: 0, value: 1 },
        { disk: 1, page: 8, value: 2 },
      ],
      Date.now(),
    );
    const second = deltaOf(
      item,
      first.end,
      DISKS,
      [
        { disk: 0, page: 0, value: 3 },
        { disk: 1, page: 9, value: 4 },
      ],
      Date.now(),
    );
    for (const { bytes, end } of [second, first]) {
      await cache
        .getBlockBlobClient(deltaName(end.stream, end.epoch))
        .upload(bytes, bytes.length, { conditions: { ifNoneMatch: "*" } });
    }

    // No event came: the sweep finds the deltas, its hint makes them be applied.
    await fire(sweep(app));
    await deliver(applyHints(app), await next(HINTS_QUEUE));
    const settled = await call(settleMobility(app), {
      params,
      headers,
      body: { sessionId: "s", stream: 1, epoch: 1, checksum: first.end.checksum },
    });
    expect(settled.body).toEqual({ outcome: "same" });

    const { value: points } = (await call(listRecoveryPoints(app), { params })).body as {
      value: readonly { name: string; position: object }[];
    };
    // The first delta ended seeding, so a point was due right behind it; the second one was applied and belongs to no
    // point yet (rule 1).
    expect(points.map(({ position }) => position)).toEqual([first.end]);
    expect((await call(showItem(app), { params })).body).toMatchObject({ applied: second.end });
    const begun = await call(restoreRecoveryPoint(app), { params: { item, point: points[0]?.name ?? "" } });
    expect(begun.status).toBe(202);
    const { name: restore } = begun.body as { name: string };
    await deliver(restoreSlices(app), await next(RESTORES_QUEUE));

    const granted = await call(grantRestoreAccess(app), { params: { item, restore } });
    expect(granted.status).toBe(200);
    const { value: disks } = granted.body as { value: readonly { id: string; url: string }[] };
    const bytes = await Promise.all(disks.map(({ url }) => new BlobClient(url).downloadToBuffer()));
    // Each restored blob is the disk and the footer of a fixed VHD.
    expect(bytes.map((each) => each.length)).toEqual(DISKS.map((disk) => disk.sizeBytes + 512));
    expect(bytes.map((each) => each.subarray(-512, -504).toString())).toEqual(["conectix", "conectix"]);
    expect([bytes[0]?.[0], bytes[0]?.[512], bytes[1]?.[8 * 512], bytes[1]?.[9 * 512], bytes[1]?.[10 * 512]]).toEqual([
      1, 0, 2, 0, 0,
    ]);
  });

  it("moves what is no delta of the item into quarantine, and goes on", async () => {
    const item = newItemId();
    await call(protectItem(app), { params: { item }, body: { disks: DISKS } });
    const { stores } = app();
    await stores.cache(item, 1).create("holiday.jpg", new Uint8Array([1, 2, 3]));
    await fire(sweep(app));
    expect(await stores.cache(item, 1).list("", 10)).toEqual([]);
    const [foreign] = (
      await accounts.cache.retrying.getContainerClient(`leeward-foreign-${item}`).listBlobsFlat().byPage().next()
    ).value.segment.blobItems;
    expect(foreign.name).toMatch(/^holiday\.jpg\./);
  });

  it("rule 7: with the source region gone, points are listed and restored", async () => {
    const item = newItemId();
    const params = { item };
    const { body } = await call(protectItem(app), { params, body: { disks: DISKS } });
    const { registrationToken } = body as { registrationToken: string };
    const registration = { registrationToken, itemToken: ITEM_TOKEN, machineId: "m", bootId: "b", disks: DISKS };
    const { start } = (await call(registerMobility(app), { params, body: registration })).body as RegisterAnswer;
    const delta = deltaOf(item, start, DISKS, [{ disk: 0, page: 1, value: 9 }], Date.now());
    await app().stores.cache(item, 1).create(deltaName(1, 1), delta.bytes);
    await deliver(applyHints(app), { kind: "hint", itemId: item });
    accounts.storage.setReachable("leewardcachewe", false);
    try {
      const { value } = (await call(listRecoveryPoints(app), { params })).body as {
        value: readonly { name: string }[];
      };
      const begun = await call(restoreRecoveryPoint(app), { params: { item, point: value[0]?.name ?? "" } });
      const { name: restoreId } = begun.body as { name: string };
      await deliver(restoreSlices(app), { kind: "restore", itemId: item, restoreId });
      expect((await call(grantRestoreAccess(app), { params: { item, restore: restoreId } })).status).toBe(200);
    } finally {
      accounts.storage.setReachable("leewardcachewe", true);
    }
  });
});
