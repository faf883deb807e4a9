/**
 * Bytes that several connections may hold together. Who holds them gives them back by itself, without needing more: so
 * waiting always ends.
 */
export interface ByteBudget {
  readonly isSpent: boolean;
  take(lengthBytes: number): void;
  /** Wakes everyone who waits once there is room again. */
  giveBack(lengthBytes: number): void;
  /** Calls once, as soon as there is room. */
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
