import { createServer, type IncomingMessage, type Server } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openResourceManager } from "../../../azure/arm/resource-manager.ts";
import { AZURE_RETRY_AFTER_MAX_MS } from "../../../replication/limits.ts";
import type { ResourceManager } from "../../../replication/resources/resource-manager.ts";

/** What the server answers to one request. */
interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const DISK = "/subscriptions/s1/resourceGroups/g/providers/Microsoft.Compute/disks/d";
const VM = "/subscriptions/s1/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v";
const NOW = Date.parse("2026-11-26T12:00:00Z");
const inState = (provisioningState: string): Reply => ({
  status: 200,
  body: { id: DISK, properties: { provisioningState } },
});
const missing: Reply = { status: 404, body: { error: { code: "ResourceNotFound", message: "gone" } } };
const refused = (status: number, code: string, message = "no"): Reply => ({
  status,
  body: { error: { code, message } },
});

/** A Resource Manager that says whatever a test has it say, also what the local one never would. */
describe("the adapter of Azure Resource Manager and answers that Azure could give", () => {
  let server: Server;
  let url: string;
  let replies: Record<string, Reply[]>;
  let seen: string[];
  let authorizations: (string | undefined)[];
  let conditions: (string | undefined)[];
  let resourceManager: ResourceManager;

  beforeEach(async () => {
    [replies, seen, authorizations, conditions] = [{}, [], [], []];
    server = createServer((request: IncomingMessage, response) => {
      const path = new URL(request.url ?? "", "http://localhost").pathname;
      seen.push(`${request.method ?? ""} ${request.url ?? ""}`);
      authorizations.push(request.headers.authorization);
      conditions.push(request.headers["if-none-match"]);
      const { status, headers = {}, body } = replies[`${request.method ?? ""} ${path}`]?.shift() ?? { status: 599 };
      response
        .writeHead(status, headers)
        .end(typeof body === "string" ? body : body === undefined ? undefined : JSON.stringify(body));
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
    resourceManager = openResourceManager(
      { endpoint: `${url}/`, access: { kind: "token", token: "secret" } },
      { now: () => NOW },
    );
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => void server.close(resolve));
  });

  const put = () => resourceManager.begin({ kind: "put", id: DISK, body: { location: "x" } });
  const remove = () => resourceManager.begin({ kind: "remove", id: DISK });
  const asynchronous = (headers: Readonly<Record<string, string>> = {}): Reply => ({
    status: 202,
    headers: { "Azure-AsyncOperation": `${url}/op?t=1&s=%2B`, ...headers },
  });
  const begun = async (): Promise<string> => {
    replies[`PUT ${DISK}`] = [asynchronous()];
    const progress = await put();
    if (progress.kind !== "running") throw new Error(progress.kind);
    return progress.operation;
  };

  it("shows its token and the version of the type's interface, and sends each request once", async () => {
    replies[`GET ${DISK}`] = [inState("Succeeded"), { status: 500 }];
    await resourceManager.read(DISK);
    expect(authorizations).toEqual(["Bearer secret"]);
    expect(seen).toEqual([`GET ${DISK}?api-version=2026-03-02`]);
    await expect(resourceManager.read(DISK)).rejects.toMatchObject({ code: "azure-unavailable" });
    expect(seen).toHaveLength(2);
  });

  it("a throttled read or list says how long Azure wants to be left alone", async () => {
    const throttled = (status: number, after: string): Reply => ({
      ...refused(status, "TooManyRequests"),
      headers: { "Retry-After": after },
    });
    replies[`GET ${DISK}`] = [throttled(429, "40"), throttled(503, "7200"), refused(503, "ServiceUnavailable")];
    const failure = async () => resourceManager.read(DISK).catch((error: unknown) => error);
    expect(await failure()).toMatchObject({ code: "azure-unavailable", facts: { retryAfterMs: 40_000 } });
    expect(await failure()).toMatchObject({ facts: { retryAfterMs: AZURE_RETRY_AFTER_MAX_MS } });
    expect((await failure()) as object).not.toHaveProperty("facts.retryAfterMs");
    const collection = DISK.replace(/\/d$/, "");
    replies[`GET ${collection}`] = [throttled(429, "40")];
    await expect(resourceManager.list(collection)).rejects.toMatchObject({ facts: { retryAfterMs: 40_000 } });
  });

  it("a put that only creates says so to Azure", async () => {
    replies[`PUT ${DISK}`] = [refused(412, "PreconditionFailed")];
    const change = { kind: "put", id: DISK, body: { location: "x" }, createOnly: true } as const;
    expect(await resourceManager.begin(change)).toMatchObject({ kind: "busy" });
    expect(conditions.at(-1)).toBe("*");
    replies[`PUT ${DISK}`] = [refused(412, "PreconditionFailed")];
    expect(await put()).toMatchObject({ kind: "failed", code: "azure-resource-conflict" });
    expect(conditions.at(-1)).toBeUndefined();
  });

  it("a patch is watched until the resource shows it; one that Azure has forgotten is begun again", async () => {
    const patch = { kind: "patch", id: DISK, body: { tags: { kept: "yes" } } } as const;
    replies[`PATCH ${DISK}`] = [{ status: 202 }, asynchronous()];
    replies[`GET ${DISK}`] = [inState("Updating"), inState("Succeeded")];
    const first = await resourceManager.begin(patch);
    expect(first).toMatchObject({ kind: "running" });
    expect(await resourceManager.look(first.kind === "running" ? first.operation : "")).toMatchObject({ kind: "done" });
    const second = await resourceManager.begin(patch);
    replies["GET /op"] = [missing];
    // The resource was whole before: its state says nothing of the patch.
    expect(await resourceManager.look(second.kind === "running" ? second.operation : "")).toMatchObject({
      kind: "failed",
      code: "azure-unavailable",
      retryable: true,
    });
  });

  it("a 202 that names nowhere to ask is no success: the resource is watched, and an action cannot be", async () => {
    replies[`PUT ${DISK}`] = [{ status: 202 }];
    replies[`GET ${DISK}`] = [inState("Updating"), inState("Succeeded"), inState("Deleting"), missing];
    const first = await put();
    expect(first).toMatchObject({ kind: "running" });
    expect(await resourceManager.look(first.kind === "running" ? first.operation : "")).toMatchObject({ kind: "done" });
    replies[`DELETE ${DISK}`] = [{ status: 202 }];
    const second = await remove();
    expect(second).toMatchObject({ kind: "running" });
    expect(await resourceManager.look(second.kind === "running" ? second.operation : "")).toEqual({
      kind: "done",
      result: undefined,
    });
    replies[`POST ${DISK}/beginGetAccess`] = [{ status: 202 }];
    replies[`POST ${VM}/start`] = [{ status: 202 }];
    await expect(resourceManager.begin({ kind: "act", id: DISK, action: "beginGetAccess" })).rejects.toMatchObject({
      code: "azure-answer-invalid",
    });
    await expect(resourceManager.begin({ kind: "act", id: VM, action: "start" })).rejects.toMatchObject({
      code: "azure-answer-invalid",
    });
  });

  it("success that is told is believed when the resource shows it", async () => {
    const operation = await begun();
    replies["GET /op"] = [{ status: 200, body: { status: "Succeeded" } }];
    replies[`GET ${DISK}`] = [inState("Updating"), inState("Succeeded")];
    const looked = await resourceManager.look(operation);
    expect(looked).toMatchObject({ kind: "running" });
    expect(await resourceManager.look(looked.kind === "running" ? looked.operation : "")).toMatchObject({
      kind: "done",
    });
  });

  it("the address of an operation is asked as it was given, with its signature", async () => {
    const operation = await begun();
    replies["GET /op"] = [{ status: 200, body: { status: "InProgress" } }];
    await resourceManager.look(operation);
    expect(seen.at(-1)).toBe("GET /op?t=1&s=%2B&api-version=2026-03-02");
  });

  it("a state that is not known runs; one that failed without a reason failed", async () => {
    const operation = await begun();
    replies["GET /op"] = [
      { status: 200, body: { status: "NotYetSucceeded" } },
      { status: 200, body: { status: "Failed" } },
    ];
    expect(await resourceManager.look(operation)).toMatchObject({ kind: "running" });
    expect(await resourceManager.look(operation)).toMatchObject({
      kind: "failed",
      code: "azure-refused",
      retryable: false,
    });
  });

  it("a failed look is repeated by whoever looks; a forgotten operation is told by the resource", async () => {
    const operation = await begun();
    replies["GET /op"] = [{ status: 502, body: "<html>bad gateway</html>" }, { status: 404 }];
    replies[`GET ${DISK}`] = [inState("Succeeded")];
    await expect(resourceManager.look(operation)).rejects.toMatchObject({ code: "azure-unavailable", retryable: true });
    expect(await resourceManager.look(operation)).toMatchObject({ kind: "done" });
  });

  it("waits as long as Azure says, in seconds or until a date, within limits", async () => {
    const waits = ["7", "Thu, 26 Nov 2026 12:00:30 GMT", "0", "soon", "86400"];
    const found: number[] = [];
    for (const retryAfter of waits) {
      replies[`PUT ${DISK}`] = [asynchronous({ "Retry-After": retryAfter })];
      const progress = await put();
      found.push("retryAfterMs" in progress ? progress.retryAfterMs : -1);
    }
    expect(found).toEqual([7_000, 30_000, 0, 0, 600_000]);
  });

  it("throttling and a service that says when it is back are waits; one that does not is an outage", async () => {
    replies[`PUT ${DISK}`] = [
      { ...refused(429, "TooManyRequests"), headers: { "Retry-After": "9" } },
      { ...refused(503, "ServerBusy"), headers: { "Retry-After": "4" } },
      refused(503, "ServerBusy"),
    ];
    expect(await put()).toMatchObject({ kind: "busy", retryAfterMs: 9_000, azureCode: "TooManyRequests" });
    expect(await put()).toMatchObject({ kind: "busy", retryAfterMs: 4_000 });
    await expect(put()).rejects.toMatchObject({ code: "azure-unavailable" });
  });

  it("a throttled look goes on later with the same operation", async () => {
    const operation = await begun();
    replies["GET /op"] = [{ status: 429, headers: { "Retry-After": "3" } }];
    expect(await resourceManager.look(operation)).toEqual({ kind: "running", operation, retryAfterMs: 3_000 });
    replies["GET /op"] = [{ status: 429 }];
    expect(await resourceManager.look(operation)).toEqual({ kind: "running", operation, retryAfterMs: 10_000 });
  });

  it("a 409 is a wait while the resource is being changed, else a conflict", async () => {
    const no = refused(409, "OperationNotAllowed", "It is attached.");
    replies[`PUT ${DISK}`] = [no, no];
    replies[`GET ${DISK}`] = [inState("Updating"), inState("Succeeded")];
    expect(await put()).toMatchObject({ kind: "busy" });
    expect(await put()).toMatchObject({ kind: "failed", code: "azure-resource-conflict", message: "It is attached." });
  });

  it("Azure's words become codes of ours", async () => {
    const cases: readonly (readonly [Reply, string])[] = [
      [refused(409, "OperationNotAllowed", "exceeding approved Total Regional Cores quota"), "azure-quota-exceeded"],
      [refused(409, "SkuNotAvailable"), "azure-size-unavailable"],
      [refused(409, "ZonalAllocationFailed"), "azure-no-capacity"],
      [refused(403, "LinkedAuthorizationFailed"), "azure-not-authorized"],
      [refused(403, "RequestDisallowedByPolicy"), "azure-forbidden"],
      [refused(404, "SubscriptionNotFound"), "azure-not-authorized"],
      [refused(400, "InvalidResourceReference"), "azure-resource-missing"],
      [refused(409, "StorageAccountAlreadyTaken"), "azure-resource-conflict"],
      [refused(400, "PrivateIPAddressIsAllocated"), "azure-resource-conflict"],
      [refused(400, "InvalidParameter"), "azure-refused"],
      [refused(501, "NotSupportedByLocalCloud"), "azure-refused"],
    ];
    for (const [reply, code] of cases) {
      replies[`PUT ${DISK}`] = [reply];
      replies[`GET ${DISK}`] = [inState("Succeeded")];
      expect(await put()).toMatchObject({ kind: "failed", code });
    }
  });

  it("a NIC that is kept for a failed machine is free in three minutes", async () => {
    replies[`PUT ${VM}`] = [refused(400, "NicReservedForAnotherVm")];
    expect(await resourceManager.begin({ kind: "put", id: VM, body: {} })).toMatchObject({
      kind: "busy",
      retryAfterMs: 180_000,
    });
  });

  it("only a missing resource reads as missing: a subscription that nobody may see is an error", async () => {
    replies[`GET ${DISK}`] = [
      refused(404, "SubscriptionNotFound"),
      refused(404, "InvalidResourceType"),
      refused(404, "ParentResourceNotFound"),
    ];
    await expect(resourceManager.read(DISK)).rejects.toMatchObject({ code: "azure-not-authorized" });
    await expect(resourceManager.read(DISK)).rejects.toMatchObject({ code: "azure-refused" });
    expect(await resourceManager.read(DISK)).toBeUndefined();
  });

  it("rule 8: the token goes to Resource Manager only, whatever addresses answers name", async () => {
    const elsewhere = "http://127.0.0.1:9/op";
    replies[`PUT ${DISK}`] = [{ status: 202, headers: { Location: elsewhere } }];
    const progress = await put();
    const look = resourceManager.look(progress.kind === "running" ? progress.operation : "");
    await expect(look).rejects.toMatchObject({ code: "azure-answer-invalid", facts: { host: "127.0.0.1:9" } });
    const disks = "/subscriptions/s1/providers/Microsoft.Compute/disks";
    replies[`GET ${disks}`] = [{ status: 200, body: { value: [], nextLink: elsewhere } }];
    await expect(resourceManager.list(disks)).rejects.toMatchObject({ code: "azure-answer-invalid" });
    replies[`GET ${DISK}`] = [{ status: 307, headers: { Location: elsewhere } }];
    await expect(resourceManager.read(DISK)).rejects.toMatchObject({ code: "azure-refused" });
  });

  it("rule 8: an identity is never shown without https", async () => {
    const access = { kind: "identity", scope: "https://management.azure.com/.default" } as const;
    const inTheClear = openResourceManager({ endpoint: url, access }, { now: () => NOW });
    await expect(inTheClear.read(DISK)).rejects.toMatchObject({ code: "internal" });
    expect(seen).toEqual([]);
  });

  it("a listing that never ends is stopped", async () => {
    const disks = "/subscriptions/s1/providers/Microsoft.Compute/disks";
    replies[`GET ${disks}`] = Array.from({ length: 300 }, () => ({
      status: 200,
      body: { value: [{}], nextLink: `${url}${disks}?api-version=1` },
    }));
    await expect(resourceManager.list(disks)).rejects.toMatchObject({ code: "azure-answer-invalid" });
    expect(seen).toHaveLength(201);
  });

  it("nobody there is an outage; a type that nobody knows is a fault of ours", async () => {
    const nobody = openResourceManager(
      { endpoint: "http://127.0.0.1:9", access: { kind: "token", token: "secret" } },
      { now: () => NOW },
    );
    await expect(nobody.read(DISK)).rejects.toMatchObject({ code: "azure-unavailable", facts: { path: DISK } });
    await expect(
      resourceManager.read("/subscriptions/s1/providers/Microsoft.Quantum/workspaces"),
    ).rejects.toMatchObject({
      code: "not-supported",
    });
  });
});
