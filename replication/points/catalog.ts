import { inLanes } from "../apply/lanes.ts";
import { LeewardError } from "../errors.ts";
import { POINTS_PREFIX } from "../items/names.ts";
import { POINT_LIST_PAGES_MAX, POINT_LIST_PAGE_MAX_COUNT, POINT_READS_IN_FLIGHT } from "../limits.ts";
import type { RecordListing, RecordStore } from "../ports.ts";
import { type PointManifest, type PointTombstone, isPointId, readPoint } from "./manifest.ts";
import { type PointPins, readPins } from "./pins.ts";

/** Everything that stands under `points/` of one item at one look. */
export interface PointCatalog {
  /** Oldest first. */
  readonly points: readonly PointManifest[];
  readonly tombstones: readonly PointTombstone[];
  /** By point id, in the order of their ids. */
  readonly pins: ReadonlyMap<string, PointPins>;
}

/** Lists and reads; never on the hot path. Blobs with other names are left alone. Errors: `record-corrupt`. */
export async function readCatalog(records: RecordStore): Promise<PointCatalog> {
  const manifestIds: string[] = [];
  const pinIds: string[] = [];
  for (const { name } of await listAll(records)) {
    const match = /^points\/([^/]+)\/(manifest|pins)\.json$/.exec(name);
    const pointId = match?.[1];
    if (pointId === undefined || !isPointId(pointId)) continue;
    (match?.[2] === "pins" ? pinIds : manifestIds).push(pointId);
  }
  const found = await readAll(manifestIds, (pointId) => readPoint(records, pointId));
  return {
    points: [...found.values()].filter((record) => record.kind === "point"),
    tombstones: [...found.values()].filter((record) => record.kind === "tombstone"),
    pins: await readAll(pinIds, (pointId) => readPins(records, pointId)),
  };
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

/** Keeps the order of the ids; what vanished meanwhile is left out. */
async function readAll<Body>(ids: readonly string[], read: (id: string) => Promise<Body | undefined>): Promise<ReadonlyMap<string, Body>> {
  const found = new Map<string, Body>();
  await inLanes(POINT_READS_IN_FLIGHT, ids, async (id) => {
    const body = await read(id);
    if (body !== undefined) found.set(id, body);
  });
  return new Map(
    ids.flatMap((id) => {
      const body = found.get(id);
      return body === undefined ? [] : [[id, body] as const];
    }),
  );
}
