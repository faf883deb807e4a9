import { connect, type Socket } from "node:net";
import { LeewardError } from "../../replication/errors.ts";
import { LAB_NBD_OPTION_MAX_BYTES, LAB_NBD_PAYLOAD_MAX_BYTES, LAB_NBD_REQUESTS_MAX } from "../limits.ts";

/** Where an NBD server listens. */
export type NbdAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

export interface NbdWriteOptions {
  /** The answer comes only once the data is durable. */
  readonly forceUnitAccess?: boolean;
}

const OPTION_MAGIC = 0x49484156454f5054n;
const SERVER_MAGIC = 0x4e42444d41474943n;
const REPLY_MAGIC = 0x0003e889045565a9n;
const OPTION_GO = 7;
const REPLY_ACK = 1;
const REPLY_INFO = 3;
const REPLY_ERROR_BIT = 0x80000000;
const FLAG_FUA = 1;

const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 } as const;

interface Pending {
  readonly command: keyof typeof COMMAND;
  readonly payloadBytes: number;
  readonly resolve: (payload: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Connects, negotiates with GO and returns the open export. Throws `store-unavailable` when no server listens or the
 * name is unknown.
 */
export async function openNbdDisk(address: NbdAddress, exportName: string): Promise<NbdDisk> {
  const socket = address.kind === "unix" ? connect(address.path) : connect(address.port, address.host);
  socket.setNoDelay(true);
  const reader = new ByteReader(socket);
  const greeting = await reader.take(18);
  if (greeting.readBigUInt64BE(0) !== SERVER_MAGIC || greeting.readBigUInt64BE(8) !== OPTION_MAGIC) {
    socket.destroy();
    throw nbdFailure("The server does not speak newstyle NBD.", exportName);
  }
  const name = Buffer.from(exportName, "utf8");
  const hello = Buffer.alloc(4 + 16 + 4 + name.length + 2);
  // Fixed newstyle, no zeroes after EXPORT_NAME.
  hello.writeUInt32BE(3, 0);
  hello.writeBigUInt64BE(OPTION_MAGIC, 4);
  hello.writeUInt32BE(OPTION_GO, 12);
  hello.writeUInt32BE(4 + name.length + 2, 16);
  hello.writeUInt32BE(name.length, 20);
  name.copy(hello, 24);
  socket.write(hello);
  let sizeBytes = -1;
  for (;;) {
    const head = await reader.take(20);
    const replyType = head.readUInt32BE(12);
    const lengthBytes = head.readUInt32BE(16);
    if (head.readBigUInt64BE(0) !== REPLY_MAGIC || lengthBytes > LAB_NBD_OPTION_MAX_BYTES) {
      socket.destroy();
      throw nbdFailure("The server sent a malformed option answer.", exportName);
    }
    const payload = await reader.take(lengthBytes);
    if (replyType === REPLY_ACK) break;
    if (replyType >= REPLY_ERROR_BIT) {
      socket.destroy();
      throw nbdFailure(`The server refused the export: ${payload.toString("utf8")}`, exportName);
    }
    if (replyType === REPLY_INFO && payload.readUInt16BE(0) === 0) sizeBytes = Number(payload.readBigUInt64BE(2));
  }
  return new NbdDisk(socket, reader, exportName, sizeBytes);
}

function nbdFailure(message: string, exportName: string, cause?: unknown): LeewardError {
  return new LeewardError(
    "store-unavailable",
    message,
    { exportName },
    { cause, hint: "Check that the mobility service runs and serves this disk." },
  );
}

/**
 * One open export, as a guest's block device sees it. Requests may overlap; each promise settles with its own answer.
 */
export class NbdDisk {
  readonly exportName: string;
  readonly sizeBytes: number;
  readonly #socket: Socket;
  readonly #reader: ByteReader;
  readonly #pending = new Map<bigint, Pending>();
  readonly #waiting: (() => void)[] = [];
  #nextCookie = 1n;
  #failure: Error | undefined;

  constructor(socket: Socket, reader: ByteReader, exportName: string, sizeBytes: number) {
    this.#socket = socket;
    this.#reader = reader;
    this.exportName = exportName;
    this.sizeBytes = sizeBytes;
    void this.#answers();
  }

  read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    return this.#request("read", 0, offsetBytes, lengthBytes);
  }
  async write(offsetBytes: number, bytes: Uint8Array, options: NbdWriteOptions = {}): Promise<void> {
    await this.#request("write", flags(options), offsetBytes, bytes.length, bytes);
  }
  async writeZeroes(offsetBytes: number, lengthBytes: number, options: NbdWriteOptions = {}): Promise<void> {
    await this.#request("writeZeroes", flags(options), offsetBytes, lengthBytes);
  }
  async trim(offsetBytes: number, lengthBytes: number): Promise<void> {
    await this.#request("trim", 0, offsetBytes, lengthBytes);
  }
  async flush(): Promise<void> {
    await this.#request("flush", 0, 0, 0);
  }

  /** Sends a disconnect and closes; unanswered requests fail. */
  close(): void {
    if (this.#failure === undefined) this.#socket.write(header(COMMAND.disconnect, 0, 0n, 0, 0));
    this.#fail(nbdFailure("The connection was closed.", this.exportName));
    this.#socket.end();
  }

  async #request(
    command: keyof typeof COMMAND,
    flag: number,
    offsetBytes: number,
    lengthBytes: number,
    payload?: Uint8Array,
  ): Promise<Buffer> {
    if ((command === "read" || command === "write") && lengthBytes > LAB_NBD_PAYLOAD_MAX_BYTES) {
      throw new LeewardError("internal", "One NBD request carries at most 32 MiB", { lengthBytes });
    }
    while (this.#pending.size >= LAB_NBD_REQUESTS_MAX)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#failure !== undefined) throw this.#failure;
    const cookie = this.#nextCookie++;
    return new Promise<Buffer>((resolve, reject) => {
      this.#pending.set(cookie, { command, payloadBytes: command === "read" ? lengthBytes : 0, resolve, reject });
      this.#socket.cork();
      this.#socket.write(header(COMMAND[command], flag, cookie, offsetBytes, lengthBytes));
      if (payload !== undefined) this.#socket.write(payload);
      this.#socket.uncork();
    });
  }

  async #answers(): Promise<void> {
    try {
      for (;;) {
        const head = await this.#reader.take(16);
        const pending = this.#pending.get(head.readBigUInt64BE(8));
        if (head.readUInt32BE(0) !== 0x67446698 || pending === undefined) throw new Error("malformed answer");
        const errorNumber = head.readUInt32BE(4);
        const payload = errorNumber === 0 ? await this.#reader.take(pending.payloadBytes) : Buffer.alloc(0);
        this.#pending.delete(head.readBigUInt64BE(8));
        this.#waiting.shift()?.();
        if (errorNumber === 0) pending.resolve(payload);
        else pending.reject(nbdFailure(`NBD ${pending.command} failed with error ${errorNumber}.`, this.exportName));
      }
    } catch (error) {
      this.#fail(nbdFailure("The NBD connection broke.", this.exportName, error));
      this.#socket.destroy();
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Reads exact counts of bytes from a socket; one reader at a time. */
class ByteReader {
  readonly #socket: Socket;
  #ended: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const stop = (error?: Error): void => {
      this.#ended ??= error ?? new Error("The server closed the connection.");
      this.#wake?.();
    };
    socket.on("error", stop);
    socket.on("end", () => stop());
    socket.on("close", () => stop());
    socket.on("readable", () => this.#wake?.());
  }

  async take(lengthBytes: number): Promise<Buffer> {
    if (lengthBytes === 0) return Buffer.alloc(0);
    // A read of more than the socket's buffer must be gathered: `read(n)` returns null until n bytes are there, which
    // never happens.
    const parts: Buffer[] = [];
    let missingBytes = lengthBytes;
    for (;;) {
      const available = this.#socket.readableLength;
      const wantedBytes = Math.min(missingBytes, available);
      const part: unknown = wantedBytes > 0 ? this.#socket.read(wantedBytes) : null;
      if (Buffer.isBuffer(part)) {
        parts.push(part);
        missingBytes -= part.length;
        if (missingBytes === 0) return parts.length === 1 ? part : Buffer.concat(parts, lengthBytes);
        continue;
      }
      if (this.#ended !== undefined) {
        throw new LeewardError(
          "store-unavailable",
          "The NBD server is not there.",
          {},
          {
            cause: this.#ended,
            hint: "Check that the mobility service runs and listens at this address.",
          },
        );
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}

function flags(options: NbdWriteOptions): number {
  return options.forceUnitAccess === true ? FLAG_FUA : 0;
}

function header(command: number, flag: number, cookie: bigint, offsetBytes: number, lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(0x25609513, 0);
  bytes.writeUInt16BE(flag, 4);
  bytes.writeUInt16BE(command, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(BigInt(offsetBytes), 16);
  bytes.writeUInt32BE(lengthBytes, 24);
  return bytes;
}
