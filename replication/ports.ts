/**
 * What the domain needs from the outside. The domain owns these interfaces; `azure/` implements them for Azure Storage,
 * `test/memory/` in memory, and one contract suite per port holds every implementation to the sentences below.
 *
 * Errors, for every method: `outcome-unknown` when the request may still land (time-out, lost answer, 5xx on a write);
 * `store-busy` when the store reports that it is overloaded and did not perform a write (it may be sent again after a
 * pause); `store-unavailable` when a read failed for good after its retries; `store-refused` for credentials. Writes to
 * target disks are sent once, without retries of the client library.
 */

export interface StoredRecord {
  readonly bytes: Uint8Array;
  /** Changes with every write; compare-and-set needs it. */
  readonly etag: string;
}

export interface RecordListing {
  readonly name: string;
  readonly lengthBytes: number;
  /** Unix milliseconds of the store's clock. */
  readonly createdMs: number;
  /** Changes with every write, like the one of a read; compare it only with those of other listings. */
  readonly etag: string;
}

/**
 * Named immutable or compare-and-set blobs in one container. A missing container reads as empty; the first write makes
 * it.
 */
export interface RecordStore {
  /**
   * The whole blob, or undefined if there is none. At most `maxBytes` (default DELTA_MAX_BYTES) are read: a longer blob
   * gives `delta-too-large`, with its etag among the facts.
   */
  read(name: string, maxBytes?: number): Promise<StoredRecord | undefined>;
  /** Creates and returns the new etag; undefined if the name is taken (then nothing was changed). Atomic. */
  create(name: string, bytes: Uint8Array): Promise<string | undefined>;
  /**
   * Replaces if the etag still matches and returns the new one; undefined if it does not or the blob is gone. Atomic.
   */
  replace(name: string, bytes: Uint8Array, etag: string): Promise<string | undefined>;
  /** Creates or overwrites whatever is there: only for records whose last writer may win. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /**
   * Removes the blob with its snapshots; removing a missing one succeeds. With `etag`, only the version that was read:
   * any other blob of this name stays, and the call succeeds.
   */
  remove(name: string, etag?: string): Promise<void>;
  /**
   * Blobs whose name begins with `prefix`, in name order: only the first page, of at most `limit`. `after` resumes
   * after a name. Never on the hot path.
   */
  list(prefix: string, limit: number, after?: string): Promise<readonly RecordListing[]>;
}

/** A target page blob: one disk of one stream of one item. */
export interface TargetDisk {
  readonly itemId: string;
  readonly stream: number;
  readonly diskId: string;
}

export interface TargetDiskProperties {
  readonly etag: string;
  readonly sequenceNumber: number;
  readonly sizeBytes: number;
}

/**
 * The target page blobs as their one worker writes them. Every write is fenced by the worker's generation: `fenced`
 * once a newer one has been raised.
 */
export interface TargetDisks {
  /**
   * Makes a zero-filled page blob of `sizeBytes` (whole 512-byte pages). An existing one of that size is left as it is;
   * another size is `conflict`.
   */
  create(disk: TargetDisk, sizeBytes: number): Promise<void>;
  /** Sets the sequence number to max(current, generation), reads it back and returns it. */
  raiseSequenceNumber(disk: TargetDisk, generation: number): Promise<number>;
  /** Undefined if there is no such blob. */
  properties(disk: TargetDisk): Promise<TargetDiskProperties | undefined>;
  /**
   * One Put Page of at most 4 MiB with a transactional checksum, if the sequence number is at most `generation`; else
   * `fenced`.
   */
  writePages(disk: TargetDisk, offsetBytes: number, bytes: Uint8Array, generation: number): Promise<void>;
  /** One Clear Pages of any length under the same condition. */
  clearPages(disk: TargetDisk, offsetBytes: number, lengthBytes: number, generation: number): Promise<void>;
  /**
   * Snapshots the blob if its etag still matches, with the point's id as metadata; returns the snapshot's id, or
   * undefined if the etag changed.
   */
  snapshot(disk: TargetDisk, etag: string, pointId: string): Promise<string | undefined>;
}

export interface DiskSnapshot {
  readonly snapshot: string;
  /** Undefined for a snapshot that Leeward did not make: it is left alone. */
  readonly pointId: string | undefined;
  readonly createdMs: number;
}

export type CopyState =
  | { readonly kind: "missing" }
  | { readonly kind: "pending"; readonly copiedBytes: number; readonly totalBytes: number }
  | { readonly kind: "success" }
  | { readonly kind: "failed"; readonly reason: string };

