import { LeewardError } from "../errors.ts";

/** Bytes that grow at their end. `bytes` is a view, valid until the next `append`. */
export interface Output {
  /** Throws `delta-too-large` when the maximum would be passed. */
  append(bytes: Uint8Array): void;
  lengthBytes(): number;
  bytes(): Uint8Array;
  /** The final bytes, without a large unused rest behind them. */
  finish(): Uint8Array;
}

export function createOutput(capacityBytes: number, maximumBytes: number): Output {
  let buffer = new Uint8Array(capacityBytes);
  let used = 0;
  return {
    append(bytes) {
      const needed = used + bytes.length;
      if (needed > maximumBytes) {
        throw new LeewardError("delta-too-large", `A delta holds at most ${maximumBytes} bytes.`, {
          rule: "D1",
          maximum: maximumBytes,
        });
      }
      if (needed > buffer.length) {
        // Doubling keeps the cost of growing proportional to the length; the maximum bounds it.
        const larger = new Uint8Array(Math.min(maximumBytes, Math.max(needed, 2 * buffer.length)));
        larger.set(buffer.subarray(0, used));
        buffer = larger;
      }
      buffer.set(bytes, used);
      used = needed;
    },
    lengthBytes: () => used,
    bytes: () => buffer.subarray(0, used),
    // A view would keep the whole capacity alive for as long as the delta is referenced.
    finish: () => (used < 0.75 * buffer.length ? buffer.slice(0, used) : buffer.subarray(0, used)),
  };
}
