/** Handles the user's Ctrl-C (or SIGTERM): the first one asks for an orderly stop, the second one kills. */
export interface Interrupt {
  /** Aborted by the first. */
  readonly signal: AbortSignal;
  /** Sets what the second one calls before it ends this process. */
  killWith(kill: () => void): void;
  /**
   * The work's result; rejects as soon as the user interrupts. The work should then end by itself, on the same signal.
   */
  race<Result>(work: Promise<Result>): Promise<Result>;
  /** Restores the default handling of signals. */
  end(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** A shell's exit code for a program ended by SIGINT. */
export const EXIT_INTERRUPTED = 130;

/** Thrown to waiting callers when the user wants to stop. */
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
