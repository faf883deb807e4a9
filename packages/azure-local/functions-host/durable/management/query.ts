import { DURABLE_PAGE_MAX_COUNT } from "../../../limits.ts";
import type { InstanceRow } from "../stores/store.ts";

/** Which instances a caller asks for; undefined members do not restrict. */
export interface Condition {
  readonly createdFromMs: number | undefined;
  readonly createdToMs: number | undefined;
  /** Empty: all. */
  readonly statuses: readonly string[];
  readonly idPrefix: string | undefined;
}

export interface Page {
  readonly rows: readonly InstanceRow[];
  /** For the next page; undefined after the last one. */
  readonly token: string | undefined;
}

export function readCondition(query: URLSearchParams): Condition {
  const statuses = query
    .getAll("runtimeStatus")
    .flatMap((list) => list.split(","))
    .map((status) => status.trim())
    .filter((status) => status !== "");
  return {
    createdFromMs: readTime(query.get("createdTimeFrom")),
    createdToMs: readTime(query.get("createdTimeTo")),
    statuses,
    idPrefix: query.get("instanceIdPrefix") ?? undefined,
  };
}

export const matches = ({ createdFromMs, createdToMs, statuses, idPrefix }: Condition, row: InstanceRow): boolean =>
  (createdFromMs === undefined || row.createdMs >= createdFromMs) &&
  (createdToMs === undefined || row.createdMs <= createdToMs) &&
  (statuses.length === 0 || statuses.some((status) => status.toLowerCase() === row.status.toLowerCase())) &&
  (idPrefix === undefined || row.id.startsWith(idPrefix));

/** The instances after the token, ordered by id, so that pages stay right whatever starts and ends meanwhile. */
export function pageOf(
  rows: readonly InstanceRow[],
  condition: Condition,
  top: number | undefined,
  token: string | undefined,
): Page {
  const count = top === undefined || !Number.isInteger(top) || top < 1 ? DURABLE_PAGE_MAX_COUNT : top;
  const after = token === undefined || token === "" ? undefined : Buffer.from(token, "base64url").toString("utf8");
  const matching = rows
    .filter((row) => (after === undefined || row.id > after) && matches(condition, row))
    .toSorted((left, right) => (left.id < right.id ? -1 : 1));
  const page = matching.slice(0, count);
  const last = page.at(-1);
  const hasMore = last !== undefined && matching.length > page.length;
  return { rows: page, token: hasMore ? Buffer.from(last.id, "utf8").toString("base64url") : undefined };
}

/** Undefined for an invalid time, which the real host ignores too. */
function readTime(text: string | null): number | undefined {
  const timeMs = Date.parse(text ?? "");
  return Number.isNaN(timeMs) ? undefined : timeMs;
}
