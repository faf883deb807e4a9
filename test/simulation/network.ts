import { createHash } from "node:crypto";
import type { Files } from "../../mobility/system/files.ts";
import type { HttpAnswer, HttpRequest, Transport } from "../../mobility/system/transport.ts";
import { LeewardError } from "../../replication/errors.ts";
import type { AppAnswer, AppRequest, RouteName } from "./function-app.ts";
import type { SimulatedProcess } from "./process.ts";

/** What a service in a VM can reach. */
export interface Network {
  /** The function app; never answers when the process that took the request dies. */
  request(route: RouteName, request: AppRequest): Promise<AppAnswer>;
  /** Put Blob, create only, with the credential in the URL. */
  putBlob(url: URL, bytes: Buffer, contentMd5: string): Promise<HttpAnswer>;
}

export const API_URL = "https://app.invalid/api";
export const CACHE_HOST = "leewardcache.blob.invalid";

const ROUTES: Readonly<Record<string, RouteName>> = {
  register: "registerMobility",
  heartbeat: "heartbeatMobility",
  settle: "settleMobility",
};

/** Outgoing HTTP of one process. */
export function transportOf(process: SimulatedProcess, files: Files, network: Network): Transport {
  return {
    send: async (request) =>
      request.url.host === CACHE_HOST ? upload(process, files, network, request) : callApp(process, network, request),
    close: () => undefined,
  };
}

async function callApp(process: SimulatedProcess, network: Network, request: HttpRequest): Promise<HttpAnswer> {
  const [, item = "", action = ""] = /^\/api\/mobility\/([^/]+)\/([^/]+)$/.exec(request.url.pathname) ?? [];
  const route = ROUTES[action];
  if (route === undefined || request.body.kind !== "text")
    throw new LeewardError("internal", `No such route: ${request.url.pathname}.`);
  const body: unknown = JSON.parse(request.body.text);
  const answer = await orGivenUp(
    process,
    request,
    process.send({ place: "control", access: "write", operation: `${action} ${item}` }, () =>
      network.request(route, { params: { item }, headers: request.headers, body }),
    ),
  );
  return { status: answer.status, headers: answer.headers, body: JSON.stringify(answer.body) };
}

async function upload(
  process: SimulatedProcess,
  files: Files,
  network: Network,
  request: HttpRequest,
): Promise<HttpAnswer> {
  const { body, url, headers } = request;
  if (body.kind !== "file") throw new LeewardError("internal", "A blob comes from a file.");
  const bytes = files.readFile(body.path);
  const sent = process.send({ place: "cache", access: "write", operation: `put ${url.pathname}` }, () =>
    network.putBlob(url, bytes, headers["content-md5"] ?? ""),
  );
  return orGivenUp(process, request, sent);
}

/** Rejects when no complete answer comes in time, whether or not the request took effect. */
function orGivenUp<Answer>(
  process: SimulatedProcess,
  { url, timeoutMs, signal }: HttpRequest,
  sent: Promise<Answer>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => fail("given up");
    const over = (): void => {
      cancel();
      signal?.removeEventListener("abort", giveUp);
    };
    const fail = (reason: string): void => {
      over();
      reject(
        new LeewardError("control-unavailable", `${url.host} cannot be reached: ${reason}.`, {
          host: url.host,
          reason,
        }),
      );
    };
    const cancel = process.hear(timeoutMs, () => fail("no answer in time"));
    signal?.addEventListener("abort", giveUp);
    if (signal?.aborted === true) return giveUp();
    sent.then(
      (answer) => {
        over();
        resolve(answer);
      },
      () => fail("the answer was lost"),
    );
  });
}

export const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("base64");

export const httpAnswer = (status: number, code?: string): HttpAnswer => ({
  status,
  headers: code === undefined ? {} : { "x-ms-error-code": code },
  body: "",
});
