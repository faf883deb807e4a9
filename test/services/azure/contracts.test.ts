import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
