import type { Socket } from "node:net";
import { NBD_RECEIVE_BYTES } from "../../replication/limits.ts";

/**
 * Hands over what a socket of a server receives. `received` says whether the bytes are done with; if not, they stay as they are and the next read goes into
 * another buffer. By itself node:net allocates 64 KiB for every read: collecting them was a quarter of the time of large writes. For sockets that connect it
 * documents a buffer that is used again (`onread`); those of a server can use one too, but have no option for it, so what the option would set is set here.
 * Where that is not as expected, the "data" events do.
 */
export function receive(socket: Socket, received: (bytes: Buffer) => boolean): void {
  let buffer = Buffer.allocUnsafeSlow(NBD_RECEIVE_BYTES);
  const took = (lengthBytes: number): void => {
    if (!received(buffer.subarray(0, lengthBytes))) buffer = Buffer.allocUnsafeSlow(NBD_RECEIVE_BYTES);
  };
  if (readInto(socket, () => buffer, took)) socket.resume();
  else socket.on("data", (chunk) => void received(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk)));
}

/** False when this Node's sockets are made in another way: then nothing has changed. */
function readInto(socket: Socket, buffer: () => Buffer, took: (lengthBytes: number) => void): boolean {
  const handle: unknown = Reflect.get(socket, "_handle");
  const keys = Object.getOwnPropertySymbols(socket);
  const keyOf = (name: string): symbol | undefined => keys.find(({ description }) => description === name);
  const [first, callback, next] = [keyOf("kBuffer"), keyOf("kBufferCb"), keyOf("kBufferGen")];
  if (typeof handle !== "object" || handle === null || first === undefined || callback === undefined || next === undefined) return false;
  const use: unknown = Reflect.get(handle, "useUserBuffer");
  if (typeof use !== "function") return false;
  Reflect.set(socket, first, buffer());
  Reflect.set(socket, callback, took);
  Reflect.set(socket, next, buffer);
  Reflect.apply(use, handle, [buffer()]);
  return true;
}
