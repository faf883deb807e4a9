import type { KeptChild } from "../supervisor/kept-child.ts";
import type { ItemView, OperatorApi, RecoveryPoint } from "../supervisor/operator-api.ts";

export interface StatusFacts {
  readonly api: OperatorApi;
  readonly itemId: string;
  /** Percentage of initial replication that the service has read, undefined when it is done or unknown. */
  readonly seedingPercentage: number | undefined;
  readonly guestRecords: number | undefined;
  readonly states: { readonly app: KeptChild["state"]; readonly mobility: KeptChild["state"] };
  readonly nowMs: number;
}

/** Positions, points and RPO in one line; if the app is down, only that. */
export async function statusLine(facts: StatusFacts): Promise<string> {
  const { states, nowMs } = facts;
  const troubles = [
    ...(states.app === "running" ? [] : [`the function app is ${states.app}`]),
    ...(states.mobility === "running" ? [] : [`the mobility service is ${states.mobility}`]),
  ];
  const state = states.app === "running" ? await itemLine(facts) : [];
  return [clock(nowMs), ...troubles, ...state].join("  ");
}

async function itemLine({ api, itemId, seedingPercentage, guestRecords }: StatusFacts): Promise<readonly string[]> {
  let item: ItemView;
  let points: readonly RecoveryPoint[];
  try {
    [item, points] = [await api.item(itemId), await api.points(itemId)];
  } catch (error) {
    // It may die between two polls; it is then restarted, and a wrong answer is worth a line too.
    return [error instanceof Error ? error.message : String(error)];
  }
  const newest = points[0];
  return [
    item.stopped === undefined ? item.stage : `STOPPED: ${item.stopped}`,
    ...(seedingPercentage === undefined ? [] : [`${seedingPercentage} % read`]),
    `uploaded ${item.uploadedEpoch ?? "-"}, applied ${item.appliedEpoch}`,
    newest === undefined ? "no point yet" : `${points.length} points, newest of ${clock(newest.sourceTimeMs)}`,
    `RPO ${item.rpoSeconds === undefined ? "-" : `${item.rpoSeconds} s`}`,
    `health ${item.health}`,
    ...(guestRecords === undefined ? [] : [`guest wrote ${guestRecords} records`]),
  ];
}

const clock = (timeMs: number): string => new Date(timeMs).toTimeString().slice(0, 8);
