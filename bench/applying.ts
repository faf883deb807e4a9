import { applySlice } from "../replication/apply/run.ts";
import { decodeDelta } from "../replication/delta/decode.ts";
import type { EncodedDelta } from "../replication/delta/delta.ts";
import { inLanes } from "../replication/apply/lanes.ts";
import { deltaName } from "../replication/items/names.ts";
import { protectItem } from "../replication/items/protect.ts";
import { PAGE_WRITES_IN_FLIGHT, PUT_PAGE_MAX_BYTES } from "../replication/limits.ts";
import type { ItemStores } from "../replication/ports.ts";
import type { DiskDescription } from "../replication/position.ts";
import type { BenchStore } from "./bench-store.ts";
import type { Figure } from "./figure.ts";
import { deltasOf, epochsOf } from "./trace-deltas.ts";
import { seededRandom, textContent } from "./trace.ts";
import type { TraceWrite } from "./trace.ts";

const MIB = 1024 * 1024;
const NEVER_MS = 24 * 3_600_000;
const clock = { now: () => Date.now() };

/**
 * Each round measures the engine and the ways it is held against one after the other on the same store, so that a slow moment of the machine hits them
 * alike; the figures are medians of the rounds' ratios.
 */
export async function applyFigures(
  store: BenchStore,
  trace: readonly TraceWrite[],
  disks: readonly DiskDescription[],
  rounds: number,
): Promise<readonly Figure[]> {
  const part = trace.slice(0, 3_000);
  const guestBytes = part.reduce((sum, write) => sum + write.lengthBytes, 0);
  const single = part.slice(0, 600);
  const singleBytes = single.reduce((sum, write) => sum + write.lengthBytes, 0);
  const againstEqual: number[] = [];
  const againstOne: number[] = [];
  const speeds: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const itemId = `trace-${round}`;
    const deltas = [...deltasOf(itemId, disks, epochsOf(part, 5_000), (write) => textContent(write.content, write.lengthBytes))];
    const engine = guestBytes / (await timeEngine(store.stores, itemId, disks, deltas));
    const equal = guestBytes / (await timeEachWrite(store.stores, `${itemId}-each`, disks, part, PAGE_WRITES_IN_FLIGHT));
    const one = singleBytes / (await timeEachWrite(store.stores, `${itemId}-one`, disks, single, 1));
    againstEqual.push(engine / equal);
    againstOne.push(engine / one);
    speeds.push((engine * 1000) / MIB);
  }
  return [
    {
      name: `apply of the trace against one Put Page per guest write, ${PAGE_WRITES_IN_FLIGHT} in flight both`,
      value: median(againstEqual),
      unit: "x",
      goal: { kind: "at-least", bound: 3 },
    },
    {
      name: "apply of the trace against one Put Page per guest write, one in flight",
      value: median(againstOne),
      unit: "x",
      goal: { kind: "at-least", bound: 10 },
    },
    { name: "apply of the trace, guest bytes", value: median(speeds), unit: "MiB/s", goal: undefined },
  ];
}

/** Sequential, incompressible content, as initial replication sends it, against plain Put Pages of 4 MiB at the same concurrency. */
export async function sequentialFigures(store: BenchStore, rounds: number): Promise<readonly Figure[]> {
  const disks = [{ id: "data", sizeBytes: 192 * MIB, sectorSizeBytes: 512 }] as const;
  const random = seededRandom(7);
  const noise = Uint8Array.from({ length: PUT_PAGE_MAX_BYTES }, () => Math.floor(random() * 256));
  const writes: readonly TraceWrite[] = Array.from({ length: 48 }, (_, index) => ({
    atMs: Math.floor(index / 8) * 1_000,
    disk: 0,
    offsetBytes: index * PUT_PAGE_MAX_BYTES,
    lengthBytes: PUT_PAGE_MAX_BYTES,
    content: index,
  }));
  const bytes = writes.length * PUT_PAGE_MAX_BYTES;
  const ratios: number[] = [];
  const speeds: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const itemId = `sequential-${round}`;
    const deltas = [...deltasOf(itemId, disks, epochsOf(writes, 1_000), () => noise)];
    const best = bytes / (await timeEachWrite(store.stores, `${itemId}-best`, disks, writes, PAGE_WRITES_IN_FLIGHT, () => noise));
    const engine = bytes / (await timeEngine(store.stores, itemId, disks, deltas));
    ratios.push(engine / best);
    speeds.push((engine * 1000) / MIB);
  }
  return [
    {
      name: "apply of sequential content against the store's own best rate of 4 MiB Put Pages",
      value: median(ratios),
      unit: "x",
      goal: { kind: "at-least", bound: 0.85 },
    },
    { name: "apply of sequential content", value: median(speeds), unit: "MiB/s", goal: undefined },
  ];
}

