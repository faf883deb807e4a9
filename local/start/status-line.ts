import type { OperatorApi } from "../supervisor/operator-api.ts";

export interface StatusFacts {
  readonly api: OperatorApi;
  readonly itemId: string;
  /** Percentage of initial replication that the service has read, undefined when it is done or unknown. */
  readonly seedingPercentage: number | undefined;
  readonly guestRequests: number | undefined;
  readonly nowMs: number;
}

/** Positions, points and RPO in one line. */
export async function statusLine({ api, itemId, seedingPercentage, guestRequests, nowMs }: StatusFacts): Promise<string> {
  const item = await api.item(itemId);
  const points = await api.points(itemId);
  const newest = points[0];
  const parts = [
    clock(nowMs),
    item.stopped === undefined ? item.stage : `STOPPED: ${item.stopped}`,
    ...(seedingPercentage === undefined ? [] : [`${seedingPercentage} % read`]),
    `uploaded ${item.uploadedEpoch ?? "-"}, applied ${item.appliedEpoch}`,
    newest === undefined ? "no point yet" : `${points.length} points, newest of ${clock(newest.sourceTimeMs)}`,
    `RPO ${item.rpoSeconds === undefined ? "-" : `${item.rpoSeconds} s`}`,
    `health ${item.health}`,
    ...(guestRequests === undefined ? [] : [`guest wrote ${guestRequests} records`]),
  ];
  return parts.join("  ");
}

const clock = (timeMs: number): string => new Date(timeMs).toTimeString().slice(0, 8);
