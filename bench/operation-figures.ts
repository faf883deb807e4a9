import { applySlice } from "../replication/apply/run.ts";
import { deltaName } from "../replication/names.ts";
import type { DiskDescription } from "../replication/position.ts";
import type { BenchStore } from "./bench-store.ts";
import { protect, workerContext } from "./engine-runs.ts";
import type { Figure } from "./figure.ts";
import { deltasOf, epochsOf } from "./trace-deltas.ts";
import { textContent, type TraceWrite } from "./trace.ts";

const EPOCHS = 25;

/**
 * The requests to both accounts in each epoch, including the mobility service's upload, while deltas arrive in order
 * and one worker stays warm. The first epoch, with the claim and the first recovery point, is not counted.
 */
export async function operationFigures(
  store: BenchStore,
  trace: readonly TraceWrite[],
  disks: readonly DiskDescription[],
): Promise<readonly Figure[]> {
  const itemId = "operations";
  const epochs = epochsOf(trace, 5_000).slice(0, EPOCHS);
  const deltas = [...deltasOf(itemId, disks, epochs, (write) => textContent(write.content, write.lengthBytes))];
  await protect(store.stores, itemId, disks);
  const cache = store.stores.cache(itemId, 1);
  let arrived = 0;
  let before: ReadonlyMap<string, number> = new Map();
  let after = before;
  let over = false;
  const context = workerContext(store.stores);
  await applySlice(
    {
      ...context,
      // The warm holder gets a hint for each delta when it exists, one at a time, as from a service that cuts an epoch
      // every five seconds.
      awaitHint: async () => {
        if (arrived === 1) before = await store.counts();
        const delta = deltas[arrived];
        if (delta === undefined) {
          after = await store.counts();
          over = true;
          return false;
        }
        await cache.create(deltaName(delta.end.stream, delta.end.epoch), delta.bytes);
        arrived += 1;
        return true;
      },
      get deadlineMs() {
        return over ? 0 : context.deadlineMs;
      },
    },
    itemId,
  );
  const counted = [...after].map(([operation, count]) => ({ operation, count: count - (before.get(operation) ?? 0) }));
  const perEpoch = (pattern: RegExp): number =>
    counted.reduce((sum, { operation, count }) => sum + (pattern.test(operation) ? count : 0), 0) / (EPOCHS - 1);
  return [
    {
      name: "LIST calls while deltas arrive in order",
      value: perEpoch(/List/),
      unit: "",
      goal: { kind: "at-most", bound: 0 },
    },
    {
      name: "blob operations per VM-epoch other than page writes, warm holder",
      value: perEpoch(/^(?!PageBlob_(UploadPages|ClearPages)$)/),
      unit: "",
      goal: { kind: "at-most", bound: 8 },
    },
    { name: "Put Pages per VM-epoch", value: perEpoch(/^PageBlob_UploadPages$/), unit: "", goal: undefined },
  ];
}
