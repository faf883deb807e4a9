import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { decodeDelta } from "../../replication/delta/decode.ts";
import { deltaName } from "../../replication/names.ts";
import { startPosition, type DiskDescription, type Position } from "../../replication/position.ts";
import { NONCE } from "./replay.ts";

/**
 * The control plane and the cache of one item, as far as a mobility service can see them, in one HTTP server. Its
 * switches make it misbehave.
 */
export interface FakeCloud {
  readonly apiUrl: string;
  registrationToken: string;
  /** Blobs by name: what was created and is still there. */
  readonly blobs: Map<string, Buffer>;
  /** Bodies of all heartbeats, oldest first. */
  readonly heartbeats: Readonly<Record<string, unknown>>[];
  readonly settled: Readonly<Record<string, unknown>>[];
  /** Statuses of all Put Blob requests. */
  readonly puts: number[];
  /** The credential that uploads need now; changing it makes the old one useless. */
  sas: string;
  /** The open stream. Changing number or nonce opens another one, with a container of its own. */
  stream: number;
  nonce: string;
  /** How far the target stands; undefined: it has applied what was uploaded. */
  appliedEpoch: number | undefined;
  /**
   * Called before a Put Blob is looked at: a number is answered as it is, "cut" drops the connection, "create-and-cut"
   * does so after creating.
   */
  onPut: ((name: string) => number | "cut" | "create-and-cut" | undefined) | undefined;
  /** Whether an existing blob shows as 403 UnauthorizedBlobOverwrite, as it does for a create-only SAS. */
  overwriteForbidden: boolean;
  controlDown: boolean;
  /** Answered to every heartbeat instead of a grant; its facts reach the service. */
  refusal: { readonly status: number; readonly code: string; readonly facts?: object } | undefined;
  /** What the answers to heartbeats hold beside the grant. */
  wishes: object;
  /** Registrations that were tried. */
  readonly registrations: Readonly<Record<string, unknown>>[];
  /** The item begins another life: nobody is registered. */
  forgetService(): void;
  stop(): Promise<void>;
}

const TICKET = "cd".repeat(16);
const CONTAINERS = "/account/leeward-cache-vm1-";

