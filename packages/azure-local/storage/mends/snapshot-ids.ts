import { type Azurite, type BlobMetadataStore, changed } from "../azurite-modules.ts";
import { replaceMethod, type Undo } from "./patch.ts";

/**
 * Gives snapshots of one blob unique ids. Azurite names a snapshot after the millisecond in which its request began, so
 * two in one millisecond share a name with different contents. A snapshot that comes too early is named after the next
 * free millisecond.
 */
export function mendSnapshotIds(azurite: Azurite): Undo {
  const lastOfStore = new WeakMap<BlobMetadataStore, Map<string, number>>();
  return replaceMethod(
    azurite.blobMetadataStore,
    "createSnapshot",
    (original) =>
      function (this: BlobMetadataStore, context, account, container, blob, ...rest) {
        const last = lastOfStore.get(this) ?? new Map<string, number>();
        lastOfStore.set(this, last);
        const blobs = this.db.getCollection(this.BLOBS_COLLECTION);
        if (blobs === null) throw changed("the collection of blobs");
        const key = `${container}/${blob}`;
        const nowMs = context.startTime.getTime();
        let idMs = Math.max(nowMs, (last.get(key) ?? 0) + 1);
        // After a restart with a clock that went back, only the collection knows all ids.
        const taken = (ms: number): boolean =>
          blobs.findOne({ name: blob, snapshot: snapshotId(ms), containerName: container, accountName: account }) !==
          null;
        while (taken(idMs)) idMs++;
        forgetOlder(last, nowMs);
        last.set(key, idMs);
        // The original reads the time from the context; the rest stays the request's.
        const ownTime: typeof context = Object.create(context, { startTime: { value: new Date(idMs) } });
        return original.call(this, ownTime, account, container, blob, ...rest);
      },
  );
}

const REMEMBERED_MAX = 1_000;

/** Only names of this moment and later can collide. */
function forgetOlder(last: Map<string, number>, nowMs: number): void {
  if (last.size < REMEMBERED_MAX) return;
  for (const [key, ms] of last) if (ms < nowMs) last.delete(key);
}

/** Azure's form has seven decimals. */
function snapshotId(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "0000Z");
}
