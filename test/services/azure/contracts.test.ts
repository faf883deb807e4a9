import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Accounts } from "../../../azure/accounts.ts";
import type { BlobAccount } from "../../../azure/connections.ts";
import { openDiskSnapshots } from "../../../azure/disk-snapshots.ts";
import { openItemStores } from "../../../azure/item-stores.ts";
import { openRecords } from "../../../azure/records.ts";
import { openTargetDisks } from "../../../azure/target-disks.ts";
import { DELTA_MAX_BYTES } from "../../../replication/limits.ts";
import {
  cacheContainer,
  diskBlobName,
  diskContainer,
  itemContainer,
  quarantineContainer,
  restoreContainer,
  restoredBlobName,
} from "../../../replication/names.ts";
import { diskSnapshotsContract } from "../../contracts/disk-snapshots.ts";
import { itemStoresContract } from "../../contracts/item-stores.ts";
import { recordStoreContract } from "../../contracts/record-store.ts";
import { targetDisksContract } from "../../contracts/target-disks.ts";
import { type TestAccounts, newItemId, startAccounts } from "./accounts.ts";

describe("the Azure adapters on the storage of the local cloud", () => {
  let accounts: TestAccounts;
  beforeAll(async () => {
    accounts = await startAccounts();
  });
  afterAll(() => accounts.close());

  const bytesOf = (container: string, blob: string): Promise<Buffer> =>
    accounts.target.retrying.getContainerClient(container).getBlobClient(blob).downloadToBuffer();

  recordStoreContract(async () => openRecords(accounts.target, itemContainer(newItemId())));

  targetDisksContract(async () => ({
    disks: openTargetDisks(accounts.target),
    itemId: newItemId(),
    read: (disk) => bytesOf(diskContainer(disk.itemId, disk.stream), diskBlobName(disk.diskId)),
  }));

  diskSnapshotsContract(async () => ({
    disks: openTargetDisks(accounts.target),
    snapshots: openDiskSnapshots(accounts.target),
    itemId: newItemId(),
    readRestored: (disk) =>
      bytesOf(restoreContainer(disk.itemId), restoredBlobName(disk.restoreId, disk.diskId, disk.attempt)),
    snapshotByOthers: async (disk) => {
      const container = accounts.target.retrying.getContainerClient(diskContainer(disk.itemId, disk.stream));
      await container.getBlobClient(diskBlobName(disk.diskId)).createSnapshot();
    },
  }));
});

describe("azure/item-stores on the storage of the local cloud", () => {
  const opened: TestAccounts[] = [];
  afterAll(async () => {
    for (const accounts of opened) await accounts.close();
  });

  it("of a blob longer than any delta quarantine keeps the reason and the length, not the bytes", async () => {
    const accounts = await startAccounts();
    opened.push(accounts);
    const stores = openItemStores(accounts.all, { now: Date.now });
    const lengthBytes = DELTA_MAX_BYTES + 1;
    const container = accounts.cache.retrying.getContainerClient(cacheContainer("web", 1));
    await container.create();
    await container.getBlockBlobClient("huge").upload(new Uint8Array(lengthBytes), lengthBytes);
    await stores.quarantine("web", 1, "huge", "delta-too-large: by one byte");
    expect(await stores.cache("web", 1).list("", 10)).toEqual([]);
    const kept: object[] = [];
    for await (const blob of accounts.cache.retrying
      .getContainerClient(quarantineContainer("web"))
      .listBlobsFlat({ includeMetadata: true })) {
      kept.push({ ...blob.metadata, bytes: blob.properties.contentLength });
    }
    expect(kept).toEqual([
      { leewardreason: "delta-too-large: by one byte", leewardlength: String(lengthBytes), bytes: 0 },
    ]);
  });

  it("spreads the disks of an item over its replica accounts, and removes all of them", async () => {
    const accounts = await startAccounts();
    opened.push(accounts);
    const { cache, target } = accounts;
    const replicaOf = (diskId: string): BlobAccount => (diskId === "data" ? cache : target);
    const spread: Accounts = { control: target, of: async () => ({ cache, replicas: [target, cache], replicaOf }) };
    const stores = openItemStores(spread, { now: Date.now });
    const exists = (account: BlobAccount, container: string): Promise<boolean> =>
      account.retrying.getContainerClient(container).exists();
    for (const stream of [1, 2]) await stores.createContainers("web", stream);
    for (const account of [target, cache]) expect(await exists(account, diskContainer("web", 1))).toBe(true);
    for (const diskId of ["os", "data"]) {
      const disk = { itemId: "web", stream: 2, diskId };
      await stores.disks.create(disk, 1024);
      const { etag = "" } = (await stores.disks.properties(disk)) ?? {};
      const taken = (await stores.disks.snapshot(disk, etag, "p")) ?? "";
      const restored = { itemId: "web", restoreId: "r", diskId };
      await stores.snapshots.startCopy(disk, taken, restored);
      const inOther = replicaOf(diskId) === target ? cache : target;
      const blob = (account: BlobAccount, container: string, name: string): Promise<boolean> =>
        account.retrying.getContainerClient(container).getBlobClient(name).exists();
      const places = [
        [diskContainer("web", 2), diskBlobName(diskId)],
        [restoreContainer("web"), restoredBlobName("r", diskId, 0)],
      ] as const;
      for (const [container, name] of places) {
        expect(await blob(replicaOf(diskId), container, name)).toBe(true);
        expect(await blob(inOther, container, name)).toBe(false);
      }
    }
    expect(await stores.listStreams("web", "target")).toEqual([1, 2]);
    await stores.removeStream("web", 1, "target");
    for (const account of [target, cache]) expect(await exists(account, diskContainer("web", 1))).toBe(false);
    while ((await stores.removeTargetData("web", 2)).more);
    for (const account of [target, cache]) {
      expect(await exists(account, diskContainer("web", 2))).toBe(false);
      expect(await exists(account, restoreContainer("web"))).toBe(false);
    }
  });

  // Listing items needs an account without any: one pair of accounts for each test.
  itemStoresContract(async () => {
    const accounts = await startAccounts();
    opened.push(accounts);
    return {
      stores: openItemStores(accounts.all, { now: Date.now }),
      quarantined: async (itemId) => {
        const container = accounts.cache.retrying.getContainerClient(quarantineContainer(itemId));
        if (!(await container.exists())) return [];
        const found: Uint8Array[] = [];
        for await (const blob of container.listBlobsFlat())
          found.push(await container.getBlobClient(blob.name).downloadToBuffer());
        return found;
      },
    };
  });
});
