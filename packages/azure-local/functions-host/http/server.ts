import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { LocalError } from "../../errors.ts";
import { FUNCTIONS_HTTP_REQUESTS_MAX } from "../../limits.ts";
import type { Invoker } from "../invocation.ts";
import { type HostLog, describeError } from "../log.ts";
import { answerAdmin, type AdminState } from "./admin.ts";
import type { HttpExtension } from "./extension.ts";
import { type HostKeys, isAuthorized } from "./keys.ts";
import { toHttpData, toWireResponse, type WireResponse } from "./messages.ts";
import type { HttpRoutes } from "./routes.ts";

export interface HttpHostOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly log: HostLog;
}

/** What the server needs once the app is loaded. */
interface HttpApp {
  readonly routes: HttpRoutes;
  readonly invoker: Invoker;
  readonly keys: HostKeys;
  readonly customHeaders: Readonly<Record<string, string>>;
  readonly admin: AdminState;
  readonly extensions: readonly HttpExtension[];
  readonly bodyMaxBytes: number;
}

/** The host's HTTP server. It holds its port from the start and answers 503 until the app is loaded. */
export interface HttpHost {
  readonly url: string;
  readonly port: number;
  open(app: HttpApp): void;
  /** Accepts no more connections; resolves when the running requests are answered. */
  stop(): Promise<void>;
  /** Cuts open connections. */
  cut(): void;
}

/** Listens; `port-in-use` names the option that sets the port. */
export async function startHttpHost(options: HttpHostOptions): Promise<HttpHost> {
  let app: HttpApp | undefined;
  let requests = 0;
  let isStopping = false;
  const server = createServer((request, response) => {
    requests += 1;
    void answer(request, isStopping ? undefined : app, requests > FUNCTIONS_HTTP_REQUESTS_MAX)
      .catch((error: unknown): WireResponse => {
        options.log({
          level: "warning",
          event: "http",
          message: `A request could not be read or answered: ${describeError(error)}`,
        });
        return plain(500, "");
      })
      .then((answered) => {
        // A keep-alive connection would delay the stop.
        if (isStopping) response.setHeader("connection", "close");
        send(response, answered, app?.customHeaders ?? {});
      })
      .finally(() => {
        requests -= 1;
      });
  });
  await listen(server, options);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  const name = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    url: `http://${name}:${port}`,
    port,
    open(loaded) {
      app = loaded;
    },
    stop: () =>
      new Promise((resolve) => {
        isStopping = true;
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
    cut: () => server.closeAllConnections(),
  };
}

function listen(server: Server, { host, port }: HttpHostOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error);
      reject(
        new LocalError("port-in-use", `Port ${port} is taken by another program; choose another one with --port.`, {
          port,
        }),
      );
    });
    server.listen(port, host, () => resolve());
  });
}

async function answer(request: IncomingMessage, app: HttpApp | undefined, isTooMany: boolean): Promise<WireResponse> {
  if (app === undefined) return plain(503, "The Functions host is starting or stopping.\n");
  if (isTooMany) return plain(429, "");
  const url = absoluteUrl(request);
  if (url === undefined) return plain(400, "");
  const method = request.method ?? "GET";
  const shown = keyOf(request, url);
  if (url.pathname === "/") return homePage(app);
  if (/^\/admin(\/|$)/i.test(url.pathname)) {
    if (!isAuthorized("admin", shown.header, shown.query, app.keys)) return plain(401, "");
    const body = method === "POST" ? await readBody(request, app.bodyMaxBytes) : new Uint8Array();
    return body === undefined ? plain(413, "") : answerAdmin({ method, path: url.pathname, body }, app.admin);
  }
  const extension = app.extensions.find((candidate) => candidate.owns(url.pathname));
  if (extension !== undefined) {
    const body = await readBody(request, app.bodyMaxBytes);
    return body === undefined
      ? plain(413, "")
      : extension.answer({ method, url, headers: request.headers, body, key: shown.header ?? shown.query });
  }
  const match = app.routes.find(method, url.pathname);
  if (match === undefined) return plain(404, "");
  const { hostFunction, level } = match.endpoint;
  if (!isAuthorized(level, shown.header, shown.query, app.keys)) return plain(401, "");
  const body = await readBody(request, app.bodyMaxBytes);
  if (body === undefined) return plain(413, "");
  const http = toHttpData(method, url, request.headers, match.parameters, body);
  const outcome = await app.invoker.invoke(hostFunction, { data: { http }, metadata: {} });
  return outcome.kind === "succeeded" ? toWireResponse(outcome.response.returnValue) : plain(500, "");
}

function keyOf(
  request: IncomingMessage,
  url: URL,
): { readonly header: string | undefined; readonly query: string | undefined } {
  const header = request.headers["x-functions-key"];
  return { header: Array.isArray(header) ? header[0] : header, query: url.searchParams.get("code") ?? undefined };
}

/** The address as the caller wrote it, so links built from it lead back here. */
function absoluteUrl(request: IncomingMessage): URL | undefined {
  const path = request.url ?? "/";
  const base = `http://${request.headers.host ?? "localhost"}`;
  const text = path.startsWith("/") ? base + path : path;
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** The whole body, or undefined beyond the limit; the rest is then not read. */
async function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return undefined;
  const pieces: Buffer[] = [];
  let lengthBytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    lengthBytes += piece.length;
    if (lengthBytes > maxBytes) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function homePage(app: HttpApp): WireResponse {
  const count = app.admin.functions.length;
  return plain(200, `Your Functions app is up and running (azure-local, ${count} functions).\n`);
}

function plain(status: number, text: string): WireResponse {
  const headers = new Map(text === "" ? [] : [["content-type", "text/plain; charset=utf-8"] as const]);
  return { status, headers, body: new TextEncoder().encode(text) };
}

function send(response: ServerResponse, answered: WireResponse, customHeaders: Readonly<Record<string, string>>): void {
  if (response.destroyed) return;
  for (const [name, value] of Object.entries(customHeaders)) response.setHeader(name, value);
  for (const [name, value] of answered.headers)
    response.setHeader(name, typeof value === "string" ? value : [...value]);
  const hasBody = answered.status !== 204 && answered.status !== 205 && answered.status !== 304;
  response.statusCode = answered.status;
  if (hasBody) response.setHeader("content-length", answered.body.length);
  // An unread body would be taken for the connection's next request.
  if (answered.status === 413) response.setHeader("connection", "close");
  response.end(hasBody ? answered.body : undefined);
}
