import { hasCode } from "../errors.ts";

/**
 * Runs `work` on each item, at most `lanes` at a time, taking items in order and only when a lane is free (so a generator stays lazy).
 * After the first failure nothing new is begun, and the failure is thrown only when everything under way has settled: rule 3 wants that no
 * request of this worker is still unanswered when it claims a new generation. Of several failures the one that decides most is thrown.
 */
export async function inLanes<Item>(lanes: number, items: Iterable<Item>, work: (item: Item) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    try {
      while (failures.length === 0) {
        const next = iterator.next();
        if (next.done === true) return;
        await work(next.value);
      }
    } catch (error) {
      failures.push(error);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  if (failures.length > 0) throw deciding(failures);
}

/** `fenced` ends the worker, an unknown outcome asks for a new generation; any other failure matters only without those. */
function deciding(failures: readonly unknown[]): unknown {
  return failures.find((error) => hasCode(error, "fenced")) ?? failures.find((error) => hasCode(error, "outcome-unknown")) ?? failures[0];
}
