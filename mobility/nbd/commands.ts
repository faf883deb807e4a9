import { NBD_PIECE_MAX_BYTES, NBD_REQUEST_MAX_BYTES } from "../limits.ts";
import type { NbdRequest } from "./parser.ts";
import { COMMAND, COMMAND_FLAG, WIRE_ERROR, type WireError } from "./protocol.ts";

/** A request checked against the disk: the action to take, or the error to answer with. */
export type NbdCommand =
  | { readonly kind: "read" }
  | { readonly kind: "write"; readonly fua: boolean }
  | { readonly kind: "zero"; readonly fua: boolean }
  | { readonly kind: "flush" }
  /**
   * Nothing to do: a hint, or a request of no bytes. `durable`: earlier writes must be durable before the answer (FUA).
   */
  | { readonly kind: "nothing"; readonly durable: boolean }
  | { readonly kind: "disconnect" }
  | { readonly kind: "refuse"; readonly error: WireError };

const refuse = (error: WireError): NbdCommand => ({ kind: "refuse", error });

/**
 * Checks flags, range and length as proto.md asks: EINVAL for unknown commands and flags and for a range past the end
 * of the disk, but ENOSPC for WRITE and WRITE_ZEROES there. FUA is accepted on every command. TRIM and CACHE are hints:
 * TRIM changes nothing in version 1, because Node cannot punch holes.
 */
export function checkCommand(request: NbdRequest, sizeBytes: number, structuredReplies: boolean): NbdCommand {
  const { type, flags, offsetBytes, lengthBytes } = request;
  if (type === COMMAND.disconnect) return { kind: "disconnect" };
  const allowed =
    COMMAND_FLAG.fua |
    (type === COMMAND.writeZeroes ? COMMAND_FLAG.noHole : 0) |
    (type === COMMAND.read && structuredReplies ? COMMAND_FLAG.doNotFragment : 0);
  if ((flags & ~allowed) !== 0) return refuse(WIRE_ERROR.invalid);
  const fua = (flags & COMMAND_FLAG.fua) !== 0;
  const inside = offsetBytes + lengthBytes <= sizeBytes;
  switch (type) {
    case COMMAND.read:
      if (!inside || lengthBytes > NBD_REQUEST_MAX_BYTES) return refuse(WIRE_ERROR.invalid);
      // Anything longer than one piece is answered in fragments: the protocol then wants EOVERFLOW, but never up to 64
      // KiB.
      return (flags & COMMAND_FLAG.doNotFragment) !== 0 && lengthBytes > NBD_PIECE_MAX_BYTES
        ? refuse(WIRE_ERROR.overflow)
        : { kind: "read" };
    case COMMAND.write:
      if (lengthBytes > NBD_REQUEST_MAX_BYTES) return refuse(WIRE_ERROR.invalid);
      if (!inside) return refuse(WIRE_ERROR.noSpace);
      return lengthBytes === 0 ? { kind: "nothing", durable: fua } : { kind: "write", fua };
    case COMMAND.writeZeroes:
      if (!inside) return refuse(WIRE_ERROR.noSpace);
      return lengthBytes === 0 ? { kind: "nothing", durable: fua } : { kind: "zero", fua };
    case COMMAND.flush:
      return offsetBytes === 0 && lengthBytes === 0 ? { kind: "flush" } : refuse(WIRE_ERROR.invalid);
    case COMMAND.trim:
    case COMMAND.cache:
      return inside ? { kind: "nothing", durable: fua } : refuse(WIRE_ERROR.invalid);
    default:
      return refuse(WIRE_ERROR.invalid);
  }
}
