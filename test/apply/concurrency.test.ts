import { describe, expect, it } from "vitest";
import { forEachConcurrently, mapConcurrently, oneByOne, present } from "../../replication/concurrency.ts";
import { LeewardError } from "../../replication/errors.ts";

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** Fails when all others have begun. */
const failing = (code: "fenced" | "outcome-unknown" | "conflict") => async (): Promise<void> => {
  await turn();
  throw new LeewardError(code, code);
};

describe("lanes", () => {
  it("rule 3: of several failures a fence decides, then an unknown outcome, whichever came first", async () => {
    const run = (...codes: readonly ("fenced" | "outcome-unknown" | "conflict")[]): Promise<void> =>
      forEachConcurrently(codes.length, codes.map(failing), (work) => work());
    await expect(run("conflict", "outcome-unknown", "fenced")).rejects.toMatchObject({ code: "fenced" });
    await expect(run("outcome-unknown", "fenced")).rejects.toMatchObject({ code: "fenced" });
    await expect(run("conflict", "outcome-unknown")).rejects.toMatchObject({ code: "outcome-unknown" });
    await expect(run("conflict")).rejects.toMatchObject({ code: "conflict" });
  });

  it("rule 3: end when all work has ended, also behind a failure, and begin nothing more after it", async () => {
    const ended: number[] = [];
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    const works = [
      held.then(() => void ended.push(1)),
      Promise.reject(new LeewardError("conflict", "")),
      Promise.resolve(),
    ];
    let begun = 0;
    let isOver = false;
    const run = forEachConcurrently(2, works, async (work) => {
      begun += 1;
      await work;
    }).catch((error: unknown) => {
      isOver = true;
      throw error;
    });
    // oxlint-disable-next-line vitest/valid-expect -- awaited below, when what it waits for has been let go
    const judged = expect(run).rejects.toMatchObject({ code: "conflict" });
    await turn();
    expect([begun, isOver]).toEqual([2, false]);
    letGo();
    await judged;
    expect(ended).toEqual([1]);
  });

  it("rule 9: are never more than were asked for, and never fewer while work is left", async () => {
    let running = 0;
    const seen: number[] = [];
    await forEachConcurrently(3, [1, 2, 3, 4, 5, 6, 7], async () => {
      running += 1;
      await turn();
      seen.push(running);
      running -= 1;
    });
    expect(Math.max(...seen)).toBe(3);
  });

  it("of one: each begins when the one before has ended, whether it failed or not", async () => {
    const queue = oneByOne();
    const events: string[] = [];
    const work = (name: string, end: () => Promise<void>) => () => {
      events.push(`${name} begins`);
      return turn()
        .then(end)
        .finally(() => events.push(`${name} ends`));
    };
    const first = queue(work("first", () => Promise.reject(new LeewardError("conflict", ""))));
    const second = queue(work("second", async () => undefined));
    await expect(first).rejects.toMatchObject({ code: "conflict" });
    await second;
    expect(events).toEqual(["first begins", "first ends", "second begins", "second ends"]);
  });

  it("give what the work gives in the order of the items, whichever ends first", async () => {
    const last = Promise.withResolvers<void>();
    async function* oneByOne(): AsyncGenerator<number> {
      for (const each of [1, 2, 3, 4]) {
        await turn();
        yield each;
      }
    }
    for (const items of [[1, 2, 3, 4], oneByOne()]) {
      const run = mapConcurrently(2, items, async (item) => {
        if (item === 1) await last.promise;
        if (item === 4) last.resolve();
        return item % 2 === 0 ? `${item}` : undefined;
      });
      const results = await run;
      expect(results).toEqual([undefined, "2", undefined, "4"]);
      expect(present(results)).toEqual(["2", "4"]);
    }
  });
});
