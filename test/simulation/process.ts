import { type FaultInjector, type SentCall, failureOf } from "./fault-model.ts";
import type { Timeline } from "./timeline.ts";

/** The environment of processes. */
export interface Surroundings {
  readonly timeline: Timeline;
  readonly injector: FaultInjector;
  /** One line for each thing that happens: the same seed gives the same lines. */
  readonly trace: (line: string) => void;
  /** True while no process in that place answers. */
  readonly isAway: (place: SentCall["place"]) => boolean;
}

/**
 * A process that can die and stall, and has a clock of its own. Every request that it makes is a call of `send`, and
 * every wait is a call of `pause`. A dead process receives nothing any more, but what it has sent may still arrive. A
 * stalled one receives everything later, and then continues as if nothing had happened.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly #surroundings: Surroundings;
  readonly #clockOffsetMs: () => number;
  #isAlive = true;
  #stalledUntilMs = 0;
  #calls = 0;

  constructor(name: string, surroundings: Surroundings, clockOffsetMs: () => number = () => 0) {
    this.name = name;
    this.#surroundings = surroundings;
    this.#clockOffsetMs = clockOffsetMs;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Unix milliseconds as this process sees them. */
  readonly clock = { now: (): number => Math.floor(this.#surroundings.timeline.now() + this.#clockOffsetMs()) };

  kill(): void {
    this.#isAlive = false;
  }

  stall(durationMs: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.#surroundings.timeline.now() + durationMs);
  }

  /**
   * Runs `heard` in this process after the delay, unless it is dead by then; if it is stalled, once the stall is over.
   * Returns a function that cancels it.
   */
  hear(delayMs: number, heard: () => void): () => void {
    const { timeline } = this.#surroundings;
    let cancel = timeline.after(delayMs, () => {
      if (!this.#isAlive) return;
      const leftMs = this.#stalledUntilMs - timeline.now();
      if (leftMs > 0) cancel = this.hear(leftMs, heard);
      else heard();
    });
    return () => cancel();
  }

  /** Waits, but no longer than until `signal` is aborted. Never rejects. */
  pause(waitMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const cancel = this.hear(waitMs, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      const abort = (): void => {
        cancel();
        signal?.removeEventListener("abort", abort);
        if (this.#isAlive) resolve();
      };
      signal?.addEventListener("abort", abort);
    });
  }

  /**
   * Makes a request whose effect is `effect`, under the faults of the history. Rejects as the product's adapters do.
   */
  send<Result>(call: SentCall, effect: () => Result | Promise<Result>): Promise<Result> {
    if (!this.#isAlive) return new Promise(() => undefined);
    const { timeline, injector, trace, isAway } = this.#surroundings;
    this.#calls += 1;
    const number = this.#calls;
    const fate = injector.fate(this.name, number, call);
    return new Promise((resolve, reject) => {
      const sentMs = timeline.now();
      const answer = (heard: () => void): void =>
        void this.hear(Math.max(0, sentMs + fate.answersMs - timeline.now()), heard);
      const unanswered = (delayMs: number, kind: "unanswered" | "throttled"): void => {
        trace(`${this.name} ${number} ${call.operation}: ${kind}`);
        this.hear(delayMs, () => reject(failureOf(call, kind)));
      };
      // A region that is gone does not refuse, it hangs.
      if (isAway(call.place))
        return unanswered(call.place === "control" ? 10_000 : call.access === "read" ? 60_000 : 20_000, "unanswered");
      if (fate.kind !== "answered") unanswered(fate.answersMs, fate.kind);
      if (fate.arrivesMs === undefined) return;
      timeline.after(fate.arrivesMs, () => {
        if (isAway(call.place)) {
          if (fate.kind === "answered") unanswered(20_000, "unanswered");
          return;
        }
        trace(`${this.name} ${number} ${call.operation}`);
        // An effect that throws at once is an answer, too.
        const made = (async () => effect())();
        if (fate.kind !== "answered") made.catch(() => undefined);
        else
          made.then(
            (result) => answer(() => resolve(result)),
            (error: unknown) => answer(() => reject(error)),
          );
      });
    });
  }
}
