import { decodeProgress, initialProgress } from "../records/progress.ts";
import { LeewardError } from "../errors.ts";
import { RECORD_CHANGES_MAX_TRIES } from "../limits.ts";
import type { ItemStores } from "../ports.ts";
import type { DiskDescription } from "../position.ts";
import type { ItemContext } from "../points/context.ts";
import type { Progress, ProtectedItem } from "../records/item.ts";
import { PROGRESS_RECORD } from "../names.ts";
import { encodeRecord } from "../records/envelope.ts";
import { targetBlobBytes, vhdDataBytes, vhdFooter, vhdUniqueId } from "../records/vhd-footer.ts";

/**
 * Below every worker's generation: what is written here is fenced as soon as the first worker has claimed the disks.
 */
const PREPARE_GENERATION = 0;

/**
 * The containers and empty target disks of a stream that `item.json` is about to announce. Can be done twice. Errors:
 * those of the ports.
 */
export async function prepareStream({ stores }: ItemContext, item: ProtectedItem): Promise<void> {
  await stores.createContainers(item.itemId, item.stream);
  for (const disk of item.disks) await prepareDisk(stores, item, disk);
}

/** A blob of zeros with the footer at its end, so that every later point is a complete fixed VHD. */
async function prepareDisk(stores: ItemStores, item: ProtectedItem, disk: DiskDescription): Promise<void> {
  const target = { itemId: item.itemId, stream: item.stream, diskId: disk.id };
  const footer = vhdFooter({
    sizeBytes: vhdDataBytes(disk.sizeBytes),
    uniqueId: vhdUniqueId(item.itemId, item.stream, disk.id),
    createdMs: item.openedMs,
  });
  await stores.disks.create(target, targetBlobBytes(disk.sizeBytes));
  await stores.disks.writePages(target, vhdDataBytes(disk.sizeBytes), footer, PREPARE_GENERATION);
}

/** A progress record that an operator gives up: the damaged one with this etag, or one that is gone. */
export interface GivenUpProgress {
  readonly etag: string | undefined;
}

/**
 * Makes the progress record that of the stream which `item.json` announces, however far a crash let an earlier call
 * come. A record of that stream, or of a newer one, is left alone, so that a slow caller undoes nothing. Whoever holds
 * a claim of the stream before is fenced by the change. Errors: `record-corrupt` for a damaged record, and for one that
 * is gone although a service has registered, unless it is the one given up; `stream-closed`, `conflict`.
 */
export async function ensureProgress(
  stores: ItemStores,
  item: ProtectedItem,
  givenUp?: GivenUpProgress,
): Promise<void> {
  const records = stores.records(item.itemId);
  const next = initialProgress(item);
  for (let tries = 0; tries < RECORD_CHANGES_MAX_TRIES; tries += 1) {
    const stored = await records.read(PROGRESS_RECORD);
    if (stored === undefined) {
      if (givenUp === undefined && item.machineId !== undefined) throw progressGone(item.itemId);
      if ((await records.create(PROGRESS_RECORD, encodeRecord(next))) !== undefined) return;
      continue;
    }
    const found = givenUp?.etag === stored.etag ? undefined : decodeProgress(stored.bytes);
    if (found !== undefined && found.stream >= item.stream) return;
    if ((await records.replace(PROGRESS_RECORD, encodeRecord(following(next, found, item)), stored.etag)) !== undefined)
      return;
  }
  throw new LeewardError("conflict", "The progress record was changed by others all the time.", {
    itemId: item.itemId,
  });
}

export function progressGone(itemId: string): LeewardError {
  return new LeewardError("record-corrupt", "The progress record of the item is gone.", {
    itemId,
    name: PROGRESS_RECORD,
  });
}

/** Generations only rise, and the last point of this life is one still. */
function following(next: Progress, found: Progress | undefined, { createdMs }: ProtectedItem): Progress {
  if (found === undefined) return next;
  const { generation, lastPoint } = found;
  return {
    ...next,
    generation,
    lastPoint: lastPoint !== undefined && lastPoint.targetTimeMs >= createdMs ? lastPoint : undefined,
  };
}
