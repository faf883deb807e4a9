/** Numbers of the NBD protocol (NetworkBlockDevice/nbd, doc/proto.md). All integers on the wire are big-endian. */

export const NBD_MAGIC = 0x4e42444d41474943n;
export const OPTION_MAGIC = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const CHUNK_MAGIC = 0x668e33ef;

export const HANDSHAKE_FIXED_NEWSTYLE = 1;
export const HANDSHAKE_NO_ZEROES = 2;

export const OPTION = { exportName: 1, abort: 2, list: 3, info: 6, go: 7, structuredReply: 8 } as const;

export const OPTION_REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  unsupported: 0x80000001,
  invalid: 0x80000003,
  unknown: 0x80000006,
} as const;

export const INFO = { export: 0, blockSize: 3 } as const;

const TRANSMISSION = {
  hasFlags: 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  sendDoNotFragment: 1 << 7,
  canMultiConnection: 1 << 8,
  sendCache: 1 << 10,
} as const;

export const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, cache: 5, writeZeroes: 6 } as const;

export const COMMAND_FLAG = { fua: 1, noHole: 2, doNotFragment: 4 } as const;

export const CHUNK = { none: 0, offsetData: 1, error: 32_769 } as const;
export const CHUNK_DONE = 1;

/** Error numbers allowed in a reply. */
export const WIRE_ERROR = { none: 0, io: 5, invalid: 22, noSpace: 28, overflow: 75 } as const;
export type WireError = (typeof WIRE_ERROR)[keyof typeof WIRE_ERROR];

export const REQUEST_HEADER_BYTES = 28;
export const OPTION_HEADER_BYTES = 16;

/**
 * Offered by every export: flush, FUA, trim, write-zeroes, cache, and several connections that share one journal and
 * one order. The flag DF exists with structured replies only (proto.md, "Transmission flags").
 */
export function exportFlags(structuredReplies: boolean): number {
  return (
    TRANSMISSION.hasFlags |
    TRANSMISSION.sendFlush |
    TRANSMISSION.sendFua |
    TRANSMISSION.sendTrim |
    TRANSMISSION.sendWriteZeroes |
    TRANSMISSION.canMultiConnection |
    TRANSMISSION.sendCache |
    (structuredReplies ? TRANSMISSION.sendDoNotFragment : 0)
  );
}
