import { setImmediate as nextTurn } from "node:timers/promises";

/**
 * The service's clock, which a virtual one can replace. Sockets and child processes have their own timers (nbd/,
 * system/transport.ts).
 */
export interface Clock {
  /** Unix milliseconds of this machine. May jump, even back. */
  now(): number;
  /** Milliseconds that never jump back. */
  monotonicMs(): number;
  /** Calls `run` once when the time is over, unless the returned function was called before. */
  after(waitMs: number, run: () => void): () => void;
  /** Resolves when everything that was ready before has had its turn: requests of guests, answers of the medium. */
  turn(): Promise<void>;
}

export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    after: (waitMs, run) => {
      const timer = setTimeout(run, waitMs);
      return () => clearTimeout(timer);
    },
    turn: () => nextTurn(),
  };
}

/** Waits, but no longer than until one of the signals is aborted. Never rejects. */
export function pause(clock: Pick<Clock, "after">, waitMs: number, ...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    if (signals.some(({ aborted }) => aborted)) return resolve();
    const done = (): void => {
      cancel();
      for (const signal of signals) signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(waitMs, done);
    for (const signal of signals) signal.addEventListener("abort", done);
  });
}

/** Waits for the work, but no longer than this; true when it is done. The work itself continues. */
export async function within(clock: Pick<Clock, "after">, waitMs: number, work: Promise<void>): Promise<boolean> {
  const timer = new AbortController();
  const done = await Promise.race([work.then(() => true), pause(clock, waitMs, timer.signal).then(() => false)]);
  timer.abort();
  return done;
}
