import { hasCode } from "./errors.ts";

/**
 * Runs `work` on each item, at most `lanes` at a time, taking items in order and only when a slot is free (so a
 * generator stays lazy). After the first failure nothing new starts, and the failure is thrown only when everything
 * under way has settled: rule 3 requires that no request of this worker is still unanswered when it claims a new
 * generation. Of several failures the most decisive one is thrown.
 */
export async function forEachConcurrently<Item>(
  lanes: number,
  items: Iterable<Item> | AsyncIterable<Item>,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  await withConcurrency(lanes, async (begin) => {
    if (Symbol.asyncIterator in items) for await (const item of items) await begin(() => work(item));
    else for (const item of items) await begin(() => work(item));
  });
}

/** The same, returning the results in the order of the items. */
export async function mapConcurrently<Item, Result>(
  lanes: number,
  items: Iterable<Item> | AsyncIterable<Item>,
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results = new Map<number, Result>();
  let begun = 0;
  await forEachConcurrently(lanes, items, async (item) => {
    const number = begun;
    begun += 1;
    results.set(number, await work(item));
  });
  return [...results].toSorted(([one], [other]) => one - other).map(([, result]) => result);
}

/** The results that are not undefined. */
export function present<Result>(results: readonly (Result | undefined)[]): readonly Result[] {
  return results.filter((result) => result !== undefined);
}

/**
 * Resolves as soon as a slot is free for `work`, which then runs on its own; rejects after the first failure. One call
 * at a time.
 */
export type Begin = (work: () => Promise<void>) => Promise<void>;

/**
 * The same for work that arrives one by one: `feed` starts it. A failure of `feed` or of the work is thrown when
 * everything under way has settled.
 */
export async function withConcurrency<Result>(lanes: number, feed: (begin: Begin) => Promise<Result>): Promise<Result> {
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

/** Runs one work after the other, in the order of the calls; a failure rejects only its own call. */
export function oneByOne(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let before: Promise<unknown> = Promise.resolve();
  return (work) => {
    const own = before.then(work);
    before = own.catch(() => undefined);
    return own;
  };
}

/**
 * `fenced` ends the worker and an unknown outcome requires a new generation; other failures count only without these.
 */
function deciding(failures: readonly unknown[]): unknown {
  return (
    failures.find((error) => hasCode(error, "fenced")) ??
    failures.find((error) => hasCode(error, "outcome-unknown")) ??
    failures[0]
  );
}
