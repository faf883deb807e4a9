import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type BlobAccount, connectBlobs } from "../../../azure/connections.ts";
import { openDiskSnapshots } from "../../../azure/disk-snapshots.ts";
import { moveToQuarantine } from "../../../azure/quarantine.ts";

interface Asked {
  readonly request: string;
  readonly ifMatch: string | undefined;
}

/** An account whose copies take their time, as Azure's may: the local cloud ends each at once. */
describe("copies that are under way", () => {
  let account: BlobAccount;
  let asked: Asked[];
  /** The headers of a blob, by a part of its path, for one look after the other; the last one stays. */
  let blobs: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>>;
  const looks = new Map<string, number>();

  const headersOf = (path: string): Readonly<Record<string, string>> | undefined => {
    const found = Object.entries(blobs).find(([part]) => path.includes(part));
    if (found === undefined) return undefined;
    const [part, answers] = found;
    const count = looks.get(part) ?? 0;
    looks.set(part, count + 1);
    return answers[Math.min(count, answers.length - 1)];
  };
  const answer = ({
    method = "",
    url = "",
  }: IncomingMessage): { readonly status: number; readonly headers: Record<string, string> } => {
    if (method === "HEAD") {
      const headers = headersOf(url);
      return headers === undefined
        ? { status: 404, headers: { "x-ms-error-code": "BlobNotFound" } }
        : { status: 200, headers };
    }
    if (method === "DELETE") return { status: 202, headers: {} };
    return {
      status: url.includes("restype=container") ? 201 : 202,
      headers: { "x-ms-copy-id": "1", "x-ms-copy-status": "pending" },
    };
  };
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    asked.push({ request: `${method} ${url.replace("/a/", "").split("?")[0] ?? ""}`, ifMatch: headers["if-match"] });
    if (method === "GET") {
      response.writeHead(200, { "content-type": "application/xml" });
      response.end(
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs /><NextMarker /></EnumerationResults>',
      );
      return;
    }
    const { status, headers: answered } = answer(request);
    request.resume().on("end", () => response.writeHead(status, answered).end());
  });

  beforeAll(async () => {
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address() as AddressInfo;
    const accountKey = Buffer.alloc(64).toString("base64");
    const connectionString = `DefaultEndpointsProtocol=http;AccountName=a;AccountKey=${accountKey};BlobEndpoint=http://127.0.0.1:${port}/a`;
    account = connectBlobs("TargetStorage", { kind: "connection-string", connectionString });
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  beforeEach(() => {
    asked = [];
    blobs = {};
    looks.clear();
  });

  const copy = (status: string, more: Readonly<Record<string, string>> = {}) => ({
    "x-ms-copy-status": status,
    ...more,
  });

  it("only success is success: a machine is made of whole disks", async () => {
    const restored = { itemId: "web", restoreId: "r", diskId: "os" };
    const stateOf = (headers: Readonly<Record<string, string>>) => {
      blobs = { "leeward-restore-web": [headers] };
      return openDiskSnapshots(account).copyState(restored);
    };
    expect(await stateOf(copy("success"))).toEqual({ kind: "success" });
    expect(await stateOf(copy("pending", { "x-ms-copy-progress": "5/10" }))).toEqual({
      kind: "pending",
      copiedBytes: 5,
      totalBytes: 10,
    });
    expect(await stateOf(copy("failed", { "x-ms-copy-status-description": "500" }))).toEqual({
      kind: "failed",
      reason: "500",
    });
    expect(await stateOf(copy("aborted"))).toEqual({ kind: "failed", reason: "aborted" });
    expect(await stateOf({})).toMatchObject({ kind: "failed" });
    blobs = {};
    expect(await openDiskSnapshots(account).copyState(restored)).toEqual({ kind: "missing" });
  });

  it("what is still being copied is aborted before it is removed", async () => {
    blobs = { "leeward-restore-web": [copy("pending", { "x-ms-copy-id": "1" })] };
    await openDiskSnapshots(account).removeRestored({ itemId: "web", restoreId: "r", diskId: "os" });
    const blob = "leeward-restore-web/r%2Fos.vhd";
    expect(asked.map(({ request }) => request.replace("r/os", "r%2Fos"))).toEqual([
      `HEAD ${blob}`,
      `PUT ${blob}`,
      `DELETE ${blob}`,
    ]);
  });

  it("rule 4: the original goes when its copy in quarantine is whole, and only if it is still the one that was judged", async () => {
    blobs = {
      "leeward-cache-web": [{ etag: '"0xA"', "content-length": "10" }],
      "leeward-foreign-web": [copy("pending"), copy("pending"), copy("success")],
    };
    await moveToQuarantine(account, { itemId: "web", stream: 1, name: "foreign" }, "forged");
    const deleted = asked.findIndex(({ request }) => request.startsWith("DELETE"));
    expect(asked[deleted]).toMatchObject({ ifMatch: '"0xA"', request: expect.stringContaining("leeward-cache-web") });
    const looked = asked.slice(0, deleted).filter(({ request }) => /^HEAD .*leeward-foreign-web/.test(request));
    expect(looked.length).toBeGreaterThanOrEqual(3);
  });

  it("rule 4: a copy into quarantine that failed leaves the original", async () => {
    blobs = {
      "leeward-cache-web": [{ etag: '"0xA"', "content-length": "10" }],
      "leeward-foreign-web": [copy("pending"), copy("failed")],
    };
    const moved = moveToQuarantine(account, { itemId: "web", stream: 1, name: "foreign" }, "forged");
    await expect(moved).rejects.toMatchObject({ code: "store-unavailable" });
    expect(asked.filter(({ request }) => /^DELETE .*leeward-cache-web/.test(request))).toEqual([]);
  });
});
