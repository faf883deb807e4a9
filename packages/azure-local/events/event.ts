import type { StorageOperation } from "../storage/operation.ts";

export const BLOB_CREATED = "Microsoft.Storage.BlobCreated";

/**
 * An event of Azure Storage in the Event Grid schema, field by field as Azure sends it (azure-docs:
 * event-schema-blob-storage).
 */
export interface BlobCreatedEvent {
  readonly topic: string;
  readonly subject: string;
  readonly eventType: typeof BLOB_CREATED;
  readonly id: string;
  /** ISO 8601. */
  readonly eventTime: string;
  readonly data: {
    readonly api: string;
    readonly clientRequestId: string;
    readonly requestId: string;
    /** Without the quotes of the header. */
    readonly eTag: string;
    readonly contentType: string;
    readonly contentLength: number;
    readonly blobType: string;
    readonly accessTier?: string;
    readonly url: string;
    /** Compared as text, later events of one blob are greater. */
    readonly sequencer: string;
    readonly storageDiagnostics: { readonly batchId: string };
  };
  readonly dataVersion: "";
  readonly metadataVersion: "1";
}

export interface EventOrigin {
  readonly blobUrl: string;
  readonly id: string;
  readonly batchId: string;
  /** Greater than any earlier event's. */
  readonly sequence: bigint;
}

/** The event of an operation, or undefined if it makes no blob. */
export function eventOf(operation: StorageOperation, origin: EventOrigin): BlobCreatedEvent | undefined {
  const { created, container, blob } = operation;
  if (created === undefined) return undefined;
  return {
    topic: `${LOCAL_RESOURCE_GROUP}/providers/Microsoft.Storage/storageAccounts/${operation.account}`,
    subject: `/blobServices/default/containers/${container}/blobs/${blob}`,
    eventType: BLOB_CREATED,
    id: origin.id,
    eventTime: new Date(operation.atMs).toISOString(),
    data: {
      api: created.api,
      clientRequestId: operation.clientRequestId,
      requestId: operation.requestId,
      eTag: operation.etag.replaceAll('"', ""),
      contentType: created.contentType,
      contentLength: created.contentLengthBytes,
      blobType: created.blobType,
      ...(created.blobType === "BlockBlob" ? { accessTier: "Default" } : {}),
      url: `${origin.blobUrl}/${container}/${blob.split("/").map(encodeURIComponent).join("/")}`,
      sequencer: origin.sequence.toString(16).padStart(SEQUENCER_DIGITS, "0"),
      storageDiagnostics: { batchId: origin.batchId },
    },
    dataVersion: "",
    metadataVersion: "1",
  };
}

/** The local cloud has one resource group in one subscription. */
export const LOCAL_RESOURCE_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local";
const SEQUENCER_DIGITS = 48;

export interface EventFilter {
  /** Azure ignores case in subjects by default. */
  readonly subjectBeginsWith?: string;
  readonly subjectEndsWith?: string;
}

export function matches(filter: EventFilter, subject: string): boolean {
  const text = subject.toLowerCase();
  return (
    text.startsWith(filter.subjectBeginsWith?.toLowerCase() ?? "") &&
    text.endsWith(filter.subjectEndsWith?.toLowerCase() ?? "")
  );
}
