/**
 * The CRC64 of Azure Storage (CRC-64/NVME: polynomial 0xad93d23594c93659, reflected, initial and final value all ones),
 * eight bytes a step. The state is kept as two 32-bit halves, because BigInt is many times slower. Check value of
 * "123456789": 8898790a86148bae in the byte order of the wire.
 */
export interface Crc64 {
  readonly high: number;
  readonly low: number;
}

export const CRC64_START: Crc64 = { high: -1, low: -1 };

/** Continues a checksum over more bytes. */
export function updateCrc64(state: Crc64, bytes: Uint8Array): Crc64 {
  let { high, low } = state;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wholeBytes = bytes.length - (bytes.length % 8);
  for (let at = 0; at < wholeBytes; at += 8) {
    const first = low ^ view.getInt32(at, true);
    const second = high ^ view.getInt32(at + 4, true);
    high = 0;
    low = 0;
    for (let shift = 0, early = 7 * 512, late = 3 * 512; shift < 32; shift += 8, early -= 512, late -= 512) {
      const one = early + 2 * ((first >>> shift) & 0xff);
      const other = late + 2 * ((second >>> shift) & 0xff);
      high ^= (TABLES[one] ?? 0) ^ (TABLES[other] ?? 0);
      low ^= (TABLES[one + 1] ?? 0) ^ (TABLES[other + 1] ?? 0);
    }
  }
  for (let at = wholeBytes; at < bytes.length; at++) {
    const entry = 2 * ((low ^ (bytes[at] ?? 0)) & 0xff);
    low = ((low >>> 8) | (high << 24)) ^ (TABLES[entry + 1] ?? 0);
    high = (high >>> 8) ^ (TABLES[entry] ?? 0);
  }
  return { high, low };
}

/** The finished checksum, least significant byte first, as the service sends it. */
export function finishCrc64(state: Crc64): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, ~state.low, true);
  view.setInt32(4, ~state.high, true);
  return bytes;
}

/** Table k holds, for each byte value, the state after that byte and k zero bytes: entry = high half, then low half. */
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 512);
  for (let value = 0; value < 256; value++) {
    let high = 0;
    let low = value;
    for (let bit = 0; bit < 64; bit++) {
      const odd = (low & 1) !== 0;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (odd) {
        high ^= 0x9a6c9329;
        low ^= 0xac4bc9b5;
      }
      if ((bit + 1) % 8 === 0) {
        tables[((bit - 7) / 8) * 512 + 2 * value] = high;
        tables[((bit - 7) / 8) * 512 + 2 * value + 1] = low;
      }
    }
  }
  return tables;
}
