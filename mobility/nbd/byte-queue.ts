import { NBD_CHUNKS_MAX } from "../limits.ts";
/**
 * Received bytes that were not taken yet, in the chunks in which they came: small reads of the parser need no copies.
 */
export interface ByteQueue {
  readonly lengthBytes: number;
  /** How many of them are in the first chunk. */
  readonly firstBytes: number;
  push(chunk: Buffer): void;
  /**
   * The next `lengthBytes` in one piece, or undefined while fewer are there. A view of the received chunk where
   * possible.
   */
  take(lengthBytes: number): Buffer | undefined;
  /** Moves up to the free length of `target` from `offsetBytes` on into it; returns the number of bytes moved. */
  copyInto(target: Buffer, offsetBytes: number): number;
}

export function createByteQueue(): ByteQueue {
  const chunks: Buffer[] = [];
  let first = 0;
  let available = 0;

  /** Removes `lengthBytes` (at most the rest of the first chunk) and returns them as a view. */
  const shift = (lengthBytes: number): Buffer => {
    const chunk = chunks[0] ?? Buffer.alloc(0);
    const view = chunk.subarray(first, first + lengthBytes);
    first += view.length;
    available -= view.length;
    if (first === chunk.length) {
      chunks.shift();
      first = 0;
    }
    return view;
  };
  const inFirst = (): number => (chunks[0]?.length ?? 0) - first;

  return {
    get lengthBytes() {
      return available;
    },
    get firstBytes() {
      return inFirst();
    },
    push: (chunk) => {
      if (chunk.length === 0) return;
      chunks.push(chunk);
      available += chunk.length;
      // Otherwise a client that sends byte by byte would cost an object for every waiting byte.
      if (chunks.length > NBD_CHUNKS_MAX) {
        chunks[0] = chunks[0]?.subarray(first) ?? chunk;
        chunks.splice(0, chunks.length, Buffer.concat(chunks));
        first = 0;
      }
    },
    take: (lengthBytes) => {
      if (lengthBytes > available) return undefined;
      if (lengthBytes <= inFirst()) return shift(lengthBytes);
      const whole = Buffer.allocUnsafe(lengthBytes);
      for (let filled = 0; filled < lengthBytes;) {
        const part = shift(Math.min(inFirst(), lengthBytes - filled));
        part.copy(whole, filled);
        filled += part.length;
      }
      return whole;
    },
    copyInto: (target, offsetBytes) => {
      const lengthBytes = Math.min(available, target.length - offsetBytes);
      for (let done = 0; done < lengthBytes;)
        done += shift(Math.min(inFirst(), lengthBytes - done)).copy(target, offsetBytes + done);
      return lengthBytes;
    },
  };
}
