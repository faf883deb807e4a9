import { LeewardError } from "../errors.ts";
import { PROGRESS_RECORD } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import type { ItemStores } from "../ports.ts";
import type { DiskDescription } from "../position.ts";
import type { Progress, ProtectedItem } from "../records/item.ts";
import { initialProgress, progressRecord } from "../records/progress.ts";
import { untilWritten } from "../records/record.ts";
import { targetBlobBytes, vhdDataBytes, vhdFooter, vhdUniqueId } from "../records/vhd-footer.ts";

/** Below every worker's generation: these writes are fenced once the first worker has claimed the disks. */
const PREPARE_GENERATION = 0;

/**
 * Makes the containers and empty target disks of a stream that `item.json` is about to announce. Idempotent. Errors:
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

/** A progress record that an operator discards: the damaged one with this etag, or one that is gone. */
export interface GivenUpProgress {
  readonly etag: string | undefined;
}

/**
 * Makes the progress record that of the stream which `item.json` announces, wherever a crash stopped an earlier call. A
 * record of that stream, or of a newer one, is left alone, so that a slow caller undoes nothing. The change fences any
 * holder of a claim of the previous stream. Errors: `record-corrupt` for a damaged record, and for one that is gone
 * although a service has registered, unless it is the one discarded; `stream-closed`, `conflict`.
 */
export async function ensureProgress(
  stores: ItemStores,
  item: ProtectedItem,
  givenUp?: GivenUpProgress,
): Promise<void> {
  const record = progressRecord(stores.records(item.itemId));
  const next = initialProgress(item);
  await untilWritten(PROGRESS_RECORD, async () => {
    const stored = await record.inspect();
    if (stored === undefined && givenUp === undefined && item.machineId !== undefined) throw progressGone(item.itemId);
    const isGivenUp = stored === undefined || givenUp?.etag === stored.etag;
    if (!isGivenUp && "damage" in stored) throw stored.damage;
    const found = isGivenUp || "damage" in stored ? undefined : stored.body;
    if (found !== undefined && found.stream >= item.stream) return { result: undefined };
    const etag = await record.replace(following(next, found, item), stored?.etag);
    return etag === undefined ? undefined : { result: undefined };
  });
}

export function progressGone(itemId: string): LeewardError {
  return new LeewardError("record-corrupt", "The progress record of the item is gone.", {
    itemId,
    name: PROGRESS_RECORD,
  });
}

/** Generations only rise, and the last point of this life stays its last point. */
function following(next: Progress, found: Progress | undefined, { createdMs }: ProtectedItem): Progress {
  if (found === undefined) return next;
  const { generation, lastPoint } = found;
  return {
    ...next,
    generation,
    lastPoint: lastPoint !== undefined && lastPoint.targetTimeMs >= createdMs ? lastPoint : undefined,
  };
}
