import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { GuestTotals } from "../lab/guest.ts";
import type { RecoveryPoint } from "../supervisor/operator-api.ts";
import type { StoreFigures } from "./observations.ts";
import { mebibytes, percentile, secondsText, type Terminal } from "./terminal.ts";

/** The guest's and the store's activity in one stretch of time. */
export interface Stretch {
  readonly guest: GuestTotals;
  readonly store: StoreFigures;
  readonly tookMs: number;
}

export function showStretch(terminal: Terminal, heading: string, { guest, store, tookMs }: Stretch): void {
  const perDelta = (value: number): string =>
    store.deltas === 0 ? "" : `${(value / store.deltas).toFixed(1)} a delta`;
  const share = guest.bytes === 0 ? "" : `${(store.deltaBytes / guest.bytes).toFixed(2)} of the guest's bytes`;
  const perWrite =
    guest.requests === 0
      ? ""
      : `${((store.putPages + store.clearPages) / guest.requests).toFixed(2)} page writes a guest write`;
  terminal.table(`${heading} (${secondsText(tookMs)})`, [
    ["guest writes", String(guest.requests), `${mebibytes(guest.bytes)}, ${guest.flushes} flushes`],
    ["deltas", String(store.deltas), `${mebibytes(store.deltaBytes)}, ${share}`],
    ["Put Pages / Clear Pages", `${store.putPages} / ${store.clearPages}`, perWrite],
    ["recovery points", String(store.points)],
    ["blob operations", String(store.blobOperations), perDelta(store.blobOperations)],
    [
      "LISTs",
      String(store.lists),
      "of timers that look for due points and lost events; none while deltas come in order",
    ],
    ["queue operations", String(store.queueOperations), "polling included"],
  ]);
}

export function showKinds(terminal: Terminal, store: StoreFigures): void {
  const kinds = [...store.byKind].toSorted(([, left], [, right]) => right - left);
  terminal.table(
    "store operations by kind",
    kinds.map(([name, count]) => [name, String(count)]),
  );
}

/** The age of each point's content when the point was taken: the data loss of a disaster at that moment. */
export function showPoints(
  terminal: Terminal,
  points: readonly RecoveryPoint[],
  times: { readonly restoredMs: number; readonly failedOverMs: number },
): void {
  const ages = points.map((point) => point.targetTimeMs - point.sourceTimeMs);
  const show = (share: number): string => {
    const value = percentile(ages, share);
    return value === undefined ? "-" : secondsText(value);
  };
  const taken = points.map((point) => point.targetTimeMs).toSorted((left, right) => left - right);
  const gaps = taken.slice(1).map((timeMs, at) => timeMs - (taken[at] ?? timeMs));
  terminal.table("recovery points and restores", [
    ["recovery points", String(points.length)],
    ["RPO p50 / p99", `${show(0.5)} / ${show(0.99)}`, "age of a point's content when the point was taken"],
    [
      "longest time between points",
      secondsText(Math.max(0, ...gaps)),
      "a killed app's claim ends after 30 s, then the sweep takes over",
    ],
    ["time to restore and download", secondsText(times.restoredMs)],
    ["from the alert's decision to the running machine", secondsText(times.failedOverMs)],
  ]);
}

/** How often the host began each function, over all its lives, from its log: apply has no other way to run. */
export async function invocationsByFunction(logFolder: string): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const line of (await readFile(join(logFolder, "app.jsonl"), "utf8")).split("\n")) {
    if (!line.includes('"invocation-started"')) continue;
    const entry = JSON.parse(line) as { readonly event?: string; readonly function?: string };
    if (entry.event === "invocation-started" && entry.function !== undefined)
      counts.set(entry.function, (counts.get(entry.function) ?? 0) + 1);
  }
  return counts;
}
