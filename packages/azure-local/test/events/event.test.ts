import { describe, expect, it } from "vitest";
import { eventOf, matches } from "../../events/event.ts";
import { retryAfterMs, RETRY_POLICY } from "../../events/retry.ts";
import type { StorageOperation } from "../../storage/operation.ts";

const operation: StorageOperation = {
  account: "cachewe",
  service: "blob",
  operation: "BlockBlob_Upload",
  method: "PUT",
  container: "leeward-cache-vm-1",
  blob: "0000000001/000000000002",
  status: 201,
  lengthBytes: 10892,
  atMs: Date.UTC(2026, 10, 22, 18, 57, 38, 96),
  requestId: "33c414a1-501e-0099-6058-1e0e60000000",
  clientRequestId: "f6935de1-f7ee-4982-86c1-96702227a057",
  etag: '"0x8D7EC6F2FA3078F"',
  created: {
    api: "PutBlob",
    blobType: "BlockBlob",
    contentType: "application/octet-stream",
    contentLengthBytes: 10892,
  },
};
const origin = { blobUrl: "http://127.0.0.1:10000/cachewe", id: "an-id", batchId: "a-batch", sequence: 0x493n };

describe("a BlobCreated event", () => {
  it("has every field of Azure's schema and no other", () => {
    expect(eventOf(operation, origin)).toStrictEqual({
      topic:
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/Microsoft.Storage/storageAccounts/cachewe",
      subject: "/blobServices/default/containers/leeward-cache-vm-1/blobs/0000000001/000000000002",
      eventType: "Microsoft.Storage.BlobCreated",
      id: "an-id",
      eventTime: "2026-11-22T18:57:38.096Z",
      data: {
        api: "PutBlob",
        clientRequestId: "f6935de1-f7ee-4982-86c1-96702227a057",
        requestId: "33c414a1-501e-0099-6058-1e0e60000000",
        eTag: "0x8D7EC6F2FA3078F",
        contentType: "application/octet-stream",
        contentLength: 10892,
        blobType: "BlockBlob",
        accessTier: "Default",
        url: "http://127.0.0.1:10000/cachewe/leeward-cache-vm-1/0000000001/000000000002",
        sequencer: "000000000000000000000000000000000000000000000493",
        storageDiagnostics: { batchId: "a-batch" },
      },
      dataVersion: "",
      metadataVersion: "1",
    });
  });

  it("comes from operations that create a blob only", () => {
    expect(eventOf({ ...operation, created: undefined }, origin)).toBeUndefined();
  });

  it("has the blob's name plain in the subject and encoded in the address", () => {
    const event = eventOf({ ...operation, blob: "a folder/ä?" }, origin);
    expect(event?.subject).toBe("/blobServices/default/containers/leeward-cache-vm-1/blobs/a folder/ä?");
    expect(event?.data.url).toBe("http://127.0.0.1:10000/cachewe/leeward-cache-vm-1/a%20folder/%C3%A4%3F");
  });
});

describe("the subject filter", () => {
  it.each([
    [{}, true],
    [{ subjectBeginsWith: "/blobServices/default/containers/leeward-cache-" }, true],
    [{ subjectBeginsWith: "/blobservices/default/containers/LEEWARD-cache-" }, true],
    [{ subjectBeginsWith: "/blobServices/default/containers/other" }, false],
    [{ subjectEndsWith: "/000000000002" }, true],
    [{ subjectBeginsWith: "/blobServices", subjectEndsWith: ".vhd" }, false],
  ])("%j -> %s", (filter, expected) => {
    expect(matches(filter, "/blobServices/default/containers/leeward-cache-vm-1/blobs/0000000001/000000000002")).toBe(
      expected,
    );
  });
});

describe("the pause between attempts", () => {
  it("doubles up to its bound and ends after the last attempt", () => {
    const pauses = Array.from({ length: RETRY_POLICY.attempts }, (_, attempt) =>
      retryAfterMs(RETRY_POLICY, attempt + 1),
    );
    expect(pauses.slice(0, 8)).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000]);
    expect(pauses.slice(8, -1).every((pause) => pause === 30_000)).toBe(true);
    expect(pauses.at(-1)).toBeUndefined();
  });
});
