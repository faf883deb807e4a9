import type { IncomingMessage, ServerResponse } from "node:http";
import type { Azurite, LokiStore, RequestFacts, StorageService } from "./azurite-modules.ts";
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
  /** The blob that a successful operation has made or replaced; undefined for every other operation. */
  readonly created: CreatedBlob | undefined;
}

interface CreatedBlob {
  /** As Azure's events name the operation. */
  readonly api: "PutBlob" | "PutBlockList" | "CopyBlob";
  readonly blobType: string;
  readonly contentType: string;
  readonly contentLengthBytes: number;
}

/** The operations after which a whole blob is there, by Azurite's name. */
const CREATING: ReadonlyMap<string, CreatedBlob["api"]> = new Map([
  ["BlockBlob_Upload", "PutBlob"],
  ["PageBlob_Create", "PutBlob"],
  ["AppendBlob_Create", "PutBlob"],
  ["BlockBlob_CommitBlockList", "PutBlockList"],
  ["Blob_StartCopyFromURL", "CopyBlob"],
  ["Blob_CopyFromURL", "CopyBlob"],
]);

/** Describes the request for `store`, where the blob that it made can be looked at. */
export function describeOperation(
  azurite: Azurite,
  where: { readonly account: string; readonly service: StorageService; readonly store: LokiStore },
  request: IncomingMessage,
  response: ServerResponse,
): StorageOperation {
  const { account, service } = where;
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
    created: response.statusCode < 300 ? createdBlob(where.store, account, facts) : undefined,
  };
}

/** The name of Azurite's collection. */
const BLOBS = "$BLOBS_COLLECTION$";

function createdBlob(store: LokiStore, account: string, facts: RequestFacts): CreatedBlob | undefined {
  const api = CREATING.get(facts.operation ?? "");
  if (api === undefined) return undefined;
  const blobs = store.db.getCollection(BLOBS);
  // Loki narrows by the first field.
  const found = blobs?.findOne({ name: facts.blob, snapshot: "", containerName: facts.container, accountName: account });
  const properties = found?.properties;
  return {
    api,
    blobType: properties?.blobType ?? "",
    contentType: properties?.contentType ?? "",
    contentLengthBytes: properties?.contentLength ?? 0,
  };
}

function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === "string" ? value : "";
}
