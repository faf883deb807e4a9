import { setTimeout as sleep } from "node:timers/promises";
import { PAGE_WRITES_IN_FLIGHT, PUT_PAGE_MAX_BYTES } from "../replication/limits.ts";
import type { ItemStores } from "../replication/ports.ts";
import type { DiskDescription } from "../replication/position.ts";
import { createRandom } from "../test/memory/random.ts";
import { timeEachWrite, timeEngine } from "./engine-runs.ts";
import type { Figure } from "./figure.ts";
import { median } from "./statistics.ts";
import { deltasOf, epochsOf, type Content } from "./trace-deltas.ts";
import { textContent, type TraceWrite } from "./trace.ts";

const MIB = 1024 * 1024;
const EPOCH_MS = 5_000;
const BACKLOG_WRITES = 3_000;
/** Fewer are enough with one in flight: each takes as long as the next. */
const SINGLE_WRITES = 600;
const FAR_SINGLE_WRITES = 300;
/** Roughly a request's latency inside one Azure region; added to every request of both sides alike. */
const DISTANCE_MS = 5;

/**
 * A backlog of 5 s epochs of the trace, applied by the engine, against the same guest writes sent unmerged. Every round
 * measures all ways one after the other on the same store, in rotating order, so that a slow moment of the machine
 * affects them alike; the figures are medians of the rounds' ratios.
 */
export async function traceFigures(
  stores: ItemStores,
  trace: readonly TraceWrite[],
  disks: readonly DiskDescription[],
  rounds: number,
): Promise<readonly Figure[]> {
  const writes = trace.slice(0, BACKLOG_WRITES);
  const single = writes.slice(0, SINGLE_WRITES);
  const farSingle = writes.slice(0, FAR_SINGLE_WRITES);
  const contents = new Map(writes.map((write) => [write, textContent(write.content, write.lengthBytes)]));
  const content: Content = (write) => contents.get(write) ?? new Uint8Array();
  const epochs = epochsOf(writes, EPOCH_MS);
  const far = distant(stores, DISTANCE_MS);
  const rates = await inTurns(rounds, {
    engine: async (round) => {
      const itemId = `trace-${round}`;
      return bytesOf(writes) / (await timeEngine(stores, itemId, disks, [...deltasOf(itemId, disks, epochs, content)]));
    },
    equal: async (round) =>
      bytesOf(writes) / (await timeEachWrite(stores, `equal-${round}`, disks, writes, PAGE_WRITES_IN_FLIGHT, content)),
    one: async (round) => bytesOf(single) / (await timeEachWrite(stores, `one-${round}`, disks, single, 1, content)),
    farEngine: async (round) => {
      const itemId = `far-${round}`;
      return bytesOf(writes) / (await timeEngine(far, itemId, disks, [...deltasOf(itemId, disks, epochs, content)]));
    },
    farOne: async (round) =>
      bytesOf(farSingle) / (await timeEachWrite(far, `far-one-${round}`, disks, farSingle, 1, content)),
  });
  return [
    {
      name: `apply of the trace / one Put Page per guest write, ${PAGE_WRITES_IN_FLIGHT} in flight both`,
      value: ratio(rates.engine, rates.equal),
      unit: "x",
      goal: { kind: "at-least", bound: 3 },
    },
    {
      name: "apply of the trace / one Put Page per guest write, one in flight",
      value: ratio(rates.engine, rates.one),
      unit: "x",
      goal: { kind: "at-least", bound: 10 },
    },
    {
      name: `the same, ${DISTANCE_MS} ms added to every request`,
      value: ratio(rates.farEngine, rates.farOne),
      unit: "x",
      goal: undefined,
    },
    { name: "apply of the trace, guest bytes", value: speed(rates.engine), unit: "MiB/s", goal: undefined },
  ];
}

/**
 * Sequential content, as sent by initial replication, against plain Put Pages of 4 MiB at the same concurrency. The
 * figure is the one on text-like content, the trace's; incompressible content is the worst case, as the target takes
 * every byte twice, in the journal and in the pages.
 */
export async function sequentialFigures(stores: ItemStores, rounds: number): Promise<readonly Figure[]> {
  const writes: readonly TraceWrite[] = Array.from({ length: 24 }, (_, index) => ({
    atMs: Math.floor(index / 8) * 1_000,
    disk: 0,
    offsetBytes: index * PUT_PAGE_MAX_BYTES,
    lengthBytes: PUT_PAGE_MAX_BYTES,
    content: index,
  }));
  const disks = [{ id: "data", sizeBytes: bytesOf(writes), sectorSizeBytes: 512 }] as const;
  const random = createRandom(7).next;
  const noise = Uint8Array.from({ length: PUT_PAGE_MAX_BYTES }, () => random() * 256);
  const text = textContent(7, PUT_PAGE_MAX_BYTES);
  const engine = (kind: string, content: Content) => async (round: number) => {
    const itemId = `sequential-${kind}-${round}`;
    return (
      bytesOf(writes) /
      (await timeEngine(stores, itemId, disks, [...deltasOf(itemId, disks, epochsOf(writes, 1_000), content)]))
    );
  };
  const rates = await inTurns(rounds, {
    text: engine("text", () => text),
    best: async (round) =>
      bytesOf(writes) /
      (await timeEachWrite(stores, `best-${round}`, disks, writes, PAGE_WRITES_IN_FLIGHT, () => text)),
    noise: engine("noise", () => noise),
  });
  return [
    {
      name: "apply of sequential text-like content / the store's own best 4 MiB Put Pages",
      value: ratio(rates.text, rates.best),
      unit: "x",
      goal: { kind: "at-least", bound: 0.85 },
    },
    { name: "the same with incompressible content", value: ratio(rates.noise, rates.best), unit: "x", goal: undefined },
    { name: "apply of sequential text-like content", value: speed(rates.text), unit: "MiB/s", goal: undefined },
    { name: "the store's own best 4 MiB Put Pages", value: speed(rates.best), unit: "MiB/s", goal: undefined },
  ];
}

const bytesOf = (writes: readonly TraceWrite[]): number => writes.reduce((sum, write) => sum + write.lengthBytes, 0);

/** Bytes per millisecond of each way in each round. */
async function inTurns<Name extends string>(
  rounds: number,
  ways: Readonly<Record<Name, (round: number) => Promise<number>>>,
): Promise<Readonly<Record<Name, readonly number[]>>> {
  const names = Object.keys(ways) as Name[];
  const rates = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) rates[name].push(await ways[name](round));
  }
  return rates;
}

/** The median of the rounds' ratios. */
function ratio(rates: readonly number[], others: readonly number[]): number {
  return median(rates.map((rate, round) => rate / (others[round] ?? Number.NaN)));
}

const speed = (rates: readonly number[]): number => (median(rates) * 1000) / MIB;

/** The same stores with more latency: every request takes that much longer, at any concurrency. */
function distant(stores: ItemStores, delayMs: number): ItemStores {
  const later = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get: (target, name, receiver): unknown => {
        const method: unknown = Reflect.get(target, name, receiver);
        if (typeof method !== "function") return method;
        return async (...given: readonly unknown[]): Promise<unknown> => {
          await sleep(delayMs);
          return Reflect.apply(method, target, given);
        };
      },
    });
  return {
    ...stores,
    cache: (...given) => later(stores.cache(...given)),
    records: (itemId) => later(stores.records(itemId)),
    disks: later(stores.disks),
    snapshots: later(stores.snapshots),
  };
}
