/**
 * Virtual time. Whatever happens in a simulation is an event with a time; events of one time happen in the order in
 * which they were scheduled. Between two events everything that can run runs to its end, so that the same schedule
 * gives the same run on any machine.
 */
export interface Timeline {
  /** True time in Unix milliseconds. Processes see only their own clocks. */
  readonly now: () => number;
  /** Schedules `run`. Returns a function that cancels it. */
  after(delayMs: number, run: () => void): () => void;
  /** Runs events until the given time, until `isOver` is true, or until none is left. */
  runUntil(untilMs: number, isOver?: () => boolean): Promise<void>;
  /** The number of events so far. */
  readonly count: number;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export function createTimeline(startMs: number): Timeline {
  const heap: Event[] = [];
  let nowMs = startMs;
  let order = 0;
  let count = 0;

  return {
    now: () => nowMs,
    get count() {
      return count;
    },
    after: (delayMs, run) => {
      const event: Event = { atMs: nowMs + Math.max(0, Math.ceil(delayMs)), order: (order += 1), run };
      push(heap, event);
      return () => {
        event.run = undefined;
      };
    },
    runUntil: async (untilMs, isOver = () => false) => {
      for (let next = heap[0]; next !== undefined && next.atMs <= untilMs; next = heap[0]) {
        pop(heap);
        if (next.run === undefined) continue;
        nowMs = next.atMs;
        count += 1;
        next.run();
        await (count % TURN_EVENTS === 0 ? turned() : settled());
        if (isOver()) return;
      }
      nowMs = Math.max(nowMs, untilMs);
    },
  };
}

/**
 * Resolves when every promise that can settle has settled: a simulation waits only for its own events. A tick runs
 * after all promises that are ready. It is cheaper than a turn of the event loop, of which a history would need
 * thousands.
 */
const settled = (): Promise<void> =>
  new Promise((resolve) => {
    process.nextTick(resolve);
  });

/** The same with a turn of the event loop, without which collected garbage is never released. */
const turned = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });
const TURN_EVENTS = 500;

const isBefore = (one: Event, other: Event): boolean =>
  one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);

function push(heap: Event[], event: Event): void {
  let at = heap.push(event) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || isBefore(above, event)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
    if (left === undefined) break;
    const below = right !== undefined && isBefore(right, left) ? 2 * at + 2 : 2 * at + 1;
    const child = heap[below];
    if (child === undefined || !isBefore(child, last)) break;
    heap[at] = child;
    at = below;
  }
  heap[at] = last;
}
