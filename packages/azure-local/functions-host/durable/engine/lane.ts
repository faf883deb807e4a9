/** Runs added items in order, a limited number at a time. */
export interface Lane<T> {
  add(item: T): void;
  /** Nothing runs before. */
  start(): void;
  /** Starts nothing more; resolves when running items have ended. */
  stop(): Promise<void>;
}

/**
 * `run` must not reject. Each item starts in a later turn of the event loop (`setImmediate`, not a microtask): work
 * that triggers more work must not delay requests and timers.
 */
export function createLane<T>(limit: number, run: (item: T) => Promise<void>): Lane<T> {
  const waiting: T[] = [];
  const idle: (() => void)[] = [];
  let running = 0;
  let isScheduled = false;
  let isStarted = false;
  let isStopped = false;

  const schedule = (): void => {
    if (isScheduled || !isStarted || isStopped) return;
    isScheduled = true;
    setImmediate(dispatch);
  };
  const dispatch = (): void => {
    isScheduled = false;
    while (running < limit) {
      const item = isStopped ? undefined : waiting.shift();
      if (item === undefined) return;
      running += 1;
      void run(item).finally(() => {
        running -= 1;
        if (running === 0) for (const resolve of idle.splice(0)) resolve();
        if (waiting.length > 0) schedule();
      });
    }
  };

  return {
    add(item) {
      waiting.push(item);
      schedule();
    },
    start() {
      isStarted = true;
      schedule();
    },
    stop: () => {
      isStopped = true;
      return running === 0 ? Promise.resolve() : new Promise((resolve) => idle.push(resolve));
    },
  };
}
