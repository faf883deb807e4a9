/**
 * Bytes that several connections may hold together. A holder gives them back without needing more, so waiting always
 * ends.
 */
export interface ByteBudget {
  readonly isSpent: boolean;
  take(lengthBytes: number): void;
  /** Wakes all waiters once there is space again. */
  giveBack(lengthBytes: number): void;
  /** Calls `resume` once, as soon as there is space. */
  whenFree(resume: () => void): void;
}

export function createByteBudget(limitBytes: number): ByteBudget {
  let usedBytes = 0;
  let waiting = new Set<() => void>();
  return {
    get isSpent() {
      return usedBytes >= limitBytes;
    },
    take: (lengthBytes) => {
      usedBytes += lengthBytes;
    },
    giveBack: (lengthBytes) => {
      usedBytes -= lengthBytes;
      if (usedBytes >= limitBytes || waiting.size === 0) return;
      const woken = waiting;
      waiting = new Set();
      for (const resume of woken) resume();
    },
    whenFree: (resume) => {
      waiting.add(resume);
    },
  };
}
