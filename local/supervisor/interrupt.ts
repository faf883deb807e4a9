/** What the user's Ctrl-C (or SIGTERM) does: the first one asks to stop in order, the second one kills. */
export interface Interrupt {
  /** Aborted by the first. */
  readonly signal: AbortSignal;
  /** What the second one kills before it ends this process. */
  killWith(kill: () => void): void;
  /**
   * The work's result; rejects as soon as the user interrupts. The work should end by itself then, on the same signal.
   */
  race<Result>(work: Promise<Result>): Promise<Result>;
  /** From now on signals do what they always do. */
  end(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** As a shell reports a program that ended by SIGINT. */
export const EXIT_INTERRUPTED = 130;

/** Thrown to whoever waits when the user wants to stop. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

export function onInterrupt(): Interrupt {
  const stopping = new AbortController();
  let kill = (): void => {};
  const interrupted = (): void => {
    if (stopping.signal.aborted) {
      kill();
      process.exit(EXIT_INTERRUPTED);
    }
    stopping.abort(new Interrupted("Stopped by the user."));
  };
  for (const name of SIGNALS) process.on(name, interrupted);
  return {
    signal: stopping.signal,
    killWith: (how) => {
      kill = how;
    },
    race: async (work) => {
      work.catch(() => undefined);
      const aborted = new Promise<never>((_, reject) => {
        const give = (): void => reject(new Interrupted("Stopped by the user."));
        if (stopping.signal.aborted) give();
        else stopping.signal.addEventListener("abort", give, { once: true });
      });
      aborted.catch(() => undefined);
      return Promise.race([work, aborted]);
    },
    end: () => {
      for (const name of SIGNALS) process.off(name, interrupted);
    },
  };
}
