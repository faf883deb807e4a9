import { NBD_PREFERRED_BYTES, NBD_REQUEST_MAX_BYTES } from "../limits.ts";
import { HANDSHAKE_FIXED_NEWSTYLE, HANDSHAKE_NO_ZEROES, OPTION, OPTION_REPLY } from "./protocol.ts";
import { blockSizeReply, exportInfoReply, exportNameReply, optionReply, serverReply } from "./replies.ts";

/** An export that a client may choose; the empty name means the first. */
export interface ExportDescription {
  readonly name: string;
  readonly sizeBytes: number;
  /** The smallest unit offered; unaligned requests also work. */
  readonly sectorSizeBytes: number;
}

export interface Negotiation {
  readonly noZeroes: boolean;
  readonly structuredReplies: boolean;
}

/** The result of one option: replies to send, and how the connection continues. */
export interface OptionOutcome {
  readonly replies: readonly Buffer[];
  readonly next: "continue" | "close" | { readonly transmit: number };
  readonly negotiation: Negotiation;
}

/**
 * The client's flags, or undefined when it sets one that this server never offered: the protocol then asks to hang up.
 */
export function acceptClientFlags(flags: number): Negotiation | undefined {
  if ((flags & ~(HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES)) !== 0) return undefined;
  return { noZeroes: (flags & HANDSHAKE_NO_ZEROES) !== 0, structuredReplies: false };
}

/** Answers one option of the client (proto.md, "Option types"). Pure. */
export function answerOption(
  option: number,
  data: Buffer,
  negotiation: Negotiation,
  exports: readonly ExportDescription[],
): OptionOutcome {
  const reply = (...replies: readonly Buffer[]): OptionOutcome => ({ replies, next: "continue", negotiation });
  const refuse = (type: number): OptionOutcome => reply(optionReply(option, type));
  switch (option) {
    case OPTION.exportName: {
      const index = exportIndex(data.toString("utf8"), exports);
      const chosen = exports[index];
      if (chosen === undefined) return { replies: [], next: "close", negotiation };
      const answer = exportNameReply(chosen.sizeBytes, negotiation.noZeroes, negotiation.structuredReplies);
      return { replies: [answer], next: { transmit: index }, negotiation };
    }
    case OPTION.abort:
      return { replies: [optionReply(option, OPTION_REPLY.ack)], next: "close", negotiation };
    case OPTION.list:
      if (data.length > 0) return refuse(OPTION_REPLY.invalid);
      return reply(...exports.map((each) => serverReply(option, each.name)), optionReply(option, OPTION_REPLY.ack));
    case OPTION.structuredReply:
      if (data.length > 0) return refuse(OPTION_REPLY.invalid);
      return { ...refuse(OPTION_REPLY.ack), negotiation: { ...negotiation, structuredReplies: true } };
    case OPTION.info:
    case OPTION.go: {
      const name = infoName(data);
      if (name === undefined) return refuse(OPTION_REPLY.invalid);
      const index = exportIndex(name, exports);
      const chosen = exports[index];
      if (chosen === undefined) return refuse(OPTION_REPLY.unknown);
      const replies = [
        exportInfoReply(option, chosen.sizeBytes, negotiation.structuredReplies),
        blockSizeReply(
          option,
          chosen.sectorSizeBytes,
          Math.max(NBD_PREFERRED_BYTES, chosen.sectorSizeBytes),
          NBD_REQUEST_MAX_BYTES,
        ),
        optionReply(option, OPTION_REPLY.ack),
      ];
      return { replies, next: option === OPTION.go ? { transmit: index } : "continue", negotiation };
    }
    default:
      return refuse(OPTION_REPLY.unsupported);
  }
}

function exportIndex(name: string, exports: readonly ExportDescription[]): number {
  return name === "" ? 0 : exports.findIndex((each) => each.name === name);
}

/**
 * The name in the data of INFO or GO, or undefined when its lengths do not add up. A server may ignore the list of
 * requested infos.
 */
function infoName(data: Buffer): string | undefined {
  if (data.length < 6) return undefined;
  const nameLength = data.readUInt32BE(0);
  if (nameLength > data.length - 6) return undefined;
  const count = data.readUInt16BE(4 + nameLength);
  return data.length === 6 + nameLength + 2 * count ? data.toString("utf8", 4, 4 + nameLength) : undefined;
}
