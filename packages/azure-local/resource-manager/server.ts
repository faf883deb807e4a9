import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import { LocalError } from "../errors.ts";
import { ARM_BODY_MAX_BYTES } from "../limits.ts";
import type { Answer, ArmRequest } from "./engine/answer.ts";
import { ArmError, errorBody } from "./engine/arm-error.ts";

export interface ArmServerOptions {
  /** 0: any free port. */
  readonly port: number;
  /** With it the server speaks HTTPS, and the SDK's own bearer tokens work. */
  readonly tls: { readonly key: string; readonly cert: string } | undefined;
  /** Checks the token of `authorization: Bearer ...`. */
  readonly isToken: (token: string) => boolean;
}

export interface ArmServer {
  readonly url: string;
  /** Starts answering requests; until then they get 503. */
  open(handlers: ArmHandlers): void;
  close(): Promise<void>;
}

interface ArmHandlers {
  answer(request: ArmRequest): Answer;
  /** Disk downloads, whose address carries its own signature. */
  download(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void>;
}

/** Listens on the loopback address. Errors: `port-in-use` names the option. */
export async function startArmServer(options: ArmServerOptions): Promise<ArmServer> {
  let handlers: ArmHandlers | undefined;
  const sockets = new Set<Socket>();
  const listener: RequestListener = (request, response) => {
    answer(request, response, handlers, options).catch((error: unknown) => {
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      refuse(response, new ArmError(500, "InternalServerError", message));
    });
  };
  const server: Server = options.tls === undefined ? createServer(listener) : createSecureServer(options.tls, listener);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await listen(server, options.port);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    open: (opened) => {
      handlers = opened;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error);
      reject(
        new LocalError("port-in-use", `Port ${port} is taken. Another program listens there.`, {
          port,
          option: "--resource-manager-port",
        }),
      );
    });
    server.listen(port, "127.0.0.1", resolve);
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ArmHandlers | undefined,
  options: ArmServerOptions,
): Promise<void> {
  if (handlers === undefined)
    return refuse(response, new ArmError(503, "ServerBusy", "The Resource Manager is starting."));
  // Clients that append an id to a slash send two: Azure reads them as one.
  const url = new URL((request.url ?? "/").replace(/^\/+/, "/"), "http://localhost");
  if (url.pathname.startsWith("/disk-access/")) return handlers.download(request, response, url);
  try {
    checkToken(request, options.isToken);
    const answered = handlers.answer(await readRequest(request, url));
    if (answered.isHung === true) return;
    if (answered.isCut === true) response.destroy();
    else send(response, answered);
  } catch (error) {
    if (!(error instanceof ArmError)) throw error;
    refuse(response, error);
  }
}

function checkToken(request: IncomingMessage, isToken: (token: string) => boolean): void {
  const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (token === undefined)
    throw new ArmError(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.");
  if (!isToken(token)) throw new ArmError(401, "InvalidAuthenticationToken", "The access token is invalid.");
}

async function readRequest(request: IncomingMessage, url: URL): Promise<ArmRequest> {
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join() : value]),
  );
  return {
    method: request.method ?? "GET",
    path: decoded(url.pathname),
    query: url.searchParams,
    headers,
    body: await readBody(request),
  };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path).replace(/(.)\/+$/, "$1");
  } catch {
    throw new ArmError(400, "InvalidRequestUri", "The address of the request cannot be read.");
  }
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let lengthBytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    lengthBytes += piece.length;
    if (lengthBytes > ARM_BODY_MAX_BYTES)
      throw new ArmError(413, "RequestEntityTooLarge", "The request is longer than 4 MB.");
    pieces.push(piece);
  }
  if (lengthBytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(pieces).toString("utf8"));
  } catch {
    throw new ArmError(400, "InvalidRequestContent", "The request content was invalid and could not be deserialized.");
  }
}

function refuse(response: ServerResponse, error: ArmError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const headers: Record<string, string> = error.status === 413 ? { connection: "close" } : {};
  if (error.status === 401) headers["www-authenticate"] = `Bearer error="invalid_token"`;
  send(response, { status: error.status, headers, body: { error: errorBody(error) } });
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  const text = body === undefined ? "" : JSON.stringify(body);
  const type = text === "" ? {} : { "content-type": "application/json; charset=utf-8" };
  response.writeHead(status, { ...headers, ...type, "content-length": Buffer.byteLength(text) });
  response.end(text);
}
