import { describe, expect, it } from "vitest";
import { errorBody } from "../../mobility/control/answers.ts";
import { controlUrl } from "../../mobility/system/guarded-url.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import type { HttpRequest } from "../../mobility/system/transport.ts";
import { blobUrl, putDelta, putOutcome } from "../../mobility/upload/put-blob.ts";

describe("Put Blob", () => {
  it("joins the container's address with the name and keeps the credential", () => {
    const expected = "https://account.example/container/0000000001/000000000002?sp=c&sig=a%2Fb%2B";
    expect(blobUrl("https://account.example/container?sp=c&sig=a%2Fb%2B", "0000000001/000000000002").href).toBe(
      expected,
    );
    expect(blobUrl("https://account.example/container/?sp=c&sig=a%2Fb%2B", "0000000001/000000000002").href).toBe(
      expected,
    );
  });

  it("creates only, and says what its bytes must hash to", async () => {
    const sent: HttpRequest[] = [];
    const transport = {
      send: async (request: HttpRequest) => {
        sent.push(request);
        return { status: 201, headers: {}, body: "" };
      },
      close: () => undefined,
    };
    const delta = {
      end: { stream: 1, epoch: 2, checksum: "0".repeat(64) },
      path: "/unread",
      lengthBytes: 5,
      md5: "bWQ1",
    };
    const containerUrl = "https://account.example/container?sp=c";
    const { signal } = new AbortController();
    expect(await putDelta({ files: nodeFiles(), transport, containerUrl, delta, signal })).toEqual({ kind: "created" });
    expect(sent).toMatchObject([
      {
        method: "PUT",
        headers: { "if-none-match": "*", "content-md5": "bWQ1", "x-ms-blob-type": "BlockBlob" },
        body: { path: "/unread" },
      },
    ]);
  });

  it.each([
    [201, undefined, "created"],
    [409, "BlobAlreadyExists", "exists"],
    [403, "UnauthorizedBlobOverwrite", "exists"],
    [409, "ContainerBeingDeleted", "failed"],
    [403, "AuthenticationFailed", "refused"],
    [403, "AuthorizationPermissionMismatch", "exists-or-refused"],
    [401, undefined, "refused"],
    [404, "ContainerNotFound", "failed"],
    [400, "Md5Mismatch", "damaged"],
    [429, undefined, "failed"],
    [500, "OperationTimedOut", "failed"],
    [503, "ServerBusy", "failed"],
    [200, undefined, "failed"],
  ] as const)("reads %i %s as %s, from the header or from the body", (status, code, kind) => {
    const inHeader = putOutcome({ status, headers: code === undefined ? {} : { "x-ms-error-code": code }, body: "" });
    const inBody = putOutcome({
      status,
      headers: {},
      body: code === undefined ? "" : `<Error><Code>${code}</Code></Error>`,
    });
    expect([inHeader.kind, inBody.kind]).toEqual([kind, kind]);
  });

  it("rule 8: repeats nothing of an answer that could hold the request's address", () => {
    const outcome = putOutcome({
      status: 500,
      headers: { "x-ms-error-code": "https://a/b?sig=secret" },
      body: "<Code>sig=secret</Code>",
    });
    expect(JSON.stringify(outcome)).not.toContain("secret");
  });
});

describe("control plane", () => {
  it("is reached by https, or by http on this machine", () => {
    const allowed = [
      "https://app.example/api",
      "http://127.0.0.1:7071/api",
      "http://localhost/api",
      "http://[::1]:1/api",
    ];
    expect(allowed.map((text) => controlUrl(text).href)).toEqual(allowed);
    for (const text of [
      "http://app.example/api",
      "http://127.0.0.1.example/api",
      "ftp://127.0.0.1/api",
      "app.example",
    ]) {
      expect(() => controlUrl(text)).toThrowError(expect.objectContaining({ code: "configuration-invalid" }));
    }
  });

  it("refuses for good only with the codes that say so", () => {
    expect(errorBody({ error: { code: "not-authorized", message: "no" } })).toEqual({
      code: "not-authorized",
      message: "no",
    });
    expect(errorBody({ error: { code: "conflict", message: "again" } })).toEqual({ code: undefined, message: "again" });
    expect([errorBody(undefined), errorBody("text"), errorBody({ error: null })]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
