import { setTimeout as sleep } from "node:timers/promises";
import { LeewardError } from "../../replication/errors.ts";
import type { Child } from "./child.ts";
import { afterDeath } from "./restarts.ts";

export interface KeptChildOptions {
  /** For messages, as in "function app". */
  readonly name: string;
  readonly logFile: string;
  /** Starts the program; `afterDeath` is true when the previous one died by itself. Aborting `signal` ends a start. */
  readonly start: (how: { readonly afterDeath: boolean; readonly signal: AbortSignal }) => Promise<Child>;
  /** Receives reports for people: a death, a failed start, giving up. */
  readonly say: (text: string) => void;
  /** False: it stays down when it dies. */
  readonly restarts?: boolean;
  /** Aborting it ends the first start. */
  readonly signal?: AbortSignal | undefined;
  /** Resolves after `durationMs`, or rejects when `signal` aborts. */
  readonly pause?: (durationMs: number, signal: AbortSignal) => Promise<unknown>;
}

type ChildState = "running" | "restarting" | "down" | "stopped";

/** A child that is restarted when it dies by itself, with growing pauses and a bound. */
export interface KeptChild {
  /** "down": it died too often and is not restarted. "stopped": on purpose. */
  readonly state: ChildState;
  /** The latest process. */
  readonly child: Child;
  stop(): Promise<void>;
  /** SIGKILL, at once; it is not restarted automatically. The promise settles when the process is gone. */
  kill(): Promise<void>;
  /** Starts it after a kill, or when it is down. */
  start(): Promise<void>;
}

const STAY_DOWN = { kind: "stay-down" } as const;

/** Throws the errors of the first start. */
export async function keepChild(options: KeptChildOptions): Promise<KeptChild> {
  let state: ChildState = "running";
  let ending = new AbortController();
  let watching: Promise<void> = Promise.resolve();
  const endOf = ({ signal }: AbortController): AbortSignal =>
    options.signal === undefined ? signal : AbortSignal.any([signal, options.signal]);
  let child = await options.start({ afterDeath: false, signal: endOf(ending) });

  /** Handles one death after the other, until it is ended or stays down. */
  const watch = async (signal: AbortSignal): Promise<void> => {
    let deaths = 0;
    for (;;) {
      const startedMs = Date.now();
      await child.exited;
      const next = await revive(options, deaths, Date.now() - startedMs, signal, () => (state = "restarting"));
      if (next === "ended") return;
      if (next === "down") {
        state = "down";
        return;
      }
      ({ child, deaths } = next);
      // Ended while starting: the signal reported it, and this handles a child that was ready too late.
      if (signal.aborted) return child.stop();
      state = "running";
      options.say(`The ${options.name} runs again.`);
    }
  };
  const keep = (): void => {
    state = "running";
    watching = watch(endOf(ending));
  };
  keep();
  const end = async (how: () => Promise<void>): Promise<void> => {
    state = "stopped";
    ending.abort();
    await Promise.all([how(), watching]);
  };
  return {
    get state() {
      return state;
    },
    get child() {
      return child;
    },
    stop: () => end(() => child.stop()),
    kill: () => end(() => child.kill()),
    start: async () => {
      if (state === "running" || state === "restarting")
        throw new LeewardError("internal", `The ${options.name} runs already.`);
      ending = new AbortController();
      child = await options.start({ afterDeath: false, signal: endOf(ending) });
      keep();
    },
  };
}

/** Restarts a dead child, repeatedly if the start fails too. */
async function revive(
  options: KeptChildOptions,
  deathsBefore: number,
  ranMs: number,
  signal: AbortSignal,
  begin: () => void,
): Promise<"ended" | "down" | { readonly child: Child; readonly deaths: number }> {
  const { name, logFile, say, pause = (durationMs, signal) => sleep(durationMs, undefined, { signal }) } = options;
  let deaths = deathsBefore;
  for (let lifeMs = ranMs; !signal.aborted; lifeMs = 0) {
    const next = options.restarts === false ? STAY_DOWN : afterDeath(deaths, lifeMs);
    if (next.kind === "stay-down") {
      say(`The ${name} has died ${deaths + 1} times in a row and stays down. Its log: ${logFile}`);
      return "down";
    }
    ({ deaths } = next);
    begin();
    say(`The ${name} has died; it is started again in ${next.pauseMs / 1000} s.`);
    try {
      await pause(next.pauseMs, signal);
      return { child: await options.start({ afterDeath: true, signal }), deaths };
    } catch (error) {
      if (!signal.aborted) say(error instanceof Error ? error.message : String(error));
    }
  }
  return "ended";
}
