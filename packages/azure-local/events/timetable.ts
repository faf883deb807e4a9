import { LocalError } from "../errors.ts";

/** Does one task; returns the milliseconds until its retry, or undefined when it is done. */
export type Attempt<T> = (task: T, attempts: number) => Promise<number | undefined>;

/**
 * Runs tasks when they are due, one at a time, in the order of their times. The caller bounds their number. `attempt`
 * must not throw; if it does, `close` and `drain` throw the fault.
 */
export class Timetable<T> {
  readonly #attempt: Attempt<T>;
  /** Ordered by time; equal times by arrival. */
  readonly #entries: Entry<T>[] = [];
  readonly #drained: PromiseWithResolvers<undefined>[] = [];
  #wake: () => void = () => {};
  #closed = false;
  #busy = false;
  readonly #running: Promise<void>;

  constructor(attempt: Attempt<T>) {
    this.#attempt = attempt;
    this.#running = this.#run();
    // Reported by callers that await this.
    this.#running.catch(() => {
      this.#closed = true;
      this.#settle();
    });
  }

  /** Makes the task due in `delayMs`. */
  add(task: T, delayMs: number): void {
    this.#insert({ task, dueMs: Date.now() + delayMs, attempts: 0 });
    this.#wake();
  }

  /** Resolves when no task is left. */
  async drain(): Promise<void> {
    if (!this.#closed && (this.#entries.length > 0 || this.#busy)) {
      const waiter = Promise.withResolvers<undefined>();
      this.#drained.push(waiter);
      await waiter.promise;
    }
    if (!this.#closed) return;
    await this.#running;
    throw new LocalError("internal", "The timetable was closed.");
  }

  /** Waits for the current attempt and drops the rest. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#running;
    this.#settle();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const [first] = this.#entries;
      const waitMs = first === undefined ? Infinity : first.dueMs - Date.now();
      if (first === undefined || waitMs > 0) await this.#sleep(waitMs);
      else await this.#try(first);
    }
  }

  async #try(entry: Entry<T>): Promise<void> {
    this.#entries.shift();
    this.#busy = true;
    const attempts = entry.attempts + 1;
    const againMs = await this.#attempt(entry.task, attempts);
    this.#busy = false;
    if (againMs !== undefined) this.#insert({ task: entry.task, dueMs: Date.now() + againMs, attempts });
    if (this.#entries.length === 0) this.#settle();
  }

  async #sleep(waitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#wake = () => resolve(undefined);
    const timer = waitMs === Infinity ? undefined : setTimeout(resolve, waitMs, undefined);
    await promise;
    clearTimeout(timer);
    this.#wake = () => {};
  }

  #insert(entry: Entry<T>): void {
    let from = 0;
    let to = this.#entries.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#entries[middle]?.dueMs ?? 0) <= entry.dueMs) from = middle + 1;
      else to = middle;
    }
    this.#entries.splice(from, 0, entry);
  }

  #settle(): void {
    for (const waiter of this.#drained.splice(0)) waiter.resolve(undefined);
  }
}

interface Entry<T> {
  readonly task: T;
  readonly dueMs: number;
  readonly attempts: number;
}
