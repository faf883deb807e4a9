import { Agent as HttpAgent, request as httpRequest, type ClientRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { LeewardError } from "../../replication/errors.ts";
import { FILE_PIECE_BYTES, HTTP_ANSWER_MAX_BYTES } from "../limits.ts";
import type { Files } from "./files.ts";
import type { Pace } from "./pace.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT";
  /** May carry a credential: it never appears in an error. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: { readonly kind: "text"; readonly text: string } | FileBody;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface FileBody {
  readonly kind: "file";
  readonly path: string;
  readonly lengthBytes: number;
  readonly pace?: Pace | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

/** Outgoing HTTP. Rejects with `control-unavailable` when no complete answer came; any status is an answer. */
export interface Transport {
  send(request: HttpRequest): Promise<HttpAnswer>;
  close(): void;
}

/**
 * node:http instead of fetch, because Put Blob needs a Content-Length and the body comes from a file without being held
 * in memory.
 */
export function createTransport(files: Files): Transport {
  const http = new HttpAgent({ keepAlive: true });
  const https = new HttpsAgent({ keepAlive: true });
  return {
    send: (request) => new Promise((resolve, reject) => exchange(request, { files, http, https }, resolve, reject)),
    close: () => {
      http.destroy();
      https.destroy();
    },
  };
}

function exchange(
  { method, url, headers, body, timeoutMs, signal }: HttpRequest,
  edge: { readonly files: Files; readonly http: HttpAgent; readonly https: HttpsAgent },
  resolve: (answer: HttpAnswer) => void,
  reject: (error: LeewardError) => void,
): void {
  const lengthBytes = body.kind === "text" ? Buffer.byteLength(body.text) : body.lengthBytes;
  const secure = url.protocol === "https:";
  const options = {
    method,
    agent: secure ? edge.https : edge.http,
    headers: { ...headers, "content-length": String(lengthBytes) },
  };
  const outgoing = secure ? httpsRequest(url, options) : httpRequest(url, options);
  // The cause is left out: messages of node:http may hold the address, and with it the credential.
  const fail = (reason: string): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
    outgoing.destroy();
    reject(
      new LeewardError("control-unavailable", `${url.host} cannot be reached: ${reason}.`, { host: url.host, reason }),
    );
  };
  const abort = (): void => fail("given up");
  const timer = setTimeout(() => fail("no answer in time"), timeoutMs);
  // Set before anything can end the request: an unhandled error would end the process.
  outgoing.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.name));
  signal?.addEventListener("abort", abort);
  if (signal?.aborted === true) return abort();
  outgoing.on("response", (incoming) => {
    const parts: Buffer[] = [];
    let received = 0;
    incoming.on("data", (part: Buffer) => {
      received += part.length;
      if (received > HTTP_ANSWER_MAX_BYTES) fail("the answer is too long");
      else parts.push(part);
    });
    incoming.on("error", () => fail("the answer was cut off"));
    incoming.on("end", () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      resolve({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers,
        body: Buffer.concat(parts).toString("utf8"),
      });
    });
  });
  if (body.kind === "text") outgoing.end(body.text);
  else
    sendFile(edge.files, body, outgoing, signal ?? new AbortController().signal).catch((error: NodeJS.ErrnoException) =>
      fail(error.code ?? error.name),
    );
}

/**
 * Sends piece by piece from one buffer: a stream would leave the whole delta as garbage, which a busy service collects
 * only at some 50 MiB.
 */
async function sendFile(
  files: Files,
  { path, pace }: FileBody,
  outgoing: ClientRequest,
  signal: AbortSignal,
): Promise<void> {
  const file = await files.openLater(path, "r");
  try {
    const buffer = Buffer.allocUnsafeSlow(FILE_PIECE_BYTES);
    for (let doneBytes = 0; ;) {
      const count = await files.readLater(file, buffer, 0, buffer.length, doneBytes);
      if (count === 0) break;
      doneBytes += count;
      await pace?.take(count, signal);
      const gone = await new Promise<boolean>((resolve) => {
        const closed = (): void => resolve(true);
        if (outgoing.destroyed) return closed();
        outgoing.once("close", closed);
        // The buffer is free again when the piece was sent.
        outgoing.write(buffer.subarray(0, count), (error) => {
          outgoing.off("close", closed);
          resolve(error !== null && error !== undefined);
        });
      });
      // Its own events report why it is gone.
      if (gone) return;
    }
    outgoing.end();
  } finally {
    await files.closeLater(file);
  }
}
