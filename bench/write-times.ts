/**
 * When each write of a guest was sent and acknowledged, against the target's report: it has applied everything that the
 * source recorded up to some moment. The source records a write between the two, so a write acknowledged by then is
 * surely applied.
 */
export interface WriteTimes {
  /** Records a write in sending order; the returned function records its acknowledgement. Unix milliseconds. */
  sent(sentMs: number): (acknowledgedMs: number) => void;
  /** Age of the oldest write that is not surely applied, 0 if there is none. `appliedMs` never goes back. */
  oldestMissingMs(appliedMs: number, nowMs: number): number;
  /** True once the last write is applied: nothing recorded after it was sent can be missing. */
  allApplied(appliedMs: number): boolean;
}

interface WriteTime {
  readonly sentMs: number;
  acknowledgedMs: number | undefined;
}

export function openWriteTimes(): WriteTimes {
  const writes: WriteTime[] = [];
  let oldest = 0;
  return {
    sent(sentMs) {
      const write: WriteTime = { sentMs, acknowledgedMs: undefined };
      writes.push(write);
      return (acknowledgedMs) => {
        write.acknowledgedMs = acknowledgedMs;
      };
    },
    oldestMissingMs(appliedMs, nowMs) {
      for (let write = writes[oldest]; write?.acknowledgedMs !== undefined; write = writes[oldest]) {
        if (write.acknowledgedMs > appliedMs) break;
        oldest += 1;
      }
      const missing = writes[oldest];
      return missing === undefined ? 0 : nowMs - missing.sentMs;
    },
    allApplied: (appliedMs) => (writes.at(-1)?.sentMs ?? 0) <= appliedMs,
  };
}
