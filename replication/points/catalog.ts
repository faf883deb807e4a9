import { mapConcurrently } from "../concurrency.ts";
import { LeewardError } from "../errors.ts";
import { POINT_LIST_PAGES_MAX, POINT_LIST_PAGE_MAX_COUNT, POINT_READS_IN_FLIGHT } from "../limits.ts";
import { POINTS_PREFIX } from "../names.ts";
import type { RecordListing, RecordStore } from "../ports.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { type PointManifest, type PointRecord, type PointTombstone, isPointId, readPoint } from "./manifest.ts";
import { byPosition } from "./order.ts";
import { type PointPins, readPins } from "./pins.ts";
import type { CachedPoint, PointCache } from "./point-cache.ts";

/** Unreadable records by point id, with the error. Only their own point is unusable. */
type DamagedRecords = ReadonlyMap<string, LeewardError>;

/** The recovery points of one item, as one listing shows them. */
export interface PointList {
  /** In the order of their positions, oldest first. */
  readonly points: readonly PointManifest[];
  readonly tombstones: readonly PointTombstone[];
  /** Blobs under the name of a manifest that are not one. */
  readonly damagedManifests: DamagedRecords;
}

/** All records under `points/` of one item, as one listing shows them. */
export interface PointCatalog extends PointList {
  /** By point id, in the order of their ids. */
  readonly pins: ReadonlyMap<string, PointPins>;
  /** It is unknown who holds these points, or whether they are being removed. */
  readonly damagedPins: DamagedRecords;
}

/** Lists and reads; never on the hot path. Blobs with other names are ignored. */
export async function listPoints(records: RecordStore): Promise<PointList> {
  return readManifests((await listNames(records)).manifests, (pointId) => readPoint(records, pointId));
}

/** The same with the pins. */
export async function readCatalog(records: RecordStore): Promise<PointCatalog> {
  const { manifests, pins } = await listNames(records);
  return withPins(records, pins, await readManifests(manifests, (pointId) => readPoint(records, pointId)));
}

/** The same for repeated reads: manifests never change, so those in `cache` are not read. */
export async function readCatalogAgain(records: RecordStore, itemId: string, cache: PointCache): Promise<PointCatalog> {
  const { manifests, pins } = await listNames(records);
  const found: CachedPoint[] = [];
  const list = await readManifests(manifests, async (pointId) => {
    const etag = manifests.get(pointId) ?? "";
    const record = cache.find(itemId, pointId, etag) ?? (await readPoint(records, pointId));
    if (record !== undefined) found.push({ etag, record });
    return record;
  });
  cache.keep(itemId, found);
  return withPins(records, pins, list);
}

async function withPins(records: RecordStore, pointIds: Etags, list: PointList): Promise<PointCatalog> {
  const { found: pins, damaged: damagedPins } = await readAll([...pointIds.keys()], (pointId) =>
    readPins(records, pointId),
  );
  return { ...list, pins, damagedPins };
}

async function readManifests(
  pointIds: Etags,
  read: (pointId: string) => Promise<PointRecord | undefined>,
): Promise<PointList> {
  const { found, damaged } = await readAll([...pointIds.keys()], read);
  return {
    points: [...found.values()].filter((record) => record.kind === "point").toSorted(byPosition),
    tombstones: [...found.values()].filter((record) => record.kind === "tombstone"),
    damagedManifests: damaged,
  };
}

/** Ids of points in their order, with the etag of the record. */
type Etags = ReadonlyMap<string, string>;

async function listNames(records: RecordStore): Promise<{ readonly manifests: Etags; readonly pins: Etags }> {
  const manifests = new Map<string, string>();
  const pins = new Map<string, string>();
  for (const { name, etag } of await listAll(records)) {
    const match = /^points\/([^/]+)\/(manifest|pins)\.json$/.exec(name);
    const pointId = match?.[1];
    if (pointId === undefined || !isPointId(pointId)) continue;
    (match?.[2] === "pins" ? pins : manifests).set(pointId, etag);
  }
  return { manifests, pins };
}

async function listAll(records: RecordStore): Promise<readonly RecordListing[]> {
  const names: RecordListing[] = [];
  for (let page = 0; page < POINT_LIST_PAGES_MAX; page += 1) {
    const listed = await records.list(POINTS_PREFIX, POINT_LIST_PAGE_MAX_COUNT, names.at(-1)?.name);
    if (listed.length === 0) return names;
    names.push(...listed);
  }
  throw new LeewardError("internal", "The item has more points than any policy keeps.", { names: names.length });
}

interface ReadRecords<Body> {
  readonly found: ReadonlyMap<string, Body>;
  readonly damaged: DamagedRecords;
}

/** Keeps the order of the ids; records that vanished meanwhile are left out. */
async function readAll<Body>(
  ids: readonly string[],
  read: (id: string) => Promise<Body | undefined>,
): Promise<ReadRecords<Body>> {
  const looked = await mapConcurrently(POINT_READS_IN_FLIGHT, ids, (id) =>
    unlessDamaged(
      async () => ({ id, body: await read(id), damage: undefined }),
      (damage) => ({ id, body: undefined, damage }),
    ),
  );
  const found = new Map<string, Body>();
  const damaged = new Map<string, LeewardError>();
  for (const { id, body, damage } of looked) {
    if (body !== undefined) found.set(id, body);
    if (damage !== undefined) damaged.set(id, damage);
  }
  return { found, damaged };
}
