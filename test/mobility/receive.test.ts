import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { receive } from "../../mobility/nbd/receive.ts";
import { temporaryFolder } from "./temporary.ts";

/** Both ends of a connection, as the server of a unix socket has them. */
async function pair(): Promise<{ readonly client: Socket; readonly socket: Socket }> {
  const path = join(temporaryFolder(), "socket");
  const server = createServer({ allowHalfOpen: true }).listen(path);
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const client = connect(path);
  onTestFinished(() => void client.destroy());
  const socket = await new Promise<Socket>((resolve) => void server.once("connection", resolve));
  onTestFinished(() => void socket.destroy());
  return { client, socket };
}

describe("receiving", () => {
  it("reads into one buffer for as long as its bytes are done with, and into another when they are not", async () => {
    const { client, socket } = await pair();
    const seen: { readonly bytes: Buffer; readonly text: string }[] = [];
    let isDone = true;
    receive(socket, (bytes) => {
      seen.push({ bytes, text: bytes.toString() });
      return isDone;
    });
    for (const text of ["one", "two", "kept", "after"]) {
      isDone = text !== "kept";
      const count = seen.length;
      client.write(text);
      await expect.poll(() => seen.length).toBeGreaterThan(count);
    }
    expect(seen.map(({ text }) => text)).toEqual(["one", "two", "kept", "after"]);
    const [one, two, kept, after] = seen.map(({ bytes }) => bytes);
    expect([two?.buffer === one?.buffer, kept?.buffer === one?.buffer, after?.buffer === one?.buffer]).toEqual([true, true, false]);
    expect(kept?.toString()).toBe("kept");
  });

  it("stops and goes on with the socket, and tells its end", async () => {
    const { client, socket } = await pair();
    let received = 0;
    receive(socket, (bytes) => {
      received += bytes.length;
      socket.pause();
      return true;
    });
    const sent = 1024 * 1024;
    client.end(Buffer.alloc(sent));
    await expect.poll(() => received).toBeGreaterThan(0);
    const before = received;
    await new Promise((resolve) => setImmediate(resolve));
    expect(received).toBe(before);
    const ended = once(socket, "end");
    const again = setInterval(() => socket.resume(), 1);
    await ended;
    clearInterval(again);
    expect(received).toBe(sent);
  });

  it("takes the data events of a socket that is made in another way", async () => {
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const texts: string[] = [];
    receive(Object.assign(Object.create(null), { on: stream.on.bind(stream) }), (bytes) => {
      texts.push(bytes.toString());
      return true;
    });
    stream.push("as ever");
    await expect.poll(() => texts).toEqual(["as ever"]);
  });
});
