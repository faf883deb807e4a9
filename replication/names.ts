/**
 * All names that Leeward uses in storage. Numbers have fixed width, so that names sort as text and the next one is
 * computed.
 */
import { LeewardError } from "./errors.ts";
import { DISK_ID_MAX_LENGTH, ITEM_ID_MAX_LENGTH } from "./limits.ts";

const CACHE_PREFIX = "leeward-cache-";
const MANAGEMENT_PREFIX = "leeward-management-";
const ITEM_PREFIX = "leeward-item-";
const DISK_PREFIX = "leeward-disk-";

/**
 * In the cache account: the deltas of one stream, and nothing else. One per stream, so that a grant opens only one
 * stream.
 */
export const cacheContainer = (itemId: string, stream: number): string =>
  `${CACHE_PREFIX}${itemId}-${fixed(stream, 10)}`;
export const cacheContainersPrefix = (itemId: string): string => `${CACHE_PREFIX}${itemId}-`;
/** In the cache account: blobs of the item's cache containers that the sweep did not recognise. */
export const quarantineContainer = (itemId: string): string => `leeward-foreign-${itemId}`;
/**
 * In the control account: what outlives an item's protection, its jobs, its ledger and the stream numbers it used. The
 * containers of this name are the index of all items.
 */
export const managementContainer = (itemId: string): string => `${MANAGEMENT_PREFIX}${itemId}`;
/** In the target account: the records, journal and manifests of one item. */
export const itemContainer = (itemId: string): string => `${ITEM_PREFIX}${itemId}`;
/** In the target account: the target page blobs of one stream. */
export const diskContainer = (itemId: string, stream: number): string => `${DISK_PREFIX}${itemId}-${fixed(stream, 10)}`;
export const diskContainersPrefix = (itemId: string): string => `${DISK_PREFIX}${itemId}-`;
/**
 * The stream in a container's name after one of the two prefixes above; undefined for the container of another item
 * whose name begins alike.
 */
export const streamOfContainer = (prefix: string, container: string): number | undefined =>
  container.startsWith(prefix) && /^\d{10}$/.test(container.slice(prefix.length))
    ? Number(container.slice(prefix.length))
    : undefined;
/** In the target account: the page blobs that restores made. */
export const restoreContainer = (itemId: string): string => `leeward-restore-${itemId}`;

export const deltaName = (stream: number, epoch: number): string => `${fixed(stream, 10)}/${fixed(epoch, 12)}`;
export const journalName = (stream: number, epoch: number): string => `journal/${deltaName(stream, epoch)}`;
export const diskBlobName = (diskId: string): string => `${diskId}.vhd`;
/** `attempt`: which copy of the disk; each has its own name, so that none replaces another. */
export const restoredBlobName = (restoreId: string, diskId: string, attempt = 0): string =>
  attempt === 0 ? `${restoreId}/${diskId}.vhd` : `${restoreId}/${attempt}/${diskId}.vhd`;
export const ITEM_RECORD = "item.json";
export const PROGRESS_RECORD = "progress.json";
export const STREAMS_RECORD = "streams.json";
export const HEARTBEAT_RECORD = "heartbeat.json";
export const ALERT_RECORD = "alerts.json";
export const EVENTS_RECORD = "events.json";
export const POINT_WANTED_RECORD = "point-wanted.json";
export const POINTS_PREFIX = "points/";
export const manifestName = (pointId: string): string => `${POINTS_PREFIX}${pointId}/manifest.json`;
export const pinsName = (pointId: string): string => `${POINTS_PREFIX}${pointId}/pins.json`;
export const RESTORES_PREFIX = "restores/";
export const restoreRecordName = (restoreId: string): string => `${RESTORES_PREFIX}${restoreId}.json`;

/** In the control account: records that belong to no single item. */
export const CONTROL_CONTAINER = "leeward-control";
export const POLICIES_PREFIX = "policies/";
export const policyRecordName = (name: string): string => `${POLICIES_PREFIX}${name}.json`;
export const NETWORK_MAPPINGS_RECORD = "network-mappings.json";
export const SERVICE_KEY_RECORD = "service-key.json";

/**
 * Queues in the control account. Hints carry Event Grid's deliveries and a worker's hand-over to its own next slice.
 */
export const HINTS_QUEUE = "leeward-hints";
export const RESTORES_QUEUE = "leeward-restores";
/** Accepted alerts that wait for a decision. */
export const ALERTS_QUEUE = "leeward-alerts";

/** The item whose deltas live in this container, or undefined for a container of another kind. */
export function itemOfCacheContainer(container: string): string | undefined {
  const itemId = /^leeward-cache-(.+)-\d{10}$/.exec(container)?.[1];
  return itemId !== undefined && isItemId(itemId) ? itemId : undefined;
}

/** The item that this container of the control account is about. */
export function itemOfManagementContainer(container: string): string | undefined {
  const itemId = container.startsWith(MANAGEMENT_PREFIX) ? container.slice(MANAGEMENT_PREFIX.length) : "";
  return isItemId(itemId) ? itemId : undefined;
}
export const MANAGEMENT_CONTAINER_PREFIX = MANAGEMENT_PREFIX;

/** Parses `{stream:010}/{epoch:012}`; undefined for any other text. */
export function parseDeltaName(name: string): { readonly stream: number; readonly epoch: number } | undefined {
  const match = /^(\d{10})\/(\d{12})$/.exec(name);
  return match === null ? undefined : { stream: Number(match[1]), epoch: Number(match[2]) };
}

/** Item ids become part of container names: lower-case letters, digits and single hyphens, at most 36 characters. */
export function isItemId(text: string): boolean {
  return text.length <= ITEM_ID_MAX_LENGTH && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(text);
}

/**
 * Disk ids follow Azure's disk names: letters, digits, `_`, `.`, `-`, starting with a letter or digit, at most 80
 * characters.
 */
export function isDiskId(text: string): boolean {
  return text.length <= DISK_ID_MAX_LENGTH && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text);
}

function fixed(value: number, digits: number): string {
  const text = String(value);
  if (!Number.isSafeInteger(value) || value < 0 || text.length > digits) {
    throw new LeewardError("internal", `${value} does not fit a name of ${digits} digits`);
  }
  return text.padStart(digits, "0");
}
