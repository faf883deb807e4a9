import {
  CHUNK,
  CHUNK_DONE,
  CHUNK_MAGIC,
  exportFlags,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  INFO,
  NBD_MAGIC,
  OPTION_MAGIC,
  OPTION_REPLY,
  OPTION_REPLY_MAGIC,
  SIMPLE_REPLY_MAGIC,
  WIRE_ERROR,
  type WireError,
} from "./protocol.ts";

/** The server's first message. */
export function greeting(): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(NBD_MAGIC, 0);
  bytes.writeBigUInt64BE(OPTION_MAGIC, 8);
  bytes.writeUInt16BE(HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES, 16);
  return bytes;
}

export function optionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(20 + data.length);
  bytes.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(type, 12);
  bytes.writeUInt32BE(data.length, 16);
  data.copy(bytes, 20);
  return bytes;
}

/** One line of LIST. */
export function serverReply(option: number, name: string): Buffer {
  const text = Buffer.from(name, "utf8");
  const data = Buffer.alloc(4 + text.length);
  data.writeUInt32BE(text.length, 0);
  text.copy(data, 4);
  return optionReply(option, OPTION_REPLY.server, data);
}

/** The answer to EXPORT_NAME, which has no header. */
export function exportNameReply(sizeBytes: number, noZeroes: boolean, structured: boolean): Buffer {
  const bytes = Buffer.alloc(noZeroes ? 10 : 134);
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 0);
  bytes.writeUInt16BE(exportFlags(structured), 8);
  return bytes;
}

export function exportInfoReply(option: number, sizeBytes: number, structured: boolean): Buffer {
  const data = Buffer.alloc(12);
  data.writeUInt16BE(INFO.export, 0);
  data.writeBigUInt64BE(BigInt(sizeBytes), 2);
  data.writeUInt16BE(exportFlags(structured), 10);
  return optionReply(option, OPTION_REPLY.info, data);
}

export function blockSizeReply(
  option: number,
  minimumBytes: number,
  preferredBytes: number,
  maximumBytes: number,
): Buffer {
  const data = Buffer.alloc(14);
  data.writeUInt16BE(INFO.blockSize, 0);
  data.writeUInt32BE(minimumBytes, 2);
  data.writeUInt32BE(preferredBytes, 6);
  data.writeUInt32BE(maximumBytes, 10);
  return optionReply(option, OPTION_REPLY.info, data);
}

/** The answer to every command except a READ with structured replies. */
export function simpleReply(cookie: bigint, error: WireError): Buffer {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUInt32BE(SIMPLE_REPLY_MAGIC, 0);
  bytes.writeUInt32BE(error, 4);
  bytes.writeBigUInt64BE(cookie, 8);
  return bytes;
}

/**
 * The header of one piece of a successful READ's data. Without structured replies the whole length is promised before
 * the first piece, and the others have no header.
 */
export function readReplyHeader(cookie: bigint, piece: ReadPiece, structured: boolean): Buffer {
  if (!structured) return piece.first ? simpleReply(cookie, WIRE_ERROR.none) : Buffer.alloc(0);
  const bytes = Buffer.allocUnsafe(28);
  writeChunkHeader(bytes, CHUNK.offsetData, cookie, 8 + piece.lengthBytes, piece.last);
  bytes.writeBigUInt64BE(BigInt(piece.offsetBytes), 20);
  return bytes;
}

interface ReadPiece {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly first: boolean;
  readonly last: boolean;
}

/** An empty READ with structured replies: an empty data chunk is not allowed. */
export function emptyReadReply(cookie: bigint, structured: boolean): Buffer {
  if (!structured) return simpleReply(cookie, WIRE_ERROR.none);
  const bytes = Buffer.allocUnsafe(20);
  writeChunkHeader(bytes, CHUNK.none, cookie, 0);
  return bytes;
}

export function readErrorReply(cookie: bigint, error: WireError, structured: boolean): Buffer {
  if (!structured) return simpleReply(cookie, error);
  const bytes = Buffer.allocUnsafe(26);
  writeChunkHeader(bytes, CHUNK.error, cookie, 6);
  bytes.writeUInt32BE(error, 20);
  bytes.writeUInt16BE(0, 24);
  return bytes;
}

function writeChunkHeader(bytes: Buffer, type: number, cookie: bigint, lengthBytes: number, done = true): void {
  bytes.writeUInt32BE(CHUNK_MAGIC, 0);
  bytes.writeUInt16BE(done ? CHUNK_DONE : 0, 4);
  bytes.writeUInt16BE(type, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeUInt32BE(lengthBytes, 16);
}