export async function startFakeCloud(itemId = "vm1"): Promise<FakeCloud> {
  let tokenHash: string | undefined;
  let nextHash: string | undefined;
  let disks: readonly DiskDescription[] = [];
  const server = createServer((request, response) => {
    // A client that died in the middle of its request gets no answer.
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const base = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  const cloud: FakeCloud = {
    apiUrl: `${base}/api`,
    registrationToken: "one-time-token",
    blobs: new Map(),
    heartbeats: [],
    settled: [],
    puts: [],
    sas: "sp=c&sig=first-credential",
    stream: 1,
    nonce: NONCE,
    appliedEpoch: undefined,
    onPut: undefined,
    overwriteForbidden: true,
    controlDown: false,
    refusal: undefined,
    wishes: {},
    registrations: [],
    forgetService: () => {
      tokenHash = undefined;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };

  const opened = () => ({
    stream: cloud.stream,
    start: startPosition(itemId, cloud.stream, disks, cloud.nonce),
    nonce: cloud.nonce,
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    const url = new URL(request.url ?? "/", base);
    if (url.pathname.startsWith(CONTAINERS)) put(request, response, url, body);
    else
      control(request, response, url.pathname, JSON.parse(body.toString("utf8")) as Readonly<Record<string, unknown>>);
  }

  function put(request: IncomingMessage, response: ServerResponse, url: URL, body: Buffer): void {
    const container = `${CONTAINERS}${cloud.stream}/`;
    const name = url.pathname.slice(url.pathname.indexOf("/", CONTAINERS.length) + 1);
    const answer = (status: number, code?: string): void => {
      cloud.puts.push(status);
      response.writeHead(status, code === undefined ? {} : { "x-ms-error-code": code });
      response.end(code === undefined ? "" : `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
    };
    const override = cloud.onPut?.(name);
    if (typeof override === "number") return answer(override);
    if (override === "cut") return void response.destroy();
    // That of an earlier stream is gone.
    if (!url.pathname.startsWith(container)) return answer(404, "ContainerNotFound");
    if (url.search !== `?${cloud.sas}`) return answer(403, "AuthenticationFailed");
    const wellFormed =
      request.method === "PUT" &&
      request.headers["x-ms-blob-type"] === "BlockBlob" &&
      request.headers["if-none-match"] === "*" &&
      request.headers["x-ms-version"] !== undefined &&
      Number(request.headers["content-length"]) === body.length;
    if (!wellFormed) return answer(400, "InvalidHeaderValue");
    if (request.headers["content-md5"] !== createHash("md5").update(body).digest("base64"))
      return answer(400, "Md5Mismatch");
    if (cloud.blobs.has(name)) {
      return cloud.overwriteForbidden ? answer(403, "UnauthorizedBlobOverwrite") : answer(409, "BlobAlreadyExists");
    }
    cloud.blobs.set(name, body);
    if (override === "create-and-cut") return void response.destroy();
    answer(201);
  }

  function control(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    body: Readonly<Record<string, unknown>>,
  ): void {
    const answer = (status: number, value: object): void => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
    const refuse = (status: number, code: string): void =>
      answer(status, { error: { code, message: `refused: ${code}`, hint: "" } });
    if (cloud.controlDown) return answer(503, {});
    const hash = (text: string): string => createHash("sha256").update(text).digest("hex");
    if (path === `/api/mobility/${itemId}/register`) {
      cloud.registrations.push(body);
      if (body["registrationToken"] !== cloud.registrationToken) return refuse(401, "not-authorized");
      tokenHash = hash(String(body["itemToken"]));
      disks = body["disks"] as readonly DiskDescription[];
      return answer(200, { ...opened(), ticket: TICKET, cacheEndpoint: `${base}/account` });
    }
    if (tokenHash === undefined || request.headers.authorization === undefined) return refuse(401, "not-authorized");
    const sent = hash(request.headers.authorization.replace(`Bearer ${TICKET}.`, ""));
    if (sent === nextHash) [tokenHash, nextHash] = [sent, undefined];
    if (sent !== tokenHash) return refuse(401, "not-authorized");
    if (path === `/api/mobility/${itemId}/heartbeat`) {
      cloud.heartbeats.push(body);
      if (typeof body["nextTokenHash"] === "string") nextHash = body["nextTokenHash"];
      if (cloud.refusal !== undefined) {
        const { status, code, facts } = cloud.refusal;
        return answer(status, { error: { code, message: `refused: ${code}`, hint: "", facts } });
      }
      const upload = { containerUrl: `${base}${CONTAINERS}${cloud.stream}?${cloud.sas}`, expiresMs: 1e15 };
      const { start } = opened();
      const own = (body["start"] as Position | undefined)?.checksum === start.checksum;
      const reached = own ? (body["uploaded"] as Position) : start;
      const applied = { ...reached, epoch: Math.min(reached.epoch, cloud.appliedEpoch ?? reached.epoch) };
      return answer(200, { ...opened(), upload, applied, intervalMs: 250, ...cloud.wishes });
    }
    if (path === `/api/mobility/${itemId}/settle`) {
      cloud.settled.push(body);
      return answer(200, { outcome: settle(body) });
    }
    refuse(404, "item-unknown");
  }

  function settle(body: Readonly<Record<string, unknown>>): "same" | "again" | "other" {
    const name = deltaName(Number(body["stream"]), Number(body["epoch"]));
    const blob = cloud.blobs.get(name);
    let end: Position | undefined;
    try {
      end = blob === undefined ? undefined : decodeDelta(blob).end;
    } catch {
      end = undefined;
    }
    if (end !== undefined) return end.checksum === body["checksum"] ? "same" : "other";
    cloud.blobs.delete(name);
    return "again";
  }
  return cloud;
}
