import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { encodeMessage } from "../../azure/work-queue.ts";
import { hintsOf, restoreOfMessage } from "../../functions/serving/hint-message.ts";
import { LeewardError } from "../../replication/errors.ts";
import { cacheContainer, itemContainer, quarantineContainer } from "../../replication/names.ts";

/** As Event Grid delivers it, in its own schema. */
const event = (container: string, changes: object = {}): object => ({
  topic: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/leewardcachewe",
  subject: `/blobServices/default/containers/${container}/blobs/0000000001/000000000007`,
  eventType: "Microsoft.Storage.BlobCreated",
  id: "831e1650-001e-001b-66ab-eeb76e069631",
  data: {
    api: "PutBlob",
    url: "https://leewardcachewe.blob.core.windows.net/c/b",
    contentLength: 1024,
    blobType: "BlockBlob",
  },
  dataVersion: "",
  metadataVersion: "1",
  eventTime: "2026-11-22T18:41:00.9584103Z",
  ...changes,
});
const cloudEvent = (container: string): object => ({
  specversion: "1.0",
  type: "Microsoft.Storage.BlobCreated",
  source: "/subscriptions/s",
  subject: `/blobServices/default/containers/${container}/blobs/0000000001/000000000007`,
  data: {},
});
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64");

const itemsOfHint = (entry: unknown): readonly string[] => hintsOf(entry).map(({ itemId }) => itemId);

describe("hintsOf", () => {
  it.each([
    ["an event", event(cacheContainer("web-1", 1))],
    ["an array of one event", [event(cacheContainer("web-1", 1))]],
    ["an event of the CloudEvents schema", cloudEvent(cacheContainer("web-1", 1))],
    ["our own hand-on", { kind: "hint", itemId: "web-1" }],
  ])("reads %s, as an object, as JSON text and as base64 of it", (_name, value) => {
    expect(itemsOfHint(value)).toEqual(["web-1"]);
    expect(itemsOfHint(JSON.stringify(value))).toEqual(["web-1"]);
    expect(itemsOfHint(base64(value))).toEqual(["web-1"]);
  });

  it("reads what our own queue sends", () => {
    expect(itemsOfHint(encodeMessage({ kind: "hint", itemId: "web-1" }))).toEqual(["web-1"]);
  });

  it("knows a hint that was put off; beside a fresh one of the same item it counts as fresh", () => {
    const again = { kind: "hint", itemId: "web-1", again: true };
    expect(hintsOf(encodeMessage({ kind: "hint", itemId: "web-1", again: true }))).toEqual([
      { itemId: "web-1", again: true },
    ]);
    expect(hintsOf([again, event(cacheContainer("web-1", 1)), again])).toEqual([{ itemId: "web-1", again: false }]);
    expect(hintsOf([again, again])).toEqual([{ itemId: "web-1", again: true }]);
  });

  it("names each item of many events once", () => {
    const events = ["web-1", "db", "web-1", "db"].map((itemId) => event(cacheContainer(itemId, 1)));
    expect(itemsOfHint(events)).toEqual(["web-1", "db"]);
  });

  it("events of other kinds and of other containers speak of no item", () => {
    expect(itemsOfHint(event(cacheContainer("web-1", 1), { eventType: "Microsoft.Storage.BlobDeleted" }))).toEqual([]);
    for (const container of [
      quarantineContainer("web-1"),
      itemContainer("web-1"),
      "leeward-cache-",
      "leeward-cache-Web",
      "pictures",
    ]) {
      expect(itemsOfHint(event(container))).toEqual([]);
    }
    expect(itemsOfHint([])).toEqual([]);
  });

  it.each([
    ["no JSON", "hello"],
    ["nothing", ""],
    ["a number", 7],
    ["null", null],
    ["an object of another shape", { hello: "world" }],
    ["a hint of a name that cannot be an item's", { kind: "hint", itemId: "../x" }],
    ["a message of the other queue", { kind: "restore", itemId: "web-1", restoreId: "r" }],
    ["an event of no blob", event("c", { subject: "/blobServices/default/containers/leeward-cache-web" })],
    ["one good part and a bad one", [event(cacheContainer("web-1", 1)), 7]],
    ["more parts than any message holds", Array.from({ length: 257 }, () => event(cacheContainer("web-1", 1)))],
  ])("refuses %s, so that it goes to the poison queue", (_name, value) => {
    expect(() => itemsOfHint(value)).toThrow(expect.objectContaining({ code: "invalid-request" }));
  });

  property.prop([fc.oneof(fc.string(), fc.jsonValue(), fc.base64String())])(
    "answers anything with item ids or a typed error",
    (value) => {
      try {
        for (const itemId of itemsOfHint(value)) expect(itemId).toMatch(/^[a-z0-9-]+$/);
      } catch (error) {
        expect(error).toBeInstanceOf(LeewardError);
      }
    },
  );
});

describe("restoreOfMessage", () => {
  const message = { kind: "restore", itemId: "web-1", restoreId: "00ff" } as const;

  it("reads our own message in every encoding", () => {
    const expected = { itemId: "web-1", restoreId: "00ff" };
    expect(restoreOfMessage(message)).toMatchObject(expected);
    expect(restoreOfMessage(JSON.stringify(message))).toMatchObject(expected);
    expect(restoreOfMessage(encodeMessage(message))).toMatchObject(expected);
  });

  it("refuses anything else", () => {
    for (const value of [{ kind: "hint", itemId: "web-1" }, { ...message, itemId: "A" }, [message], 7]) {
      expect(() => restoreOfMessage(value)).toThrow(expect.objectContaining({ code: "invalid-request" }));
    }
  });
});
