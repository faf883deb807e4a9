import { NBD_OPTION_MAX_BYTES, NBD_PIECE_FIRST_BYTES, NBD_PIECE_MAX_BYTES } from "../limits.ts";
import { createByteQueue, type ByteQueue } from "./byte-queue.ts";
import { COMMAND, OPTION_HEADER_BYTES, OPTION_MAGIC, REQUEST_HEADER_BYTES, REQUEST_MAGIC } from "./protocol.ts";

/** One request as received: offset and length are still unchecked. */
export interface NbdRequest {
  readonly flags: number;
  readonly type: number;
  readonly cookie: bigint;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export type NbdEvent =
  | { readonly kind: "client-flags"; readonly flags: number }
  | { readonly kind: "option"; readonly option: number; readonly data: Buffer }
  /** Any request without a payload. */
  | { readonly kind: "request"; readonly request: NbdRequest }
  /**
   * The payload of a WRITE, or the next piece of it from `atBytes` on; pieces of one request come in order with nothing
   * between them. The data is valid until the next event is requested, unless `keep` was called.
   */
  | { readonly kind: "payload"; readonly request: NbdRequest; readonly atBytes: number; readonly data: Buffer }
  /** Framing is lost or the client attacks: the connection must be closed. Nothing follows. */
  | { readonly kind: "violation"; readonly reason: string };

/** The client's half of a connection: bytes in, events out. */
export interface NbdParser {
  push(chunk: Buffer): void;
  /** The next complete event, or undefined until more bytes come. */
  next(): NbdEvent | undefined;
  /** The data of the last event is still needed: the parser uses another buffer for the next ones. */
  keep(): void;
  /** Bytes that the parser holds: those pushed and not taken, and at most one piece of NBD_PIECE_MAX_BYTES. */
  readonly heldBytes: number;
  /** The negotiation chose an export: requests follow. */
  beginTransmission(): void;
}

type State =
  | { readonly kind: "client-flags" }
  | { readonly kind: "option-header" }
  | { readonly kind: "option-data"; readonly option: number; readonly lengthBytes: number }
  | { readonly kind: "request-header" }
  | { readonly kind: "payload"; readonly request: NbdRequest; readonly atBytes: number; readonly filledBytes: number }
  | { readonly kind: "closed" };

/** One step: the next state, and an event if one is complete. No step means that more bytes are needed. */
interface Step {
  readonly state: State;
  readonly event?: NbdEvent;
}

/**
 * The reused buffer in which pieces are put together: a fresh one for every request would be most of the garbage of a
 * busy service.
 */
interface Scratch {
  data: Buffer;
}

export function createNbdParser(): NbdParser {
  const queue = createByteQueue();
  const scratch: Scratch = { data: Buffer.alloc(0) };
  let state: State = { kind: "client-flags" };
  return {
    push: (chunk) => queue.push(chunk),
    next: () => {
      for (;;) {
        const step = advance(state, queue, scratch);
        if (step === undefined) return undefined;
        state = step.state;
        if (step.event !== undefined) return step.event;
      }
    },
    keep: () => {
      scratch.data = Buffer.alloc(0);
    },
    get heldBytes() {
      return queue.lengthBytes + scratch.data.length;
    },
    beginTransmission: () => {
      state = { kind: "request-header" };
    },
  };
}

function advance(state: State, queue: ByteQueue, scratch: Scratch): Step | undefined {
  switch (state.kind) {
    case "client-flags": {
      const bytes = queue.take(4);
      return (
        bytes && { state: { kind: "option-header" }, event: { kind: "client-flags", flags: bytes.readUInt32BE(0) } }
      );
    }
    case "option-header": {
      const header = queue.take(OPTION_HEADER_BYTES);
      if (header === undefined) return undefined;
      const lengthBytes = header.readUInt32BE(12);
      if (header.readBigUInt64BE(0) !== OPTION_MAGIC) return violation("an option does not begin with IHAVEOPT");
      if (lengthBytes > NBD_OPTION_MAX_BYTES) return violation("an option is too long");
      return { state: { kind: "option-data", option: header.readUInt32BE(8), lengthBytes } };
    }
    case "option-data": {
      const data = queue.take(state.lengthBytes);
      return data && { state: { kind: "option-header" }, event: { kind: "option", option: state.option, data } };
    }
    case "request-header":
      return requestHeader(queue);
    case "payload":
      return payload(state, queue, scratch);
    case "closed":
      return undefined;
  }
}

function requestHeader(queue: ByteQueue): Step | undefined {
  const header = queue.take(REQUEST_HEADER_BYTES);
  if (header === undefined) return undefined;
  if (header.readUInt32BE(0) !== REQUEST_MAGIC) return violation("a request does not begin with its magic number");
  const request: NbdRequest = {
    flags: header.readUInt16BE(4),
    type: header.readUInt16BE(6),
    cookie: header.readBigUInt64BE(8),
    // Offsets above 2^53 lose low bits here, but are far past the end of any disk.
    offsetBytes: header.readUInt32BE(16) * 2 ** 32 + header.readUInt32BE(20),
    lengthBytes: header.readUInt32BE(24),
  };
  if (request.type !== COMMAND.write || request.lengthBytes === 0) {
    return { state: { kind: "request-header" }, event: { kind: "request", request } };
  }
  return { state: { kind: "payload", request, atBytes: 0, filledBytes: 0 } };
}

function payload(state: Extract<State, { kind: "payload" }>, queue: ByteQueue, scratch: Scratch): Step | undefined {
  const { request, atBytes } = state;
  if (queue.lengthBytes === 0) return undefined;
  const pieceBytes = Math.min(request.lengthBytes - atBytes, NBD_PIECE_MAX_BYTES);
  // A small payload is usually in one received chunk: then nothing is copied.
  const view = state.filledBytes === 0 && pieceBytes <= queue.firstBytes ? queue.take(pieceBytes) : undefined;
  if (view !== undefined) return pieceOf(state, view);
  let { filledBytes } = state;
  if (filledBytes === scratch.data.length) {
    const larger = Buffer.allocUnsafeSlow(
      Math.min(NBD_PIECE_MAX_BYTES, Math.max(NBD_PIECE_FIRST_BYTES, 2 * scratch.data.length)),
    );
    scratch.data.copy(larger, 0, 0, filledBytes);
    scratch.data = larger;
  }
  const piece = scratch.data.subarray(0, pieceBytes);
  filledBytes += queue.copyInto(piece, filledBytes);
  if (filledBytes < pieceBytes) return { state: { ...state, filledBytes } };
  return pieceOf(state, piece);
}

function pieceOf({ request, atBytes }: Extract<State, { kind: "payload" }>, data: Buffer): Step {
  const nextBytes = atBytes + data.length;
  return {
    state:
      nextBytes === request.lengthBytes
        ? { kind: "request-header" }
        : { kind: "payload", request, atBytes: nextBytes, filledBytes: 0 },
    event: { kind: "payload", request, atBytes, data },
  };
}

function violation(reason: string): Step {
  return { state: { kind: "closed" }, event: { kind: "violation", reason } };
}
