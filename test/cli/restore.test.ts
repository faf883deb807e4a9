import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runLeeward } from "../../cli/leeward.ts";

const KEY = "the-key";
const API = "/api/replicationProtectedItems/vm-1";
const RANGE_BYTES = 16 * 1024 * 1024;

let folder = "";
let server: Server;
let url = "";
let requests: string[] = [];
let answer: (request: IncomingMessage, response: ServerResponse) => void = () => {};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "leeward-cli-"));
  requests = [];
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    answer(request, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

async function leeward(
  ...parameters: string[]
): Promise<{ readonly code: number; readonly out: string; readonly error: string }> {
  const out: string[] = [];
  const error: string[] = [];
  const terminal = { out: (text: string) => void out.push(text), error: (text: string) => void error.push(text) };
  const code = await runLeeward([...parameters, "--url", url, "--key", KEY], terminal);
  return { code, out: out.join("\n"), error: error.join("\n") };
}

function json(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

const NOW = "2026-01-01T00:00:00.000Z";
const POSITION = { stream: 1, epoch: 9, checksum: "ab".repeat(32) };
const DISK = { id: "data", sizeBytes: 512, sectorSizeBytes: 512 };
const START = { name: "r1", recoveryPoint: "point-2", state: "Pending" };
const RESTORE = { ...START, position: POSITION, sourceTime: NOW, disks: [], created: NOW, updated: NOW };

/** What was written of the disk, in bytes: far apart, near to each other, and one sector at the end. */
const MIB = 1024 * 1024;
const DISK_BYTES = 2 * RANGE_BYTES + 512;
const written = [
  [0, 512],
  [4 * MIB, 4 * MIB + 1024],
  [4 * MIB + 4096, 6 * MIB],
  [8 * MIB, 8 * MIB + RANGE_BYTES + 1024],
  [DISK_BYTES - 512, DISK_BYTES],
] as const;

/** Zeros, and where something was written bytes that tell their place. */
function disk(): Buffer {
  const bytes = Buffer.alloc(DISK_BYTES);
  for (const [from, to] of written) for (let at = from; at < to; at += 4) bytes.writeUInt32LE(at + 1, at);
  return bytes;
}

/** The API and the storage account in one: a restore that takes two questions, and a blob that answers ranges. */
function playAzure(content: Buffer, breakFirst: number): void {
  let asked = 0;
  let broken = 0;
  answer = (request, response) => {
    const path = request.url ?? "";
    if (path.startsWith("/blob")) {
      if (broken < breakFirst) {
        broken += 1;
        response.writeHead(403).end();
        return;
      }
      if (request.method === "HEAD") return void response.writeHead(200, { "content-length": content.length }).end();
      const isList = path.includes("comp=pagelist");
      const [first = 0, last = 0] =
        /(\d+)-(\d+)/.exec(String(request.headers["x-ms-range"]))?.slice(1).map(Number) ?? [];
      if (isList) {
        const ranges = written
          .map(([from, to]) => `<PageRange><Start>${from}</Start><End>${to - 1}</End></PageRange>`)
          .join("");
        response.writeHead(200, { "content-type": "application/xml" });
        return void response.end(`<?xml version="1.0" encoding="utf-8"?><PageList>${ranges}</PageList>`);
      }
      const part = content.subarray(first, last + 1);
      response
        .writeHead(206, { "content-range": `bytes ${first}-${first + part.length - 1}/${content.length}` })
        .end(part);
      return;
    }
    if (request.headers["x-functions-key"] !== KEY) return json(response, 401, {});
    if (path.endsWith("/recoveryPoints")) {
      const times = { recoveryPointTime: "2026-01-01T00:00:00.000Z", sourceTime: "2026-01-01T00:00:00.000Z" };
      return json(response, 200, {
        value: [{ name: "point-2", recoveryPointType: "CrashConsistent", ...times, position: POSITION, disks: [DISK] }],
      });
    }
    if (path.endsWith("/point-2/restore")) return json(response, 202, START, { location: `${API}/restores/r1` });
    if (path.endsWith("/grantAccess"))
      return json(response, 200, {
        value: [{ id: "data", url: `${url}/blob/container/data.vhd?sig=1`, expires: NOW }],
      });
    asked += 1;
    const progress =
      asked < 2 ? { state: "InProgress", percentComplete: 40 } : { state: "Succeeded", percentComplete: 100 };
    json(response, 200, { ...RESTORE, ...progress });
  };
}

describe("leeward restore", () => {
  it("waits at the Location and downloads each disk byte for byte, range by range", async () => {
    const content = disk();
    playAzure(content, 0);
    const { code, out, error } = await leeward("restore", "vm-1", "point-2", "--to", join(folder, "out"));
    expect(error).toContain("40 %");
    expect(code).toBe(0);
    expect(out).toBe(join(folder, "out", "data.vhd"));
    expect((await readFile(join(folder, "out", "data.vhd"))).equals(content)).toBe(true);
    // One question about the length, one about the pages, then the parts; the two that lie near each other are one.
    expect(requests.filter((request) => /^(HEAD|GET) \/blob/.test(request))).toHaveLength(1 + 1 + 5);
  });

  it("asks for a fresh address when a range fails, and takes the newest point for `latest`", async () => {
    playAzure(disk(), 2);
    expect((await leeward("restore", "vm-1", "latest", "--to", join(folder, "out"))).code).toBe(0);
    expect(requests.filter((request) => request.endsWith("/grantAccess"))).toHaveLength(4);
  });

  it("gives up after failures in a row, and leaves no file under the disk's name", async () => {
    playAzure(disk(), Number.POSITIVE_INFINITY);
    const { code, error } = await leeward("restore", "vm-1", "point-2", "--to", join(folder, "out"));
    expect([code, error]).toEqual([1, expect.stringContaining("answered 403")]);
    expect(await readdir(join(folder, "out"))).toEqual(["data.vhd.part"]);
  });

  it("shows the API's own words when it refuses", async () => {
    answer = (_, response) =>
      json(response, 404, {
        error: { code: "point-unknown", message: "There is no such point.", hint: "List them.", facts: {} },
      });
    const { code, error } = await leeward("restore", "vm-1", "point-9", "--to", folder);
    expect(code).toBe(1);
    expect(error).toMatch(/point-unknown: There is no such point\.[\s\S]*hint: List them\./);
  });

  it("sends the key to no other host (rule 8)", async () => {
    answer = (_, response) => json(response, 202, {}, { location: "http://elsewhere.example/restores/r1" });
    const { code, error } = await leeward("restore", "vm-1", "point-2", "--to", folder);
    expect([code, error]).toEqual([1, expect.stringContaining("points to another host")]);
  });

  it("does not let the name of a disk leave the folder", async () => {
    playAzure(disk(), 0);
    const play = answer;
    answer = (request, response) => {
      if (request.url?.endsWith("/grantAccess") !== true) return play(request, response);
      json(response, 200, { value: [{ id: "../evil", url: `${url}/blob`, expires: NOW }] });
    };
    expect((await leeward("restore", "vm-1", "point-2", "--to", join(folder, "out"))).code).toBe(1);
    expect(await readdir(folder)).toEqual(["out"]);
  });

  it("says so when the answer has a shape that it does not know", async () => {
    answer = (_, response) => json(response, 202, { surprise: true }, { location: `${API}/restores/r1` });
    const { code, error } = await leeward("restore", "vm-1", "point-2", "--to", folder);
    expect([code, error]).toEqual([1, expect.stringContaining("a shape that this version does not know")]);
  });

  it("wants an item, a point and a folder", async () => {
    expect((await leeward("restore", "vm-1", "point-2")).code).toBe(2);
    expect((await leeward("restore", "vm-1", "--to", folder)).code).toBe(2);
  });
});

describe("leeward points", () => {
  it("lists them with their times and positions", async () => {
    playAzure(disk(), 0);
    const { code, out } = await leeward("points", "vm-1");
    expect(code).toBe(0);
    expect(out).toMatch(/point-2 .*2026-01-01T00:00:00\.000Z .*1\/9 +CrashConsistent/);
  });

  it("says what to do when the function app does not answer", async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    const { code, error } = await leeward("points", "vm-1");
    expect([code, error]).toEqual([1, expect.stringContaining("does not answer")]);
  });
});
