import { RestError } from "@azure/storage-blob";
import { describe, expect, it } from "vitest";
import { type StoreAccess, storageError, unless, writing } from "../../../azure/errors.ts";
import { LeewardError } from "../../../replication/errors.ts";

const answered = (statusCode: number, code: string): RestError =>
  new RestError(`${code} happened\nRequestId:1\nTime:2`, { statusCode, code });
/** With the header by which the service itself names what happened. */
const said = (statusCode: number, code: string): Error =>
  Object.assign(answered(statusCode, code), { response: { headers: new Map([["x-ms-error-code", code]]) } });
const named = (name: string): Error => Object.assign(new Error("no token"), { name });
const codeOf = (error: unknown, access: StoreAccess): string => storageError(error, access, "test").code;

describe("storageError", () => {
  it("rule 3: whatever leaves it open whether a write lands is unknown; a read has only failed", () => {
    const open = [
      answered(500, "InternalError"),
      answered(503, "ServerBusy"),
      answered(504, "GatewayTimeout"),
      answered(408, "RequestTimeout"),
      answered(429, "TooManyRequests"),
      new RestError("socket hang up", { code: "ECONNRESET" }),
      new RestError("gone", { code: "EPIPE" }),
      named("AbortError"),
      new Error("stream ended"),
    ];
    expect(open.map((error) => codeOf(error, "write"))).toEqual(open.map(() => "outcome-unknown"));
    expect(open.map((error) => codeOf(error, "read"))).toEqual(open.map(() => "store-unavailable"));
  });

  it("a busy store that says so itself has done nothing: a write may be sent again, as it is", () => {
    const busy = [said(503, "ServerBusy"), said(409, "SnapshotOperationRateExceeded")];
    expect(busy.map((error) => codeOf(error, "write"))).toEqual(["store-busy", "store-busy"]);
    expect(codeOf(said(503, "ServerBusy"), "read")).toBe("store-unavailable");
    // A 500 or a time-out is no such word, whatever its header.
    expect(codeOf(said(500, "OperationTimedOut"), "write")).toBe("outcome-unknown");
  });

  it("a request that never left, or that was refused for now, left nothing behind", () => {
    const passing = [
      new RestError("connect ECONNREFUSED", { code: "ECONNREFUSED" }),
      new RestError("getaddrinfo ENOTFOUND", { code: "ENOTFOUND" }),
      answered(409, "ContainerBeingDeleted"),
      answered(400, "Md5Mismatch"),
    ];
    expect(passing.map((error) => codeOf(error, "write"))).toEqual(passing.map(() => "store-unavailable"));
  });

  it("refusals of the caller are final", () => {
    const refused = [
      answered(401, "NoAuthenticationInformation"),
      answered(403, "AuthorizationPermissionMismatch"),
      answered(404, "BlobNotFound"),
      answered(400, "InvalidHeaderValue"),
      named("CredentialUnavailableError"),
      named("AggregateAuthenticationError"),
    ];
    expect(refused.map((error) => codeOf(error, "write"))).toEqual(refused.map(() => "store-refused"));
    expect(refused.map((error) => codeOf(error, "read"))).toEqual(refused.map(() => "store-refused"));
  });

  it("rule 3: only the sequence number fences; any other condition is a conflict", () => {
    expect(codeOf(answered(412, "SequenceNumberConditionNotMet"), "write")).toBe("fenced");
    expect(codeOf(answered(412, "LeaseIdMissing"), "write")).toBe("conflict");
  });

  it("keeps one line of the service's text, its code and status, and the operation", () => {
    const error = storageError(answered(403, "AuthenticationFailed"), "read", "read record", { name: "item.json" });
    expect(error.message).toBe("The storage account refused: AuthenticationFailed happened");
    expect(error.facts).toMatchObject({
      name: "item.json",
      operation: "read record",
      status: 403,
      storageCode: "AuthenticationFailed",
    });
  });

  it("passes our own errors on and calls a mistake in our own call a fault", () => {
    const own = new LeewardError("point-pruned", "gone");
    expect(storageError(own, "write", "test")).toBe(own);
    expect(codeOf(new TypeError("not a function"), "read")).toBe("internal");
  });
});

describe("writing", () => {
  it("rule 9: ends after its time, with an unknown outcome", async () => {
    const forever = writing(
      "write pages",
      {},
      20,
      (abortSignal) =>
        new Promise<never>((_resolve, reject) => {
          abortSignal.addEventListener("abort", () => reject(named("AbortError")));
        }),
    );
    await expect(forever).rejects.toMatchObject({ code: "outcome-unknown", facts: { operation: "write pages" } });
  });
});

describe("unless", () => {
  it("turns the expected refusal into undefined and nothing else", async () => {
    const refusal = answered(409, "BlobAlreadyExists");
    expect(await unless((error) => error === refusal, Promise.reject(refusal))).toBeUndefined();
    await expect(unless(() => false, Promise.reject(refusal))).rejects.toBe(refusal);
    expect(await unless(() => true, Promise.resolve(1))).toBe(1);
  });
});
