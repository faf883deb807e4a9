import { PUT_PAGE_MAX_BYTES } from "../../limits.ts";
import type { Azurite, BlobMetadataStore, LokiDocument, PageBlobHandler, RequestContext } from "../azurite-modules.ts";
import { replaceMethod, type Undo } from "./patch.ts";

/** A page blob holds at most 8 TiB (Azure: storage-blob-scale-targets). */
const PAGE_BLOB_MAX_BYTES = 8 * 1024 ** 4;

/**
 * Limits of page blobs that Azure enforces and Azurite does not: a Put Page of more than 4 MiB (413), a write or a
 * clear past the end (416), a blob of more than 8 TiB (400). Without them a fault of the writer would only show on
 * Azure.
 */
export function mendLimits(azurite: Azurite): Undo {
  const { pageBlobHandler, blobMetadataStore } = azurite;
  const undo = [
    replaceMethod(
      pageBlobHandler,
      "uploadPages",
      (original) =>
        async function (this: PageBlobHandler, body, contentLengthBytes, options, context) {
          if (contentLengthBytes <= PUT_PAGE_MAX_BYTES)
            return original.call(this, body, contentLengthBytes, options, context);
          const message = "The request body is too large and exceeds the maximum permissible limit.";
          throw new azurite.storageError(413, "RequestBodyTooLarge", message, context.contextId);
        },
    ),
    replaceMethod(
      pageBlobHandler,
      "create",
      (original) =>
        async function (this: PageBlobHandler, contentLength, blobContentLengthBytes, options, context) {
          checkBlobSize(azurite, blobContentLengthBytes, context);
          return original.call(this, contentLength, blobContentLengthBytes, options, context);
        },
    ),
    replaceMethod(
      pageBlobHandler,
      "resize",
      (original) =>
        async function (this: PageBlobHandler, blobContentLengthBytes, options, context) {
          checkBlobSize(azurite, blobContentLengthBytes, context);
          return original.call(this, blobContentLengthBytes, options, context);
        },
    ),
    replaceMethod(
      blobMetadataStore,
      "uploadPages",
      (original) =>
        async function (this: BlobMetadataStore, context, blob, start, end, ...rest) {
          checkEnd(azurite, blob, end, context);
          return original.call(this, context, blob, start, end, ...rest);
        },
    ),
    replaceMethod(
      blobMetadataStore,
      "clearRange",
      (original) =>
        async function (this: BlobMetadataStore, context, blob, start, end, ...rest) {
          checkEnd(azurite, blob, end, context);
          return original.call(this, context, blob, start, end, ...rest);
        },
    ),
  ];
  return () => {
    for (const takeBack of undo) takeBack();
  };
}

function checkBlobSize(azurite: Azurite, sizeBytes: number, context: RequestContext): void {
  if (sizeBytes <= PAGE_BLOB_MAX_BYTES) return;
  const message = "The value for one of the HTTP headers is not in the correct format.";
  throw new azurite.storageError(400, "InvalidHeaderValue", message, context.contextId);
}

function checkEnd(azurite: Azurite, blob: LokiDocument, end: number, context: RequestContext): void {
  if (end < (blob.properties?.contentLength ?? 0)) return;
  throw new azurite.storageError(416, "InvalidPageRange", "The page range specified is invalid.", context.contextId);
}
