import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { FUNCTIONS_BODY_MAX_BYTES } from "@leeward/azure-local/limits";
import { beforeAll, describe, expect, it } from "vitest";
import { ALERT_MESSAGE_MAX_BYTES, HTTP_BODY_MAX_BYTES } from "../../../replication/limits.ts";
import { type World, onSuiteEnd, startWorld } from "./world.ts";

const ITEMS = "/api/replicationProtectedItems";
const DISKS = '{"disks":[{"id":"os","sizeBytes":1048576}]}';
const MIB = 1024 * 1024;

/** What came back on a connection: the status of each answer, and all of the text. */
interface Heard {
  readonly statuses: readonly number[];
  readonly text: string;
}

describe("requests that break the rules of HTTP get their status or a closed connection, and the host lives on", () => {
  const onEnd = onSuiteEnd();
  let world: World;
  let port: number;
  let key: string;
  beforeAll(async () => {
    world = await startWorld(onEnd);
    port = Number(new URL(world.cloud.app.url).port);
    key = world.cloud.secrets.functionKey;
  });

  const open = async (): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1");
    // A connection that the host resets is an answer too.
    socket.on("error", () => socket.destroy());
    await once(socket, "connect");
    return socket;
  };
  /** Everything until the host closes the connection. */
  const listen = (socket: Socket): Promise<Heard> =>
    new Promise((resolve) => {
      let text = "";
      socket.on("data", (bytes) => (text += bytes.toString("latin1")));
      socket.on("close", () =>
        resolve({ statuses: [...text.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map(([, status]) => Number(status)), text }),
      );
    });
  /** Leaves it to the host to close the connection. */
  const send = async (...parts: readonly (string | Uint8Array)[]): Promise<Heard> => {
    const socket = await open();
    const heard = listen(socket);
    // In one piece: what comes after the host has given up would reset the connection, and its answer with it.
    socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
    return heard;
  };
  /** The head of a request that closes its connection. */
  const head = (line: string, ...headers: readonly string[]): string =>
    [`${line} HTTP/1.1`, "host: app", "connection: close", `x-functions-key: ${key}`, ...headers, "", ""].join("\r\n");
  const put = (item: string, ...headers: readonly string[]): string => head(`PUT ${ITEMS}/${item}`, ...headers);
  const withLength = (item: string, body: string | Uint8Array): readonly (string | Uint8Array)[] => [
    put(item, `content-length: ${Buffer.byteLength(body)}`),
    body,
  ];
  /** The host is the same process, answers, and nothing was made. */
  const expectUnmoved = async (): Promise<void> => {
    expect(world.cloud.app.running).toBe(true);
    const { status, body } = await world.operator.call("GET", "replicationProtectedItems");
    expect([status, body]).toEqual([200, { value: [] }]);
  };

  const chunk = (body: string): string => `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`;
  const CHUNKED = "transfer-encoding: chunked";
  const cases: readonly (readonly [string, () => readonly (string | Uint8Array)[], readonly number[]])[] = [
    [
      "a length that is too short: the rest is no request",
      () => [put("a", "content-length: 10").replace("connection: close\r\n", ""), DISKS],
      [400],
    ],
    ["a length that is no number", () => [put("a", "content-length: ten"), DISKS], [400]],
    ["a negative length", () => [put("a", "content-length: -1"), DISKS], [400]],
    ["two lengths", () => [put("a", "content-length: 5", "content-length: 6"), DISKS], [400]],
    [
      "a length and chunks",
      () => [put("a", `content-length: ${DISKS.length}`, CHUNKED), chunk(DISKS), "0\r\n\r\n"],
      [400],
    ],
    ["chunks of garbage", () => [put("a", CHUNKED), "zz\r\nnonsense\r\n"], [400]],
    ["a chunk that is longer than it says", () => [put("a", CHUNKED), `5\r\n${DISKS}\r\n0\r\n\r\n`], [400]],
    ["a body beyond the app's limit", () => withLength("a", DISKS + " ".repeat(HTTP_BODY_MAX_BYTES)), [400]],
    [
      "chunks beyond the app's limit",
      () => [put("a", CHUNKED), chunk(DISKS), ...Array.from({ length: 8 }, () => chunk(" ".repeat(8192))), "0\r\n\r\n"],
      [400],
    ],
    ["a length beyond the host's limit", () => [put("a", `content-length: ${FUNCTIONS_BODY_MAX_BYTES + 1}`)], [413]],
    ["no body at all", () => [put("a", "content-length: 0")], [400]],
    ["bytes that are no UTF-8", () => withLength("a", Buffer.from(DISKS.replace("os", "o\u00ff"), "latin1")), [400]],
    ["a body that is compressed", () => withLength("a", Buffer.from("1f8b0800000000000003", "hex")), [400]],
    [
      "a method that the route lacks",
      () => [head(`PATCH ${ITEMS}/a`, `content-length: ${DISKS.length}`), DISKS],
      [404],
    ],
    ["a method that no route has", () => [head(`PROPFIND ${ITEMS}`)], [404]],
    ["TRACE", () => [head(`TRACE ${ITEMS}`)], [404]],
    ["a method that HTTP lacks", () => [head(`STEAL ${ITEMS}`)], [400]],
    ["CONNECT", () => [head("CONNECT app:80")], []],
    ["a wrong key", () => [put("a", `content-length: ${DISKS.length}`).replace(key, `${key}x`), DISKS], [401]],
    ["two keys", () => [put("a", "x-functions-key: wrong", `content-length: ${DISKS.length}`), DISKS], [401]],
    [
      "a wrong key beside a right one in the query",
      () => [head(`GET ${ITEMS}?code=${key}`).replace(`y: ${key}`, "y: wrong")],
      [401],
    ],
    ["a header that is too long", () => [head(`GET ${ITEMS}`, `x-ms-client-request-id: ${"x".repeat(20_000)}`)], [431]],
    ["no host", () => [head(`GET ${ITEMS}`).replace("host: app\r\n", "")], [400]],
    ["a host that is none", () => [head(`GET ${ITEMS}`).replace("host: app", "host: a b/c")], [400]],
    ["a path that cannot be decoded", () => [head(`GET ${ITEMS}/%zz`)], [404]],
    ["a path with its slash encoded", () => [head(`GET ${ITEMS}/a%2fb`)], [404]],
    ["an expectation that nobody meets", () => [head(`GET ${ITEMS}`, "expect: miracles")], [417]],
    ["no HTTP", () => [Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3])], [400]],
    ["HTTP/2", () => ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], [400]],
  ];
  it.each(cases)("%s", async (_name, parts, statuses) => {
    const heard = await send(...parts());
    expect(heard.statuses).toEqual(statuses);
    expect(heard.text).not.toContain(key);
    await expectUnmoved();
  });

  it.each([
    ["an address in full", () => head(`GET http://elsewhere${ITEMS}`)],
    ["a query that cannot be decoded", () => head(`GET ${ITEMS}?after=%zz&code=%`)],
    ["a GET with a body", () => `${head(`GET ${ITEMS}`, `content-length: ${DISKS.length}`)}${DISKS}`],
    ["headers that objects have", () => head(`GET ${ITEMS}`, "__proto__: x", "constructor: y", "tostring: z")],
  ])("%s is nothing wrong", async (_name, request) => {
    expect((await send(request())).statuses).toEqual([200]);
    await expectUnmoved();
  });

  it("an alert as long as a queue takes is taken, and a longer one is the sender's fault", async () => {
    const essentials = {
      alertId: "a",
      severity: "Sev1",
      signalType: "Metric",
      monitorCondition: "Fired",
      alertTargetIDs: [],
      firedDateTime: "2026-01-01T00:00:00Z",
    };
    const statuses: number[] = [];
    for (const length of [ALERT_MESSAGE_MAX_BYTES - 400, ALERT_MESSAGE_MAX_BYTES]) {
      const data = { essentials: { ...essentials, monitoringService: "x".repeat(length) } };
      const { status } = await world.operator.call("POST", "alerts", {
        body: { schemaId: "azureMonitorCommonAlertSchema", data },
      });
      statuses.push(status);
    }
    expect(statuses).toEqual([202, 400]);
  });

  it("a body that ends early, or is cut off, makes nothing", async () => {
    const early = await open();
    const heard = listen(early);
    early.end(put("early", `content-length: ${DISKS.length + 5}`) + DISKS);
    expect((await heard).statuses.filter((status) => status < 400)).toEqual([]);
    const socket = await open();
    socket.write(put("early", `content-length: ${DISKS.length}`) + DISKS.slice(0, 20));
    socket.destroy();
    await once(socket, "close");
    await expectUnmoved();
  });

  it("bodies that never end hold up nobody", async () => {
    const waiting = await Promise.all(Array.from({ length: 50 }, open));
    const answers = waiting.map(listen);
    for (const [at, socket] of waiting.entries())
      socket.write(put(`slow-${at}`, at % 2 === 0 ? CHUNKED : "content-length: 1000"));
    await expectUnmoved();
    for (const socket of waiting) socket.destroy();
    expect((await Promise.all(answers)).flatMap(({ statuses }) => statuses)).toEqual([]);
    await expectUnmoved();
  });

  it("a body that comes byte by byte is taken, and others are answered meanwhile", async () => {
    const socket = await open();
    const heard = listen(socket);
    socket.setNoDelay(true);
    socket.write(put("slow", CHUNKED));
    for (const [at, letter] of DISKS.split("").entries()) {
      socket.write(chunk(letter));
      if (at % 10 === 0) await expectUnmoved();
    }
    socket.write("0\r\n\r\n");
    expect((await heard).statuses).toEqual([201]);
    const { body } = await world.operator.call("GET", "replicationProtectedItems");
    expect(body).toMatchObject({ value: [{ name: "slow", disks: [{ id: "os", sizeBytes: MIB }] }] });
  });
});
