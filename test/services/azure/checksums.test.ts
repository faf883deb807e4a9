import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type BlobAccount, connectBlobs } from "../../../azure/connections.ts";
import { openRecords } from "../../../azure/records.ts";
import { openTargetDisks } from "../../../azure/target-disks.ts";

interface Seen {
  readonly header: string | undefined;
  readonly digest: string;
}

/** A service that says yes to everything and remembers which digest came with which bytes. */
describe("rule 6: every write tells the service what its bytes must hash to", () => {
  let seen: Seen[];
  let account: BlobAccount;
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const header = request.headers["content-md5"] ?? request.headers["x-ms-blob-content-md5"];
      seen.push({
        header: typeof header === "string" ? header : undefined,
        digest: createHash("md5").update(body).digest("base64"),
      });
      response.writeHead(201, { etag: '"0x1"', "x-ms-request-id": "1" }).end();
    });
  });
  beforeEach(async () => {
    seen = [];
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const accountKey = Buffer.alloc(64).toString("base64");
    const connectionString = `DefaultEndpointsProtocol=http;AccountName=a;AccountKey=${accountKey};BlobEndpoint=http://127.0.0.1:${port}/a`;
    account = connectBlobs("TargetStorage", { kind: "connection-string", connectionString });
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it("pages, and records of every kind", async () => {
    const page = new Uint8Array(512).fill(7);
    const record = new TextEncoder().encode("record");
    await openTargetDisks(account).writePages({ itemId: "web", stream: 1, diskId: "os" }, 0, page, 1);
    const records = openRecords(account, "leeward-item-web");
    await records.create("a", record);
    await records.replace("a", record, '"0x1"');
    await records.put("a", record);
    expect(seen).toHaveLength(4);
    expect(seen.map(({ header }) => header)).toEqual(seen.map(({ digest }) => digest));
  });
});
