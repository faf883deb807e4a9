import type { DeltaFlags, ExtentContent } from "../../replication/delta/delta.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { SECTOR_BYTES } from "../../replication/limits.ts";
import { ITEM_RECORD, deltaName } from "../../replication/names.ts";
import type { ItemStores, TargetDisk } from "../../replication/ports.ts";
import type { DiskDescription, Position } from "../../replication/position.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import type { ProtectedItem } from "../../replication/records/item.ts";
import { createProgress, initialProgress } from "../../replication/records/progress.ts";
import { startOf } from "../../replication/records/streams.ts";

export const ITEM_ID = "vm-1";
export const STREAM = 1;
const NONCE = "0123456789abcdef0123456789abcdef";
/** When the source wrote epoch 0: epoch e follows e minutes later. */
export const SOURCE_START_MS = 1_700_000_000_000;
const EPOCH_MS = 60_000;

/** What one epoch does: extents per disk as the encoder takes them, and its flags. */
export interface EpochPlan {
  readonly extents: readonly ExtentContent[];
  readonly flags: DeltaFlags;
}

export interface SealedEpoch extends EpochPlan {
  readonly bytes: Uint8Array;
  readonly end: Position;
  readonly firstWriteMs: number;
  readonly lastWriteMs: number;
}

export const CRASH: DeltaFlags = { consistency: "crash", seeding: false, final: false, groupMark: false };

export function smallItem(disks: readonly DiskDescription[], pointIntervalMs: number): ProtectedItem {
  return {
    version: 1,
    itemId: ITEM_ID,
    stream: STREAM,
    nonce: NONCE,
    openedMs: SOURCE_START_MS,
    disks,
    policy: { pointIntervalMs, retentionMs: 86_400_000 },
    createdMs: SOURCE_START_MS,
    registrationHash: undefined,
    tokenHash: undefined,
  };
}

/** Two disks of so many sectors. */
export function twoDisks(sectors: number): readonly DiskDescription[] {
  const sizeBytes = sectors * SECTOR_BYTES;
  return [
    { id: "data", sizeBytes, sectorSizeBytes: 512 },
    { id: "os", sizeBytes, sectorSizeBytes: 512 },
  ];
}

/** Enables the item: record, progress and empty target disks. */
export async function enable(stores: ItemStores, item: ProtectedItem): Promise<void> {
  await stores.createContainers(item.itemId, item.stream);
  await stores.records(item.itemId).create(ITEM_RECORD, encodeRecord(item));
  await createProgress(stores.records(item.itemId), initialProgress(item));
  for (const disk of item.disks) await stores.disks.create(targetDisk(item, disk.id), disk.sizeBytes);
}

export function targetDisk(item: ProtectedItem, diskId: string): TargetDisk {
  return { itemId: item.itemId, stream: item.stream, diskId };
}

/** Seals a chain of epochs with the real encoder. Index 0 is epoch 1. */
export function sealEpochs(item: ProtectedItem, plans: readonly EpochPlan[], start?: Position): readonly SealedEpoch[] {
  let previous = start ?? startOf(item);
  return plans.map((plan) => {
    const epoch = previous.epoch + 1;
    const firstWriteMs = SOURCE_START_MS + epoch * EPOCH_MS;
    const lastWriteMs = firstWriteMs + EPOCH_MS / 2;
    const header = {
      itemId: item.itemId,
      stream: item.stream,
      epoch,
      firstWriteMs,
      lastWriteMs,
      start: previous,
      disks: item.disks,
      flags: plan.flags,
    };
    const { bytes, end } = encodeDelta(header, plan.extents);
    previous = end;
    return { ...plan, bytes, end, firstWriteMs, lastWriteMs };
  });
}

export async function upload(stores: ItemStores, epoch: SealedEpoch): Promise<void> {
  await stores.cache(ITEM_ID, epoch.end.stream).create(deltaName(epoch.end.stream, epoch.end.epoch), epoch.bytes);
}

/**
 * The disks after the first `count` epochs, as plain byte arrays: the model that every recovery point must equal (rule
 * 1).
 */
export function modelAfter(item: ProtectedItem, epochs: readonly EpochPlan[], count: number): readonly Uint8Array[] {
  const disks = item.disks.map((disk) => new Uint8Array(disk.sizeBytes));
  for (const { extents } of epochs.slice(0, count)) {
    for (const extent of extents) {
      const disk = disks[extent.disk];
      if (extent.kind === "data") disk?.set(extent.bytes, extent.offsetBytes);
      else disk?.fill(0, extent.offsetBytes, extent.offsetBytes + extent.lengthBytes);
    }
  }
  return disks;
}