/** A page blob of its own that a restore makes from a snapshot. */
export interface RestoredDisk {
  readonly itemId: string;
  readonly restoreId: string;
  readonly diskId: string;
  /** Which copy of the disk it is: a failed one is retried under another name. Undefined: the first, 0. */
  readonly attempt?: number | undefined;
}

/** Snapshots of target disks and the blobs copied from them. */
export interface DiskSnapshots {
  /** All snapshots of the disk, oldest first. Never on the hot path. */
  list(disk: TargetDisk): Promise<readonly DiskSnapshot[]>;
  /** Removing a missing snapshot succeeds. */
  remove(disk: TargetDisk, snapshot: string): Promise<void>;
  /**
   * Starts a copy inside the account; does nothing if the destination exists in any state. A missing snapshot is
   * `point-pruned`.
   */
  startCopy(disk: TargetDisk, snapshot: string, destination: RestoredDisk): Promise<void>;
  copyState(destination: RestoredDisk): Promise<CopyState>;
  /** Removes a restored blob, whatever its state; a missing one succeeds. */
  removeRestored(destination: RestoredDisk): Promise<void>;
  /** The plain address of the blob, without any credential. */
  restoredUrl(destination: RestoredDisk): Promise<string>;
}

/** The stores of one item, opened by its id. */
export interface ItemStores {
  /** The container of one stream in the cache account: deltas only. */
  cache(itemId: string, stream: number): RecordStore;
  /**
   * The item's container in the control account, for what outlives its protection: jobs, ledger, the stream numbers it
   * used. It needs no account of the item, so that it can tell of accounts that are still to be made.
   */
  management(itemId: string): RecordStore;
  /** The item's container in the target account: records, journal, manifests. */
  records(itemId: string): RecordStore;
  readonly disks: TargetDisks;
  readonly snapshots: DiskSnapshots;
  /** Item ids known to the control account, in order, at most `limit`, after `after`. */
  listItems(limit: number, after?: string): Promise<readonly string[]>;
  /** Makes the containers of a new stream, and those of a new item. Idempotent. */
  createContainers(itemId: string, stream: number): Promise<void>;
  /**
   * The streams that have a container there, in order: for deltas in the cache account, for page blobs in the target
   * account.
   */
  listStreams(itemId: string, place: StreamPlace): Promise<readonly number[]>;
  /** Removes the container of one stream with everything in it. Idempotent. */
  removeStream(itemId: string, stream: number, place: StreamPlace): Promise<void>;
  /**
   * Removes what the target account keeps of the item, a bounded part with each call: records (points first, so that no
   * restore of them starts), restored blobs, disks of all streams. `item.json` and `progress.json` stay. `more`: call
   * again. Disks of streams after `lastStream` belong to a later life and stay. Idempotent. Errors: as of `forgetItem`.
   */
  removeTargetData(itemId: string, lastStream: number): Promise<{ readonly more: boolean }>;
  /**
   * Removes what the cache account keeps of the item: deltas of all streams up to `lastStream`, and quarantine. Later
   * streams belong to a later life of the item. Idempotent.
   */
  removeCacheData(itemId: string, lastStream: number): Promise<void>;
  /**
   * The last step of a removal: `item.json`, then `progress.json`, then records that writers who had found the item
   * before wrote meanwhile. Until then a repeated removal still finds the item. Idempotent; a late effect does not hit
   * the first two of the item's next life. Errors: `conflict` when the item has a stream after
   * `lastStream`; then nothing is removed.
   */
  forgetItem(itemId: string, lastStream: number): Promise<void>;
  /**
   * Moves a whole blob of a stream's cache container into the item's quarantine container of the same account, then
   * removes it. Idempotent. With `etag`, only that version of the blob: a newer blob of the same name is left alone.
   */
  quarantine(itemId: string, stream: number, name: string, reason: string, etag?: string): Promise<void>;
}
export type StreamPlace = "cache" | "target";

/** A short-lived right to create blobs in the cache container of one stream (rule 8: create only). */
export interface CacheAccess {
  /** The address of the item's account, without a trailing slash: every container's address begins with it. */
  endpoint(itemId: string): Promise<string>;
  /** A container address with its credential, and when it ends (Unix milliseconds). */
  grantCreate(itemId: string, stream: number): Promise<{ readonly containerUrl: string; readonly expiresMs: number }>;
}

/** A short-lived right to read one restored blob. */
export interface RestoreAccess {
  grantRead(disk: RestoredDisk): Promise<{ readonly url: string; readonly expiresMs: number }>;
}

export interface Clock {
  /** Unix milliseconds. */
  now(): number;
}

export interface Timer {
  /** Resolves when this time has passed. */
  pause(durationMs: number): Promise<void>;
}

/** Unguessable lower-case hex ids. */
export interface Ids {
  next(): string;
}
