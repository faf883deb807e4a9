import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type Azurite,
  type LokiDocument,
  type LokiStore,
  type RequestFacts,
  type StorageService,
  requestFacts,
} from "./azurite-modules.ts";

/** One request processed by the storage, just before its answer leaves. */
export interface StorageOperation {
  readonly account: string;
  readonly service: StorageService;
  /**
   * Azurite's name, such as "PageBlob_UploadPages" or "Messages_Enqueue"; "Throttled" for throttled requests, "Refused"
   * for those that the account lets nobody send, "Service_GetUserDelegationKey"; "unknown" when the request was refused
   * before it was recognised.
   */
  readonly operation: string;
  readonly method: string;
  /** The container, or the queue. */
  readonly container: string;
  readonly blob: string;
  /** 200 and above but below 300: the operation has taken effect. */
  readonly status: number;
  /** Bytes of the request's body if it has one, else of the answer's body. */
  readonly lengthBytes: number;
  readonly atMs: number;
  readonly requestId: string;
  readonly clientRequestId: string;
  /** As in the answer, with its quotes; "" where there is none. */
  readonly etag: string;
  /** The blob created or replaced by a successful operation; undefined for every other operation. */
  readonly created: CreatedBlob | undefined;
}

interface CreatedBlob {
  /** As Azure's events name the operation. */
  readonly api: "PutBlob" | "PutBlockList" | "CopyBlob";
  readonly blobType: string;
  readonly contentType: string;
  readonly contentLengthBytes: number;
}

/** The operations that complete a blob, by Azurite's name. */
const CREATING: ReadonlyMap<string, CreatedBlob["api"]> = new Map([
  ["BlockBlob_Upload", "PutBlob"],
  ["PageBlob_Create", "PutBlob"],
  ["AppendBlob_Create", "PutBlob"],
  ["BlockBlob_CommitBlockList", "PutBlockList"],
  ["Blob_StartCopyFromURL", "CopyBlob"],
  ["Blob_CopyFromURL", "CopyBlob"],
]);

interface OperationPlace {
  readonly account: string;
  readonly service: StorageService;
  /** Contains the blob that the request made. */
  readonly store: LokiStore;
  /** What the gate answered itself; Azurite has not seen it. */
  readonly ownAnswer: string | undefined;
}

export function describeOperation(
  azurite: Azurite,
  where: OperationPlace,
  request: IncomingMessage,
  response: ServerResponse,
): StorageOperation {
  const { account, service } = where;
  const facts =
    where.ownAnswer === undefined
      ? requestFacts(azurite, service, response)
      : { operation: where.ownAnswer, ...blobAddress(request.url ?? "/", account) };
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
    created: response.statusCode < 300 ? createdBlob(where.store, account, facts) : undefined,
  };
}

/** The name of Azurite's collection. */
const BLOBS = "$BLOBS_COLLECTION$";

function createdBlob(store: LokiStore, account: string, facts: RequestFacts): CreatedBlob | undefined {
  const api = CREATING.get(facts.operation ?? "");
  if (api === undefined) return undefined;
  const properties = findBlob(store, account, facts.container, facts.blob)?.properties;
  return {
    api,
    blobType: properties?.blobType ?? "",
    contentType: properties?.contentType ?? "",
    contentLengthBytes: properties?.contentLength ?? 0,
  };
}

/** The blob itself, not a snapshot. */
export function findBlob(store: LokiStore, account: string, container: string, blob: string): LokiDocument | undefined {
  // Loki filters by the first field.
  const found = store.db
    .getCollection(BLOBS)
    ?.findOne({ name: blob, snapshot: "", containerName: container, accountName: account });
  return found ?? undefined;
}

/** Container and blob of a request's path, which begins with the account; empty where missing. */
export function blobAddress(url: string, account: string): { readonly container: string; readonly blob: string } {
  const path = url.split("?")[0] ?? "";
  const [, first, container = "", ...blob] = path.split("/").map(decoded);
  return first === account ? { container, blob: blob.join("/") } : { container: "", blob: "" };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === "string" ? value : "";
}
