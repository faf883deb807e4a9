import { statSync } from "node:fs";
import { connect, Socket } from "node:net";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createByteBudget } from "../../mobility/nbd/byte-budget.ts";
import type { NbdDisk } from "../../mobility/nbd/connection.ts";
import { startNbdServer } from "../../mobility/nbd/server.ts";
import { connectNbd, createReader } from "./nbd-client.ts";
import { temporaryFolder } from "./temporary.ts";

const MIB = 1024 * 1024;

/** A disk in memory. `hold` makes writes wait for `release`; `fail` is thrown by what touches its byte. */
interface MemoryDisk extends NbdDisk {
  readonly bytes: Buffer;
  readonly waiting: (() => void)[];
  hold: boolean;
  failAtByte: number;
}

function memoryDisk(sizeBytes: number): MemoryDisk {
  const touch = (offsetBytes: number, lengthBytes: number): void => {
    const { failAtByte } = disk;
    if (offsetBytes <= failAtByte && failAtByte < offsetBytes + lengthBytes)
      throw Object.assign(new Error("medium"), { code: "EIO" });
  };
  const later = (change: () => void): Promise<void> | undefined => {
    if (!disk.hold) {
      change();
      return undefined;
    }
    return new Promise<void>((resolve) => void disk.waiting.push(resolve)).then(change);
  };
  const disk: MemoryDisk = {
    name: "disk",
    sizeBytes,
    sectorSizeBytes: 512,
    bytes: Buffer.alloc(sizeBytes),
    waiting: [],
    hold: false,
    failAtByte: -1,
    read: (offsetBytes, lengthBytes) => {
      touch(offsetBytes, lengthBytes);
      return Buffer.from(disk.bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
    },
    write: (offsetBytes, data) => {
      touch(offsetBytes, data.length);
      return later(() => void data.copy(disk.bytes, offsetBytes));
    },
    zero: (offsetBytes, lengthBytes) => later(() => void disk.bytes.fill(0, offsetBytes, offsetBytes + lengthBytes)),
    flush: () => Promise.resolve(),
  };
  return disk;
}

async function serve(disk: NbdDisk): Promise<string> {
  const path = join(temporaryFolder(), "nbd.sock");
  const server = await startNbdServer([{ kind: "unix", path }], [disk]);
  onTestFinished(() => server.stop());
  return path;
}

/** A connection in transmission, with structured replies if wanted; the rest is up to the test. */
async function raw(
  path: string,
  structured: boolean,
): Promise<{ readonly socket: Socket; readonly reader: ReturnType<typeof createReader> }> {
  const socket = connect(path);
  onTestFinished(() => void socket.destroy());
  const reader = createReader(socket);
  await reader.take(18);
  socket.write(Buffer.from([0, 0, 0, 3]));
  if (structured) {
    socket.write(option(8, Buffer.alloc(0)));
    await reader.take(20);
  }
  socket.write(option(1, Buffer.alloc(0)));
  await reader.take(10);
  return { socket, reader };
}

function option(id: number, data: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.write("IHAVEOPT", 0, "latin1");
  head.writeUInt32BE(id, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

function request(type: number, cookie: number, offset: number, length: number, flags = 0): Buffer {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(0x25609513, 0);
  head.writeUInt16BE(flags, 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(BigInt(cookie), 8);
  head.writeBigUInt64BE(BigInt(offset), 16);
  head.writeUInt32BE(length, 24);
  return head;
}

/** The chunks of one structured reply, up to the one that says it is the last. */
async function chunks(
  reader: ReturnType<typeof createReader>,
): Promise<readonly { readonly type: number; readonly payload: Buffer }[]> {
  const found: { type: number; payload: Buffer }[] = [];
  for (;;) {
    const head = await reader.take(20);
    expect(head.readUInt32BE(0)).toBe(0x668e33ef);
    found.push({ type: head.readUInt16BE(6), payload: await reader.take(head.readUInt32BE(16)) });
    if ((head.readUInt16BE(4) & 1) !== 0) return found;
  }
}

/** The data of a structured reply without errors. */
function joined(found: Awaited<ReturnType<typeof chunks>>, offset: number, length: number): Buffer {
  const data = Buffer.alloc(length);
  for (const { type, payload } of found) {
    if (type !== 1) throw new Error(`a chunk of type ${type} is no data`);
    payload.copy(data, Number(payload.readBigUInt64BE(0)) - offset, 8);
  }
  return data;
}

async function simpleData(reader: ReturnType<typeof createReader>, length: number): Promise<Buffer> {
  const error = (await reader.take(16)).readUInt32BE(4);
  if (error !== 0) throw new Error(`the server answered with error ${error}`);
  return reader.take(length);
}

const pattern = (lengthBytes: number): Buffer => {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at + 4 <= lengthBytes; at += 4) bytes.writeUInt32BE((at * 2_654_435_761) % 2 ** 32, at);
  return bytes;
};

describe("who may connect", () => {
  it("only its user: the socket has mode 0600, whatever the umask of the process", async () => {
    const before = process.umask(0);
    onTestFinished(() => void process.umask(before));
    const path = await serve(memoryDisk(MIB));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(process.umask()).toBe(0);
  });
});

describe("NBD server", () => {
  it("answers what arrives together in one system call, in order", async () => {
    const { socket, reader } = await raw(await serve(memoryDisk(MIB)), false);
    const writes = vi.spyOn(Socket.prototype, "write");
    onTestFinished(() => writes.mockRestore());
    const requests = Array.from({ length: 16 }, (_, cookie) => [
      request(1, cookie, 4096 * cookie, 512),
      Buffer.alloc(512, cookie),
    ]);
    socket.write(Buffer.concat([...requests.flat(), request(0, 16, 4096, 512)]));
    const cookies: bigint[] = [];
    for (let cookie = 0; cookie <= 16; cookie += 1) cookies.push((await reader.take(16)).readBigUInt64BE(8));
    expect(cookies).toEqual(Array.from({ length: 17 }, (_, cookie) => BigInt(cookie)));
    expect((await reader.take(512)).equals(Buffer.alloc(512, 1))).toBe(true);
    // One of the client, one of the server.
    expect(writes).toHaveBeenCalledTimes(2);
  });

  it.each([
    ["simple", false],
    ["structured", true],
  ])("answers reads of any length up to 64 MiB byte for byte with %s replies", async (_, structured) => {
    const disk = memoryDisk(64 * MIB);
    pattern(64 * MIB).copy(disk.bytes);
    const { socket, reader } = await raw(await serve(disk), structured);
    for (const [offset, length] of [
      [0, 64 * MIB],
      [5, 4 * MIB],
      [512, 9 * MIB + 7],
      [64 * MIB - 1, 1],
    ] as const) {
      socket.write(request(0, 1, offset, length));
      const data = structured ? joined(await chunks(reader), offset, length) : await simpleData(reader, length);
      expect(data.equals(disk.bytes.subarray(offset, offset + length))).toBe(true);
    }
  });

  it("says in an error chunk that a long read failed on its way, and goes on", async () => {
    const disk = memoryDisk(16 * MIB);
    disk.failAtByte = 9 * MIB;
    const { socket, reader } = await raw(await serve(disk), true);
    socket.write(request(0, 1, 0, 16 * MIB));
    const found = await chunks(reader);
    expect(found.map(({ type }) => type)).toEqual([1, 1, 32_769]);
    expect(found.at(-1)?.payload.readUInt32BE(0)).toBe(5);
    socket.write(request(0, 2, 0, 512));
    expect((await chunks(reader)).map(({ payload }) => payload.length)).toEqual([520]);
  });

  it("hangs up when a simple reply that has begun cannot be finished", async () => {
    const disk = memoryDisk(16 * MIB);
    disk.failAtByte = 9 * MIB;
    const { socket, reader } = await raw(await serve(disk), false);
    socket.write(request(0, 1, 0, 16 * MIB));
    expect((await reader.take(16)).readUInt32BE(4)).toBe(0);
    await expect(reader.take(16 * MIB)).rejects.toThrowError("closed");
  });

  it("puts no other reply between the pieces of a long read", async () => {
    const disk = memoryDisk(16 * MIB);
    disk.hold = true;
    const { socket, reader } = await raw(await serve(disk), false);
    socket.write(Buffer.concat([request(1, 7, 0, 512), Buffer.alloc(512, 3), request(0, 8, MIB, 12 * MIB)]));
    expect((await reader.take(16)).readBigUInt64BE(8)).toBe(8n);
    for (const release of disk.waiting) release();
    expect((await reader.take(12 * MIB)).equals(Buffer.alloc(12 * MIB))).toBe(true);
    expect((await reader.take(16)).readBigUInt64BE(8)).toBe(7n);
    expect(disk.bytes[511]).toBe(3);
  });

  it("writes 64 MiB in one request, unaligned too", async () => {
    const disk = memoryDisk(64 * MIB);
    const client = await connectNbd({ path: await serve(disk) });
    const data = pattern(64 * MIB - 3);
    await client.write(3, data, true);
    expect(disk.bytes.subarray(3).equals(data)).toBe(true);
    await client.close();
  });

  it("answers a long write that failed on its way once, with its error, and keeps framing", async () => {
    const disk = memoryDisk(32 * MIB);
    disk.failAtByte = 5 * MIB;
    const client = await connectNbd({ path: await serve(disk) });
    const replies = await Promise.all([
      client.request(1, 0, 20 * MIB, { data: Buffer.alloc(20 * MIB, 1) }),
      client.request(1, 31 * MIB, 512, { data: Buffer.alloc(512, 2) }),
    ]);
    expect(replies.map(({ error }) => error)).toEqual([5, 0]);
    expect([disk.bytes[0], disk.bytes[12 * MIB], disk.bytes[31 * MIB]]).toEqual([1, 0, 2]);
    await client.close();
  });

  it("FUA of a request that writes nothing makes durable what was written before it", async () => {
    const disk = memoryDisk(MIB);
    let flushes = 0;
    const path = await serve({
      ...disk,
      flush: async () => {
        flushes += 1;
      },
    });
    const { socket, reader } = await raw(path, false);
    const [FUA, WRITE, TRIM, CACHE, WRITE_ZEROES] = [1, 1, 4, 5, 6];
    const nothing = [
      [TRIM, 512],
      [CACHE, 512],
      [WRITE, 0],
      [WRITE_ZEROES, 0],
    ] as const;
    for (const [at, [type, length]] of nothing.entries()) {
      for (const flags of [0, FUA]) {
        socket.write(request(type, at, 0, length, flags));
        expect((await reader.take(16)).readUInt32BE(4)).toBe(0);
        expect([at, flags, flushes]).toEqual([at, flags, at + flags]);
      }
    }
  });

  it("listens on this machine only: a raw disk has no password", async () => {
    for (const host of ["0.0.0.0", "::", "10.0.0.4", "127.0.0.1.example.org"]) {
      await expect(startNbdServer([{ kind: "tcp", host, port: 0 }], [])).rejects.toMatchObject({
        code: "configuration-invalid",
      });
    }
    const server = await startNbdServer([{ kind: "tcp", host: "127.0.0.1", port: 0 }], []);
    await server.stop();
  });

  it("finishes everything outstanding before it obeys DISC", async () => {
    const disk = memoryDisk(MIB);
    disk.hold = true;
    const { socket, reader } = await raw(await serve(disk), false);
    socket.write(
      Buffer.concat([request(1, 1, 0, 512), Buffer.alloc(512, 1), request(6, 2, 512, 512), request(2, 3, 0, 0)]),
    );
    while (disk.waiting.length < 2) await new Promise(setImmediate);
    for (const release of disk.waiting) release();
    const cookies = [(await reader.take(16)).readBigUInt64BE(8), (await reader.take(16)).readBigUInt64BE(8)];
    expect(cookies).toEqual([1n, 2n]);
    await expect(reader.take(1)).rejects.toThrowError("closed");
    expect(disk.bytes[0]).toBe(1);
  });

  it("rule 9: payloads that wait are bounded over all connections, and all go on when they are done", async () => {
    const disk = memoryDisk(16 * MIB);
    disk.hold = true;
    const path = await serve(disk);
    const clients = await Promise.all(Array.from({ length: 8 }, () => connectNbd({ path })));
    const writes = clients.flatMap((client) => Array.from({ length: 16 }, () => client.write(0, Buffer.alloc(MIB, 9))));
    const all = Promise.all(writes);
    const ended = all.then(() => true as const);
    const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
    while (disk.waiting.length < 32) await turn();
    // Time for a server without a bound to take up more.
    for (let turns = 300; turns > 0; turns -= 1) await turn();
    const most = disk.waiting.length;
    do disk.waiting.shift()?.();
    while (!(await Promise.race([ended, turn().then(() => false as const)])));
    await all;
    // One more a connection: the limit is looked at before a request is taken up.
    expect(most).toBeLessThanOrEqual(32 + clients.length);
    for (const client of clients) client.destroy();
  });

  it("a budget wakes those who wait exactly once", () => {
    const budget = createByteBudget(10);
    let woken = 0;
    budget.take(12);
    budget.whenFree(() => (woken += 1));
    budget.giveBack(1);
    expect([budget.isSpent, woken]).toEqual([true, 0]);
    budget.giveBack(3);
    budget.giveBack(8);
    expect([budget.isSpent, woken]).toEqual([false, 1]);
  });

  it("FUA waits for the medium also where there is nothing to change: TRIM, CACHE and requests of no bytes", async () => {
    const disk = memoryDisk(MIB);
    let flushes = 0;
    let release: () => void = () => undefined;
    const flushed: NbdDisk = {
      ...disk,
      flush: () => {
        flushes += 1;
        return new Promise<void>((resolve) => (release = resolve));
      },
    };
    const client = await connectNbd({ path: await serve(flushed) });
    const [WRITE, TRIM, CACHE, WRITE_ZEROES, FUA] = [1, 4, 5, 6, 1];
    for (const [type, length] of [
      [TRIM, 4096],
      [CACHE, 4096],
      [WRITE, 0],
      [WRITE_ZEROES, 0],
    ] as const) {
      const before = flushes;
      expect(await client.request(type, 0, length)).toMatchObject({ error: 0 });
      expect(flushes).toBe(before);
      let answered = false;
      const reply = client.request(type, 0, length, { flags: FUA }).then((given) => {
        answered = true;
        return given;
      });
      // What was asked later is answered first: the one before waits for the medium.
      expect(await client.request(type, 0, length)).toMatchObject({ error: 0 });
      expect({ type, answered, flushes }).toEqual({ type, answered: false, flushes: before + 1 });
      release();
      expect(await reply).toMatchObject({ error: 0 });
    }
    await client.close();
  });

  it("rule 9: survives valid sessions that are mutated and cut anywhere, and serves the next client", async () => {
    const disk = memoryDisk(MIB);
    const path = await serve(disk);
    const options = fc.array(
      fc.constantFrom(
        option(3, Buffer.alloc(0)),
        option(8, Buffer.alloc(0)),
        option(6, Buffer.alloc(6)),
        option(5, Buffer.alloc(0)),
      ),
      {
        maxLength: 3,
      },
    );
    const command = fc
      .tuple(fc.constantFrom(0, 1, 3, 4, 5, 6, 7), fc.nat(MIB), fc.nat(70_000), fc.constantFrom(0, 0, 0, 1, 2, 4))
      .map(([type, offset, length, flags]) =>
        Buffer.concat([
          request(type, offset + 1, type === 3 ? 0 : offset, type === 3 ? 0 : length, flags),
          Buffer.alloc(type === 1 ? length : 0, 7),
        ]),
      );
    const session = fc
      .tuple(
        options,
        fc.constantFrom(option(1, Buffer.alloc(0)), option(7, Buffer.alloc(6))),
        fc.array(command, { maxLength: 12 }),
      )
      .map(([haggling, begin, commands]) =>
        Buffer.concat([Buffer.from([0, 0, 0, 3]), ...haggling, begin, ...commands]),
      );
    const mutation = fc.record({ at: fc.nat(), byte: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(
        session,
        fc.array(mutation, { maxLength: 4 }),
        fc.nat(),
        fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 4 }),
        async (valid, mutations, cutAt, sizes) => {
          const bytes = Buffer.from(valid);
          for (const { at, byte } of mutations) bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ byte;
          const sent = bytes.subarray(0, 1 + (cutAt % bytes.length));
          const socket = connect(path);
          const gone = new Promise<void>((resolve) => void socket.once("close", () => resolve()));
          socket.on("error", () => undefined);
          socket.on("data", () => undefined);
          for (let at = 0, index = 0; at < sent.length; index += 1) {
            const size = sizes[index % sizes.length] ?? 1;
            socket.write(sent.subarray(at, at + size));
            at += size;
          }
          socket.end();
          await gone;
        },
      ),
      { numRuns: 200 },
    );
    disk.bytes.fill(0);
    const client = await connectNbd({ path });
    await client.write(4096, Buffer.alloc(512, 5));
    expect((await client.read(4096, 512)).equals(Buffer.alloc(512, 5))).toBe(true);
    await client.close();
  });
});