/** What the store is asked for each epoch while deltas arrive in order and one worker stays with the item. */
export async function operationFigures(
  store: BenchStore,
  trace: readonly TraceWrite[],
  disks: readonly DiskDescription[],
): Promise<readonly Figure[]> {
  const itemId = "operations";
  const epochs = epochsOf(trace.slice(0, 2_400), 5_000);
  const deltas = [...deltasOf(itemId, disks, epochs, (write) => textContent(write.content, write.lengthBytes))];
  await protect(store.stores, itemId, disks);
  const cache = store.stores.cache(itemId);
  // The warm holder is told of each delta when it is there, one at a time, as a service that cuts an epoch every five seconds would have it.
  let sent = 0;
  let before: ReadonlyMap<string, number> = new Map();
  const outcome = await applySlice(
    {
      ...workerContext(store.stores, NEVER_MS),
      awaitHint: async () => {
        if (sent === 1) before = await store.counts();
        const delta = deltas[sent];
        if (delta === undefined) return false;
        await cache.create(deltaName(delta.end.stream, delta.end.epoch), delta.bytes);
        sent += 1;
        return true;
      },
      deadlineMs: Date.now() + 30_000,
    },
    itemId,
  );
  if (outcome.kind !== "more" && outcome.kind !== "idle") throw new Error(`The run ended ${outcome.kind}.`);
  const after = await store.counts();
  const counted = [...after].map(([operation, count]) => ({ operation, count: count - (before.get(operation) ?? 0) }));
  const of = (pattern: RegExp): number =>
    counted.filter(({ operation }) => pattern.test(operation)).reduce((sum, { count }) => sum + count, 0);
  const epochCount = deltas.length - 1;
  const uploads = epochCount;
  return [
    { name: "LIST calls while deltas arrive in order", value: of(/List/), unit: "", goal: { kind: "at-most", bound: 0 } },
    {
      name: "other blob operations per VM-epoch, the upload included, warm holder",
      value: (of(/^(Blob|BlockBlob|PageBlob|Container)_/) - of(/PageBlob_(UploadPages|ClearPages)/)) / uploads,
      unit: "",
      goal: { kind: "at-most", bound: 8 },
    },
    { name: "Put Pages per VM-epoch", value: of(/PageBlob_UploadPages/) / epochCount, unit: "", goal: undefined },
  ];
}

async function protect(stores: ItemStores, itemId: string, disks: readonly DiskDescription[]): Promise<void> {
  let ids = 0;
  const context = { stores, clock, ids: { next: () => `${itemId}${(ids += 1)}` } };
  await protectItem(context, { itemId, disks, policy: { pointIntervalMs: NEVER_MS, retentionMs: NEVER_MS } });
}

/** Milliseconds from the first claim until all deltas are applied; they lie in the cache before. */
async function timeEngine(
  stores: ItemStores,
  itemId: string,
  disks: readonly DiskDescription[],
  deltas: readonly EncodedDelta[],
): Promise<number> {
  await protect(stores, itemId, disks);
  for (const delta of deltas) await stores.cache(itemId).create(deltaName(delta.end.stream, delta.end.epoch), delta.bytes);
  const startedMs = performance.now();
  const outcome = await applySlice(workerContext(stores, NEVER_MS), itemId);
  const tookMs = performance.now() - startedMs;
  if (outcome.kind !== "idle") throw new Error(`The run ended ${outcome.kind}.`);
  for (const delta of deltas) decodeDelta(delta.bytes);
  return tookMs;
}

function workerContext(stores: ItemStores, sliceMs: number): Parameters<typeof applySlice>[0] {
  return { stores, clock, holder: "bench", deadlineMs: Date.now() + sliceMs, log: () => undefined };
}

/** Milliseconds for one Put Page per guest write through the same adapter, `inFlight` at a time. */
async function timeEachWrite(
  stores: ItemStores,
  itemId: string,
  disks: readonly DiskDescription[],
  writes: readonly TraceWrite[],
  inFlight: number,
  content = (write: TraceWrite): Uint8Array => textContent(write.content, write.lengthBytes),
): Promise<number> {
  for (const disk of disks) await stores.disks.create({ itemId, stream: 1, diskId: disk.id }, disk.sizeBytes);
  const requests = writes.map((write) => ({ write, bytes: content(write) }));
  const startedMs = performance.now();
  await inLanes(inFlight, requests, async ({ write, bytes }) => {
    await stores.disks.writePages({ itemId, stream: 1, diskId: disks[write.disk]?.id ?? "" }, write.offsetBytes, bytes, 0);
  });
  return performance.now() - startedMs;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
