import { connect, type Socket } from "node:net";

/** A small NBD client for tests: pipelines requests, speaks simple replies only, and shares no code with the server. */
export interface TestClient {
  readonly sizeBytes: number;
  /** Sends one request; the error number of the reply (0 is success) and the data of a READ. */
  request(
    type: number,
    offset: number,
    length: number,
    options?: { readonly data?: Buffer; readonly flags?: number },
  ): Promise<Reply>;
  read(offset: number, length: number): Promise<Buffer>;
  write(offset: number, data: Buffer, fua?: boolean): Promise<void>;
  zero(offset: number, length: number): Promise<void>;
  flush(): Promise<void>;
  /** DISC, then waits for the server to close. */
  close(): Promise<void>;
  /** Drops the connection as a dying client does. */
  destroy(): void;
}

interface Reply {
  readonly error: number;
  readonly data: Buffer;
}

export type Place = { readonly path: string } | { readonly port: number; readonly host: string };

const MAGIC_OPTION = 0x49484156454f5054n;

export async function connectNbd(place: Place, exportName = ""): Promise<TestClient> {
  const socket = connect(place);
  const reader = createReader(socket);
  await reader.take(18);
  const name = Buffer.from(exportName);
  const hello = Buffer.alloc(20 + name.length);
  hello.writeUInt32BE(3, 0);
  hello.writeBigUInt64BE(MAGIC_OPTION, 4);
  hello.writeUInt32BE(1, 12);
  hello.writeUInt32BE(name.length, 16);
  name.copy(hello, 20);
  socket.write(hello);
  const sizeBytes = Number((await reader.take(10)).readBigUInt64BE(0));

  const waiting = new Map<
    bigint,
    { readonly length: number; readonly resolve: (reply: Reply) => void; readonly reject: (error: Error) => void }
  >();
  let nextCookie = 1n;
  const pump = async (): Promise<void> => {
    for (;;) {
      const header = await reader.take(16);
      const cookie = header.readBigUInt64BE(8);
      const error = header.readUInt32BE(4);
      const request = waiting.get(cookie);
      if (header.readUInt32BE(0) !== 0x67446698 || request === undefined)
        throw new Error("the server sent something else than a reply");
      const data = error === 0 && request.length > 0 ? await reader.take(request.length) : Buffer.alloc(0);
      waiting.delete(cookie);
      request.resolve({ error, data });
    }
  };
  const lost = pump().catch((error: unknown) => {
    for (const request of waiting.values()) request.reject(error instanceof Error ? error : new Error(String(error)));
    waiting.clear();
  });

  const request: TestClient["request"] = (type, offset, length, { data, flags = 0 } = {}) =>
    new Promise((resolve, reject) => {
      const cookie = nextCookie++;
      const header = Buffer.alloc(28);
      header.writeUInt32BE(0x25609513, 0);
      header.writeUInt16BE(flags, 4);
      header.writeUInt16BE(type, 6);
      header.writeBigUInt64BE(cookie, 8);
      header.writeBigUInt64BE(BigInt(offset), 16);
      header.writeUInt32BE(length, 24);
      if (socket.destroyed) return reject(new Error("the connection is closed"));
      waiting.set(cookie, { length: type === 0 ? length : 0, resolve, reject });
      socket.write(header);
      if (data !== undefined) socket.write(data);
    });
  const must = async (reply: Promise<Reply>): Promise<Buffer> => {
    const { error, data } = await reply;
    if (error !== 0) throw new Error(`the server answered with error ${error}`);
    return data;
  };
  return {
    sizeBytes,
    request,
    read: (offset, length) => must(request(0, offset, length)),
    write: async (offset, data, fua = false) =>
      void (await must(request(1, offset, data.length, { data, flags: fua ? 1 : 0 }))),
    zero: async (offset, length) => void (await must(request(6, offset, length))),
    flush: async () => void (await must(request(3, 0, 0))),
    close: async () => {
      socket.write(Buffer.concat([Buffer.from([0x25, 0x60, 0x95, 0x13, 0, 0, 0, 2]), Buffer.alloc(20)]));
      await lost;
      socket.destroy();
    },
    destroy: () => socket.destroy(),
  };
}

/** Reads exact lengths from a socket; rejects when it ends before. */
export function createReader(socket: Socket): { take(length: number): Promise<Buffer> } {
  let chunks: Buffer[] = [];
  let available = 0;
  let ended = false;
  let wake: (() => void) | undefined;
  const end = (): void => {
    ended = true;
    wake?.();
  };
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    available += chunk.length;
    wake?.();
  });
  socket.on("error", end);
  socket.on("close", end);
  return {
    take: async (length) => {
      for (;;) {
        if (available >= length) break;
        if (ended) throw new Error("the connection was closed");
        await new Promise<void>((resolve) => (wake = resolve));
      }
      const all = Buffer.concat(chunks);
      chunks = [all.subarray(length)];
      available -= length;
      return all.subarray(0, length);
    },
  };
}
