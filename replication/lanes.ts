import { hasCode } from "./errors.ts";

/**
 * Runs `work` on each item, at most `lanes` at a time, taking items in order and only when a lane is free (so a
 * generator stays lazy). After the first failure nothing new is begun, and the failure is thrown only when everything
 * under way has settled: rule 3 wants that no request of this worker is still unanswered when it claims a new
 * generation. Of several failures the one that decides most is thrown.
 */
export async function inLanes<Item>(
  lanes: number,
  items: Iterable<Item>,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  await withLanes(lanes, async (begin) => {
    for (const item of items) await begin(() => work(item));
  });
}

/**
 * Resolves as soon as a lane is free for `work`, which then runs by itself; rejects after the first failure. One call
 * at a time.
 */
export type Begin = (work: () => Promise<void>) => Promise<void>;

/**
 * The same for work that turns up one by one: `feed` begins it, and whatever it or the work throws comes out when
 * everything under way has settled.
 */
export async function withLanes<Result>(lanes: number, feed: (begin: Begin) => Promise<Result>): Promise<Result> {
  const underWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const run = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failures.push(error);
    }
  };
  const begin: Begin = async (work) => {
    while (underWay.size >= lanes) await Promise.race(underWay);
    if (failures.length > 0) throw failures[0];
    const running: Promise<void> = run(work).then(() => void underWay.delete(running));
    underWay.add(running);
  };
  const fed = await feed(begin).then(
    (result) => ({ result }),
    (error: unknown) => void failures.push(error),
  );
  await Promise.all(underWay);
  if (fed === undefined || failures.length > 0) throw deciding(failures);
  return fed.result;
}

/** Runs one work after the other, in the order of the calls; a failure is that of its own work. */
export function oneByOne(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let before: Promise<unknown> = Promise.resolve();
  return (work) => {
    const own = before.then(work);
    before = own.catch(() => undefined);
    return own;
  };
}

/**
 * `fenced` ends the worker, an unknown outcome asks for a new generation; any other failure matters only without those.
 */
function deciding(failures: readonly unknown[]): unknown {
  return (
    failures.find((error) => hasCode(error, "fenced")) ??
    failures.find((error) => hasCode(error, "outcome-unknown")) ??
    failures[0]
  );
}
