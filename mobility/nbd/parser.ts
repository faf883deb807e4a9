import { NBD_OPTION_MAX_BYTES, NBD_REQUEST_MAX_BYTES } from "../../replication/limits.ts";
import { createByteQueue } from "./byte-queue.ts";
import type { ByteQueue } from "./byte-queue.ts";
import { COMMAND, OPTION_HEADER_BYTES, OPTION_MAGIC, REQUEST_HEADER_BYTES, REQUEST_MAGIC } from "./protocol.ts";

/** One request as it came: offset and length are the client's words and still unchecked. */
export interface NbdRequest {
  readonly flags: number;
  readonly type: number;
  readonly cookie: bigint;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** The payload of a WRITE; empty for every other command. */
  readonly data: Buffer;
}

export type NbdEvent =
  | { readonly kind: "client-flags"; readonly flags: number }
  | { readonly kind: "option"; readonly option: number; readonly data: Buffer }
  | { readonly kind: "request"; readonly request: NbdRequest }
  /** A WRITE above the payload limit: its bytes were dropped as they came, so that framing is kept and the client gets an answer. */
  | { readonly kind: "oversized"; readonly request: NbdRequest }
  /** Framing is lost or the client attacks: the connection must be closed. Nothing follows. */
  | { readonly kind: "violation"; readonly reason: string };

/** The client's half of a connection: bytes in, events out. Holds at most one payload of NBD_REQUEST_MAX_BYTES beside what was pushed and not taken. */
export interface NbdParser {
  push(chunk: Buffer): void;
  /** The next complete event, or undefined until more bytes come. */
  next(): NbdEvent | undefined;
  /** The negotiation ended in an export: what follows are requests. */
  beginTransmission(): void;
}

type State =
  | { readonly kind: "client-flags" }
  | { readonly kind: "option-header" }
  | { readonly kind: "option-data"; readonly option: number; readonly lengthBytes: number }
  | { readonly kind: "request-header" }
  | { readonly kind: "payload"; readonly request: NbdRequest; readonly data: Buffer; readonly filledBytes: number }
  | { readonly kind: "drain"; readonly request: NbdRequest; readonly leftBytes: number }
  | { readonly kind: "closed" };

/** One step: the next state, and an event if one is complete. No step means that more bytes are needed. */
interface Step {
  readonly state: State;
  readonly event?: NbdEvent;
}

/** A payload buffer begins no larger than this and doubles as bytes arrive, so that a header alone allocates nothing large. */
const PAYLOAD_FIRST_BYTES = 1024 * 1024;
const EMPTY = Buffer.alloc(0);

export function createNbdParser(): NbdParser {
  const queue = createByteQueue();
  let state: State = { kind: "client-flags" };
  return {
    push: (chunk) => queue.push(chunk),
    next: () => {
      for (;;) {
        const step = advance(state, queue);
        if (step === undefined) return undefined;
        state = step.state;
        if (step.event !== undefined) return step.event;
      }
    },
    beginTransmission: () => {
      state = { kind: "request-header" };
    },
  };
}

function advance(state: State, queue: ByteQueue): Step | undefined {
  switch (state.kind) {
    case "client-flags": {
      const bytes = queue.take(4);
      return bytes && { state: { kind: "option-header" }, event: { kind: "client-flags", flags: bytes.readUInt32BE(0) } };
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
      return payload(state, queue);
    case "drain": {
      const leftBytes = state.leftBytes - queue.skip(state.leftBytes);
      if (leftBytes === 0) return { state: { kind: "request-header" }, event: { kind: "oversized", request: state.request } };
      return leftBytes === state.leftBytes ? undefined : { state: { ...state, leftBytes } };
    }
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
    // Offsets above 2^53 lose low bits here, and are far beyond the end of any disk all the same.
    offsetBytes: Number(header.readBigUInt64BE(16)),
    lengthBytes: header.readUInt32BE(24),
    data: EMPTY,
  };
  if (request.type !== COMMAND.write || request.lengthBytes === 0) {
    return { state: { kind: "request-header" }, event: { kind: "request", request } };
  }
  if (request.lengthBytes > NBD_REQUEST_MAX_BYTES) return { state: { kind: "drain", request, leftBytes: request.lengthBytes } };
  const whole = queue.take(request.lengthBytes);
  if (whole !== undefined) return { state: { kind: "request-header" }, event: { kind: "request", request: { ...request, data: whole } } };
  const data = Buffer.allocUnsafeSlow(Math.min(request.lengthBytes, PAYLOAD_FIRST_BYTES));
  return { state: { kind: "payload", request, data, filledBytes: 0 } };
}

function payload(state: Extract<State, { kind: "payload" }>, queue: ByteQueue): Step | undefined {
  const { request } = state;
  let { data, filledBytes } = state;
  if (queue.lengthBytes === 0) return undefined;
  if (filledBytes === data.length) {
    const larger = Buffer.allocUnsafeSlow(Math.min(request.lengthBytes, data.length * 2));
    data.copy(larger);
    data = larger;
  }
  filledBytes += queue.copyInto(data, filledBytes);
  if (filledBytes < request.lengthBytes) return { state: { kind: "payload", request, data, filledBytes } };
  return { state: { kind: "request-header" }, event: { kind: "request", request: { ...request, data } } };
}

function violation(reason: string): Step {
  return { state: { kind: "closed" }, event: { kind: "violation", reason } };
}
