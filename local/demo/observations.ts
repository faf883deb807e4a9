import type { LocalStorage } from "@leeward/azure-local/storage";
import type { StorageOperation } from "@leeward/azure-local/storage/operation";
import { CACHE_ACCOUNT, TARGET_ACCOUNT } from "../supervisor/cloud.ts";

/**
 * The store's own counts over a stretch of time: the demo sends no requests for them, so counting costs and changes
 * nothing.
 */
export interface StoreFigures {
  /** Deltas that the mobility service uploaded, and their bytes. */
  readonly deltas: number;
  readonly deltaBytes: number;
  readonly putPages: number;
  readonly clearPages: number;
  readonly points: number;
  readonly lists: number;
  readonly blobOperations: number;
  readonly queueOperations: number;
  /** All operations by Azurite's name. */
  readonly byKind: ReadonlyMap<string, number>;
}

export interface Observations {
  /** Figures since the start or the last call of `restart`. */
  figures(): StoreFigures;
  restart(): void;
  /** Recovery points of the item created since the start, whatever `restart` did. */
  readonly points: number;
  end(): void;
}

/** Watches the operations on the item's containers. */
export function observeStore(storage: LocalStorage, itemId: string): Observations {
  let current = emptyCounts();
  let points = 0;
  const end = storage.observe((operation) => {
    count(current, operation, itemId);
    if (isManifest(operation, itemId)) points += 1;
  });
  return {
    figures: () => ({ ...current, byKind: new Map(current.byKind) }),
    restart: () => (current = emptyCounts()),
    get points() {
      return points;
    },
    end,
  };
}

type Counts = { -readonly [Key in keyof StoreFigures]: StoreFigures[Key] } & { byKind: Map<string, number> };

function emptyCounts(): Counts {
  return {
    deltas: 0,
    deltaBytes: 0,
    putPages: 0,
    clearPages: 0,
    points: 0,
    lists: 0,
    blobOperations: 0,
    queueOperations: 0,
    byKind: new Map(),
  };
}

function count(counts: Counts, operation: StorageOperation, itemId: string): void {
  counts.byKind.set(operation.operation, (counts.byKind.get(operation.operation) ?? 0) + 1);
  if (operation.service === "queue") {
    counts.queueOperations += 1;
    return;
  }
  counts.blobOperations += 1;
  if (/list/i.test(operation.operation)) counts.lists += 1;
  if (operation.status >= 300) return;
  if (
    operation.account === CACHE_ACCOUNT &&
    operation.container.startsWith(`leeward-cache-${itemId}-`) &&
    operation.method === "PUT"
  ) {
    counts.deltas += 1;
    counts.deltaBytes += operation.lengthBytes;
  }
  if (operation.operation === "PageBlob_UploadPages") counts.putPages += 1;
  if (operation.operation === "PageBlob_ClearPages") counts.clearPages += 1;
  if (isManifest(operation, itemId)) counts.points += 1;
}

function isManifest(operation: StorageOperation, itemId: string): boolean {
  return (
    operation.account === TARGET_ACCOUNT &&
    operation.container === `leeward-item-${itemId}` &&
    operation.operation === "BlockBlob_Upload" &&
    operation.status < 300 &&
    /^points\/.*\/manifest\.json$/.test(operation.blob)
  );
}
