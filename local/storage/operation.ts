import type { IncomingMessage, ServerResponse } from "node:http";
import type { Azurite, StorageService } from "./azurite-modules.ts";
import { requestFacts } from "./azurite-modules.ts";

/** One request that the storage has worked off, as it looks when its answer is about to leave. */
export interface StorageOperation {
  readonly account: string;
  readonly service: StorageService;
  /** Azurite's name, such as "PageBlob_UploadPages" or "Messages_Enqueue"; "unknown" when the request was refused before it was recognised. */
  readonly operation: string;
  readonly method: string;
  /** The container, or the queue. */
  readonly container: string;
  readonly blob: string;
  /** 200 and above but below 300: the operation has taken effect. */
  readonly status: number;
  /** Bytes of the request's body when it carries one, else of the answer's body. */
  readonly lengthBytes: number;
  readonly atMs: number;
  readonly requestId: string;
  readonly clientRequestId: string;
  /** As in the answer, with its quotes; "" where there is none. */
  readonly etag: string;
  /** `x-ms-copy-source` without its query, "" for other operations. */
  readonly copySource: string;
}

export function describeOperation(
  azurite: Azurite,
  account: string,
  service: StorageService,
  request: IncomingMessage,
  response: ServerResponse,
): StorageOperation {
  const facts = requestFacts(azurite, service, response);
  const requestBytes = Number(request.headers["content-length"] ?? 0);
  return {
    account,
    service,
    operation: facts.operation ?? "unknown",
    method: request.method ?? "",
    container: facts.container,
    blob: facts.blob,
    status: response.statusCode,
    lengthBytes: requestBytes > 0 ? requestBytes : Number(response.getHeader("content-length") ?? 0),
    atMs: Date.now(),
    requestId: String(response.getHeader("x-ms-request-id") ?? ""),
    clientRequestId: header(request, "x-ms-client-request-id"),
    etag: String(response.getHeader("etag") ?? ""),
    copySource: header(request, "x-ms-copy-source").split("?")[0] ?? "",
  };
}

function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === "string" ? value : "";
}
