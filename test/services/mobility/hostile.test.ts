import { connect, type Socket } from "node:net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { startNbdServer } from "../../../mobility/nbd/server.ts";
import { connectNbd, createReader } from "../../mobility/nbd-client.ts";
import { createWorld, noise, until } from "./world.ts";

const closed = (socket: Socket): Promise<void> => new Promise((resolve) => void socket.once("close", () => resolve()));

/** Sends bytes and hangs up as soon as they are out, or when the server does. */
async function throwAt(path: string, bytes: Uint8Array): Promise<void> {
  const socket = connect(path);
  socket.on("error", () => undefined);
  socket.on("data", () => undefined);
  socket.end(bytes);
  await closed(socket);
}

describe("NBD server under attack", () => {
  it("rule 9: lives through any bytes at any stage, and the disks stay as they were", async () => {
    const world = await createWorld({ first: noise(100_000) });
    await world.start();
    const before = [world.image(0), world.image(1)];
    const go = Buffer.concat([
      Buffer.from([0, 0, 0, 3]),
      Buffer.from("IHAVEOPT"),
      Buffer.from([0, 0, 0, 7, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0]),
    ]);
    const header = fc
      .tuple(
        fc.constantFrom(0, 3, 4, 5, 7, 9),
        fc.nat(65_535),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.nat(2 ** 32 - 1),
      )
      .map(([type, flags, offset, length]) => {
        const bytes = Buffer.alloc(28);
        bytes.writeUInt32BE(0x25609513, 0);
        bytes.writeUInt16BE(flags, 4);
        bytes.writeUInt16BE(type, 6);
        bytes.writeBigUInt64BE(offset, 16);
        bytes.writeUInt32BE(length, 24);
        return bytes;
      });
    const attack = fc.oneof(
      fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
      fc
        .uint8Array({ maxLength: 400 })
        .map((bytes) => Buffer.concat([Buffer.from([0, 0, 0, 3]), Buffer.from("IHAVEOPT"), bytes])),
      fc.array(header, { maxLength: 20 }).map((headers) => Buffer.concat([go, ...headers])),
    );
    await fc.assert(
      fc.asyncProperty(attack, (bytes) => throwAt(world.socketPath, bytes)),
      { numRuns: 150 },
    );
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    expect((await client.read(0, 100_000)).equals(before[0]?.subarray(0, 100_000) ?? Buffer.alloc(0))).toBe(true);
    await client.close();
    expect([world.image(0), world.image(1)]).toEqual(before);
  });

  it("answers a bad request with its error number and goes on with the connection", async () => {
    const world = await createWorld();
    await world.start();
    const client = await connectNbd({ path: world.socketPath });
    const MIB = 1024 * 1024;
    expect(client.sizeBytes).toBe(2 * MIB);
    const errors: number[] = [];
    for (const [type, offset, length, data, flags] of [
      [0, 2 * MIB, 1, undefined, 0],
      [1, 2 * MIB - 1, 2, Buffer.alloc(2), 0],
      [6, 0, 2 ** 32 - 1, undefined, 0],
      [4, MIB, 2 * MIB, undefined, 0],
      [77, 0, 0, undefined, 0],
      [1, 0, 512, Buffer.alloc(512), 128],
      [1, 0, 65 * MIB, Buffer.alloc(65 * MIB), 0],
      [0, 0, 0, undefined, 0],
      [1, 0, 0, Buffer.alloc(0), 0],
      [5, 0, 512, undefined, 0],
    ] as const) {
      const options = data === undefined ? { flags } : { data, flags };
      errors.push((await client.request(type, offset, length, options)).error);
    }
    expect(errors).toEqual([22, 28, 28, 22, 22, 22, 22, 0, 0, 0]);
    await client.close();
  });

  it("rule 9: takes up no more requests while the client does not read its answers", async () => {
    const world = await createWorld({ sizeBytes: 32 * 1024 * 1024 });
    const service = await world.start();
    const socket = connect(world.socketPath);
    const reader = createReader(socket);
    await reader.take(18);
    socket.write(
      Buffer.concat([Buffer.from([0, 0, 0, 3]), Buffer.from("IHAVEOPT"), Buffer.from([0, 0, 0, 1, 0, 0, 0, 0])]),
    );
    await reader.take(10);
    socket.pause();
    const read = Buffer.alloc(28);
    read.writeUInt32BE(0x25609513, 0);
    read.writeUInt32BE(16 * 1024 * 1024, 24);
    for (let index = 0; index < 200; index += 1) socket.write(read);
    await until("reads were taken up", () => service.status().churn.reads > 0);
    const other = await connectNbd({ path: world.socketPath });
    for (let round = 0; round < 20; round += 1) await other.write(0, noise(4096));
    expect(service.status().churn.reads).toBeLessThan(5);
    await other.close();
    socket.destroy();
  });

  it("finishes what is under way before it answers DISC by hanging up", async () => {
    const world = await createWorld();
    await world.start();
    const client = await connectNbd({ path: world.socketPath });
    const data = noise(65_536);
    const written = client.write(0, data, true);
    await client.close();
    await written;
    expect(world.image(1).subarray(0, data.length).equals(data)).toBe(true);
  });

  it("turns away more clients than it can serve, and serves again when some left", async () => {
    const world = await createWorld();
    await world.start();
    const clients = await Promise.all(Array.from({ length: 16 }, () => connectNbd({ path: world.socketPath })));
    await expect(connectNbd({ path: world.socketPath })).rejects.toThrowError("closed");
    await clients[0]?.close();
    let again: Awaited<ReturnType<typeof connectNbd>> | undefined;
    for (let left = 100; again === undefined && left > 0; left -= 1)
      again = await connectNbd({ path: world.socketPath }).catch(() => undefined);
    await again?.flush();
    for (const client of [...clients, again]) client?.destroy();
  });

  it("rule 8: listens on loopback only", async () => {
    await expect(startNbdServer([{ kind: "tcp", host: "0.0.0.0", port: 0 }], [])).rejects.toThrowError(
      expect.objectContaining({ code: "configuration-invalid" }),
    );
  });
});
