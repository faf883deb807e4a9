import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ComputeManagementClient, restorePoller } from "@azure/arm-compute";
import { ResourceManagementClient } from "@azure/arm-resources";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startResourceManager } from "../../../resource-manager/resource-manager.ts";
import {
  ACCOUNT,
  clientsOf,
  GROUP,
  idOf,
  machineModel,
  makeDisk,
  makeNic,
  POLL,
  raw,
  type RawAnswer,
  refusal,
  REGION,
  startWorld,
  SUBSCRIPTION,
  TOKEN,
  type World,
} from "./world.ts";

const NETWORK = "api-version=2026-01-01";
const COMPUTE = "api-version=2026-04-01";
const DISK = "api-version=2026-03-02";
const VNET = { location: REGION, properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] }, subnets: [] } };
const EMPTY = { location: REGION, properties: { creationData: { createOption: "Empty" }, diskSizeGB: 1 } };
const MACHINES = "Microsoft.Compute/virtualMachines";

let world: World;
/** The cloud's clock. Only tests move it, and operations take as long as on Azure. */
let nowMs = 1_800_000_000_000;
beforeAll(async () => {
  world = await startWorld({ pace: 1 });
  world.clock.now = () => nowMs;
});
afterAll(() => world.stop());
afterEach(() => {
  world.arm.faults.clear();
  nowMs += 3_600_000;
});

const vnet = (name: string): string => `${idOf("Microsoft.Network/virtualNetworks", name)}?${NETWORK}`;
const disk = (name: string): string => `${idOf("Microsoft.Compute/disks", name)}?${DISK}`;
const stateOf = ({ body }: RawAnswer): unknown =>
  (body?.["properties"] as { readonly provisioningState?: string } | undefined)?.provisioningState;
const errorOf = ({ body }: RawAnswer): { readonly code?: string; readonly message?: string } => body?.["error"] ?? {};
const header = (answer: RawAnswer, name: string): string => answer.headers.get(name) ?? "";

/** Polls the address of an operation until its work is done. */
async function decided(url: string, from: "status" | "result"): Promise<RawAnswer> {
  for (;;) {
    const answer = await raw(world, "GET", url);
    if (from === "status" ? answer.body?.["status"] !== "InProgress" : answer.status !== 202) return answer;
  }
}

describe("long-running operations", () => {
  it("of networks are reported by Azure-AsyncOperation: the body says Updating for as long as the operation says InProgress", async () => {
    const accepted = await raw(world, "PUT", vnet("v1"), VNET);
    expect(accepted.status).toBe(201);
    expect(accepted.headers.get("azure-asyncnotification")).toBe("Enabled");
    expect(accepted.headers.get("location")).toBeNull();
    expect(accepted.headers.get("retry-after")).toBeNull();
    expect(stateOf(accepted)).toBe("Updating");
    const operation = header(accepted, "azure-asyncoperation");
    expect((await raw(world, "GET", operation)).body).toEqual({ status: "InProgress" });
    expect(stateOf(await raw(world, "GET", vnet("v1")))).toBe("Updating");
    nowMs += 3_000;
    expect((await raw(world, "GET", operation)).body).toEqual({ status: "Succeeded" });
    expect(stateOf(await raw(world, "GET", vnet("v1")))).toBe("Succeeded");
  });

  it("have addresses of 3.3 to 3.5 kB, and one that was shortened on the way is refused", async () => {
    const operation = header(await raw(world, "PUT", vnet("v2"), VNET), "azure-asyncoperation");
    expect(operation.length).toBeGreaterThan(3_300);
    expect(operation.length).toBeLessThan(3_500);
    const refused = await raw(world, "GET", operation.slice(0, 2_048));
    expect([refused.status, errorOf(refused).code]).toEqual([403, "InvalidOperationSignature"]);
  });

  it("of machines show start, end and name; of disks they have both addresses; of accounts Location alone", async () => {
    const accepted = await raw(world, "PUT", disk("d1"), EMPTY);
    expect(accepted.status).toBe(202);
    const [operation, location] = [header(accepted, "azure-asyncoperation"), header(accepted, "location")];
    const running = await raw(world, "GET", operation);
    expect(running.body).toMatchObject({
      status: "InProgress",
      startTime: expect.stringMatching(/\+00:00$/) as string,
    });
    expect(running.body).not.toHaveProperty("endTime");
    const waiting = await raw(world, "GET", location);
    expect([waiting.status, waiting.headers.get("location")]).toEqual([202, location]);
    nowMs += 4_000;
    expect((await decided(operation, "status")).body).toMatchObject({
      status: "Succeeded",
      endTime: expect.any(String) as string,
    });
    expect(stateOf(await raw(world, "GET", location))).toBe("Succeeded");

    const account = `${idOf("Microsoft.Storage/storageAccounts", ACCOUNT)}?api-version=2026-09-01`;
    const made = await raw(world, "PUT", account, {
      location: REGION,
      sku: { name: "Standard_LRS" },
      kind: "StorageV2",
    });
    expect([made.status, made.body, made.headers.get("azure-asyncoperation")]).toEqual([202, undefined, null]);
    nowMs += 15_000;
    expect(stateOf(await raw(world, "GET", header(made, "location")))).toBe("Succeeded");
  });

  it("always have a Location or an Azure-AsyncOperation behind a 202: without one the SDK would consider it done", async () => {
    const answers: RawAnswer[] = [];
    await raw(world, "PUT", disk("d2"), EMPTY);
    nowMs += 4_000;
    await decidedDisk("d2");
    answers.push(
      await raw(world, "POST", `${idOf("Microsoft.Compute/disks", "d2")}/beginGetAccess?${DISK}`, {
        access: "Read",
        durationInSeconds: 60,
      }),
    );
    nowMs += 4_000;
    answers.push(await raw(world, "POST", `${idOf("Microsoft.Compute/disks", "d2")}/endGetAccess?${DISK}`));
    nowMs += 4_000;
    answers.push(await raw(world, "DELETE", disk("d2")));
    await raw(world, "PUT", `/subscriptions/${SUBSCRIPTION}/resourceGroups/short?api-version=2025-04-01`, {
      location: REGION,
    });
    answers.push(
      await raw(world, "DELETE", `/subscriptions/${SUBSCRIPTION}/resourceGroups/short?api-version=2025-04-01`),
    );
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202]);
    for (const answer of answers)
      expect(header(answer, "location") || header(answer, "azure-asyncoperation")).not.toBe("");
  });

  it("that fail carry an error in every form, and the resource says Failed", async () => {
    world.arm.faults.add({
      phase: "async",
      type: "Microsoft.Compute/disks",
      times: 1,
      code: "DiskTrouble",
      message: "On purpose.",
    });
    const accepted = await raw(world, "PUT", disk("broken"), EMPTY);
    nowMs += 4_000;
    const status = await raw(world, "GET", header(accepted, "azure-asyncoperation"));
    expect(status.body).toMatchObject({ status: "Failed", error: { code: "DiskTrouble", message: "On purpose." } });
    const result = await raw(world, "GET", header(accepted, "location"));
    expect(result.status).toBe(409);
    expect(errorOf(result)).toEqual({ code: "DiskTrouble", message: "On purpose." });
    expect(stateOf(await raw(world, "GET", disk("broken")))).toBe("Failed");
    // The same PUT again repairs it.
    await raw(world, "PUT", disk("broken"), EMPTY);
    nowMs += 4_000;
    await decidedDisk("broken");
    expect(stateOf(await raw(world, "GET", disk("broken")))).toBe("Succeeded");
  });

  it("refuse a second change of the same resource with 409, also that of a subnet of a network", async () => {
    await raw(world, "PUT", vnet("busy"), VNET);
    const again = await raw(world, "PUT", vnet("busy"), VNET);
    expect([again.status, errorOf(again).code]).toEqual([409, "AnotherOperationInProgress"]);
    const subnet = `${idOf("Microsoft.Network/virtualNetworks", "busy/subnets/s")}?${NETWORK}`;
    expect((await raw(world, "PUT", subnet, { properties: { addressPrefix: "10.0.0.0/24" } })).status).toBe(409);
    nowMs += 3_000;
    expect((await raw(world, "PUT", subnet, { properties: { addressPrefix: "10.0.0.0/24" } })).status).toBe(201);
    const early = {
      location: REGION,
      properties: { ipConfigurations: [{ name: "p", properties: { subnet: { id: subnet.split("?")[0] } } }] },
    };
    const nic = await raw(world, "PUT", `${idOf("Microsoft.Network/networkInterfaces", "early")}?${NETWORK}`, early);
    expect([nic.status, errorOf(nic).code, nic.headers.get("retry-after")]).toEqual([429, "RetryableError", "1"]);
  });

  it("go on in another process from a serialized poller", async () => {
    const { compute } = world.clients;
    const creationData = { createOption: "Empty" } as const;
    const poller = compute.disks.createOrUpdate(
      GROUP,
      "carried",
      { location: REGION, creationData, diskSizeGB: 1 },
      POLL,
    );
    await poller.submitted();
    const state = await poller.serialize();
    nowMs += 4_000;
    const other = clientsOf(world.arm.url).compute;
    const carried = await restorePoller(other, state, other.disks.createOrUpdate, POLL);
    expect(carried).toMatchObject({ name: "carried", provisioningState: "Succeeded" });
  });
});

async function decidedDisk(name: string): Promise<void> {
  while (stateOf(await raw(world, "GET", disk(name))) === "Updating");
}

describe("requests", () => {
  it("need a token, an api-version of their type and the subscription of this cloud", async () => {
    const path = idOf("Microsoft.Network/virtualNetworks", "v");
    const noToken = await fetch(`${world.arm.url}${path}?${NETWORK}`);
    expect([noToken.status, noToken.headers.get("www-authenticate")]).toEqual([401, 'Bearer error="invalid_token"']);
    expect((await raw(world, "GET", `${path}?${NETWORK}`, undefined, { authorization: "Bearer other" })).status).toBe(
      401,
    );
    expect(errorOf(await raw(world, "GET", path)).code).toBe("MissingApiVersionParameter");
    expect(errorOf(await raw(world, "GET", `${path}?${COMPUTE}`)).code).toBe("NoRegisteredProviderFound");
    expect(errorOf(await raw(world, "GET", path.replace(SUBSCRIPTION, "other") + `?${NETWORK}`)).code).toBe(
      "SubscriptionNotFound",
    );
    expect(errorOf(await raw(world, "GET", `${idOf("Microsoft.Network/loadBalancers", "x")}?${NETWORK}`)).code).toBe(
      "NotSupportedByLocalCloud",
    );
    expect(errorOf(await raw(world, "GET", `${idOf("Contoso.Network/things", "x")}?${NETWORK}`)).code).toBe(
      "InvalidResourceNamespace",
    );
    expect((await raw(world, "GET", `/subscriptions/%E0%A4%A?${NETWORK}`)).status).toBe(400);
  });

  it("take ids in any case and answer the names as they were first written", async () => {
    await raw(world, "PUT", vnet("Mixed"), VNET);
    nowMs += 3_000;
    const loud = await raw(
      world,
      "GET",
      vnet("MIXED").replace(/\/subscriptions.*\?/, (path) => path.toUpperCase()),
    );
    expect([loud.status, loud.body?.["id"]]).toEqual([200, idOf("Microsoft.Network/virtualNetworks", "Mixed")]);
    const moved = await raw(world, "PUT", vnet("mixed"), { ...VNET, location: "West Europe" });
    expect([moved.status, errorOf(moved).code]).toEqual([409, "InvalidResourceLocation"]);
    const nowhere = await raw(world, "PUT", vnet("new"), { ...VNET, location: "mars" });
    expect([nowhere.status, errorOf(nowhere).code]).toEqual([400, "LocationNotAvailableForResourceType"]);
    const lost = await raw(world, "PUT", vnet("x").replace(GROUP, "No-RG"), VNET);
    expect([lost.status, errorOf(lost).code]).toEqual([404, "ResourceGroupNotFound"]);
  });

  it("obey If-Match and If-None-Match, and a delete of what is not there answers 204", async () => {
    await raw(world, "PUT", vnet("tagged"), VNET);
    nowMs += 3_000;
    const { body, headers } = await raw(world, "GET", vnet("tagged"));
    expect(headers.get("etag")).toBe(body?.["etag"]);
    expect(errorOf(await raw(world, "PUT", vnet("tagged"), VNET, { "if-match": '"other"' })).code).toBe(
      "PreconditionFailed",
    );
    expect((await raw(world, "PUT", vnet("tagged"), VNET, { "if-none-match": "*" })).status).toBe(412);
    expect((await raw(world, "PUT", vnet("tagged"), VNET, { "if-match": String(body?.["etag"]) })).status).toBe(200);
    expect((await raw(world, "DELETE", vnet("never"))).status).toBe(204);
  });

  it("are listed page by page", async () => {
    const small = await startWorld({ pageCount: 2 });
    onTestFinished(() => small.stop());
    for (const name of ["a", "b", "c", "d", "e"]) await raw(small, "PUT", vnet(name), VNET);
    const pages: string[][] = [];
    for await (const page of small.clients.network.virtualNetworks.list(GROUP).byPage())
      pages.push(page.map(({ name }) => name ?? ""));
    expect(pages).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  });

  it("never show what the cloud keeps for itself", async () => {
    const { body } = await raw(world, "GET", disk("d1"));
    const known = ["id", "location", "name", "properties", "sku", "tags", "type"];
    expect(Object.keys(body ?? {}).filter((name) => !known.includes(name))).toEqual([]);
    expect(JSON.stringify(body)).not.toMatch(/hidden|groupKey|parentKey|growsTo|lastError/);
  });
});

describe("faults on purpose", () => {
  it("refuse, throttle with Retry-After, and lose an answer whose effect stays", async () => {
    const { faults } = world.arm;
    faults.add({
      phase: "request",
      method: "PUT",
      name: "f",
      times: 1,
      status: 403,
      code: "AuthorizationFailed",
      message: "No.",
    });
    faults.add({ phase: "throttle", method: "PUT", name: "f", times: 1, retryAfterSeconds: 7 });
    const throttled = await raw(world, "PUT", vnet("f"), VNET);
    expect([throttled.status, throttled.headers.get("retry-after")]).toEqual([429, "7"]);
    const refused = await raw(world, "PUT", vnet("f"), VNET);
    expect([refused.status, errorOf(refused)]).toEqual([403, { code: "AuthorizationFailed", message: "No." }]);
    faults.add({ phase: "lost-answer", method: "PUT", name: "f", times: 1 });
    await expect(raw(world, "PUT", vnet("f"), VNET)).rejects.toThrow("fetch failed");
    expect((await raw(world, "GET", vnet("f"))).status).toBe(200);
  });

  it("leave a machine that could not be allocated as Failed, with its interface, disks and cores, until it is made again or deleted", async () => {
    const { compute } = await withFastClock();
    const model = machineModel(
      await makeNic(world, "alloc-nic"),
      await makeDisk(world, "alloc-os"),
      [],
      "Standard_D8s_v5",
    );
    world.arm.faults.add({
      phase: "async",
      method: "PUT",
      type: MACHINES,
      times: 1,
      code: "AllocationFailed",
      message: "No room.",
    });
    // The SDK's own words are all that a client gets: no code, no status.
    await expect(compute.virtualMachines.createOrUpdate(GROUP, "alloc", model, POLL)).rejects.toThrow(
      /has failed\. AllocationFailed\. No room\./,
    );
    const view = await compute.virtualMachines.instanceView(GROUP, "alloc");
    expect(view.statuses).toMatchObject([
      { code: "ProvisioningState/failed/AllocationFailed", level: "Error", message: "No room." },
    ]);
    expect((await compute.disks.get(GROUP, "alloc-os")).managedBy).toContain("/alloc");
    world.arm.setQuota(REGION, "standardDSv5Family", 8);
    const second = machineModel(await makeNic(world, "alloc-nic2"), await makeDisk(world, "alloc-os2"));
    const quota = await compute.virtualMachines
      .createOrUpdate(GROUP, "alloc2", second, POLL)
      .then(undefined, (error: unknown) => error);
    expect(quota).toEqual(refusal(409, "OperationNotAllowed"));
    expect(String(quota)).toContain("exceeding approved standardDSv5Family Cores quota");
    world.arm.setQuota(REGION, "standardDSv5Family", 50);
    expect((await compute.virtualMachines.createOrUpdate(GROUP, "alloc", model, POLL)).provisioningState).toBe(
      "Succeeded",
    );
    await compute.virtualMachines.delete(GROUP, "alloc", POLL);
    world.arm.setRestricted(REGION, "Standard_D8s_v5", true);
    await expect(compute.virtualMachines.createOrUpdate(GROUP, "alloc", model, POLL)).rejects.toEqual(
      refusal(409, "SkuNotAvailable"),
    );
    world.arm.setRestricted(REGION, "Standard_D8s_v5", false);
  });

  it("cut the connections of a region that is gone, whose operations stand still, and of no other", async () => {
    const operation = header(await raw(world, "PUT", vnet("far"), VNET), "azure-asyncoperation");
    world.arm.setReachable(REGION, false);
    nowMs += 60_000;
    await expect(raw(world, "GET", vnet("far"))).rejects.toThrow("fetch failed");
    await expect(raw(world, "PUT", vnet("new"), VNET)).rejects.toThrow("fetch failed");
    await expect(raw(world, "GET", operation)).rejects.toThrow("fetch failed");
    expect((await raw(world, "PUT", vnet("near"), { ...VNET, location: "westeurope" })).status).toBe(201);
    world.arm.setReachable(REGION, true);
    expect((await raw(world, "GET", operation)).body).toEqual({ status: "Succeeded" });
  });
});

/** For tests of many steps: each read of the clock advances it by the duration of a whole operation. */
async function withFastClock(): Promise<World["clients"]> {
  world.clock.now = () => (nowMs += 30_000);
  return Promise.resolve(world.clients);
}

it("a disk stays as it is while it is copied: its machine cannot start", async () => {
  const { compute } = await withFastClock();
  const [nic, source] = [await makeNic(world, "copy-nic"), await makeDisk(world, "copied")];
  await compute.virtualMachines.createOrUpdate(GROUP, "copy-vm", machineModel(nic, source), POLL);
  await compute.virtualMachines.powerOff(GROUP, "copy-vm", POLL);
  world.clock.now = () => nowMs;
  const snapshot = `${idOf("Microsoft.Compute/snapshots", "copy")}?${DISK}`;
  const creationData = { createOption: "Copy", sourceResourceId: source };
  expect((await raw(world, "PUT", snapshot, { location: REGION, properties: { creationData } })).status).toBe(202);
  const start = await raw(world, "POST", `${idOf(MACHINES, "copy-vm")}/start?${COMPUTE}`);
  expect([start.status, errorOf(start).code]).toEqual([409, "Conflict"]);
  nowMs += 4_000;
  await expect.poll(async () => stateOf(await raw(world, "GET", snapshot)), { timeout: 100_000 }).toBe("Succeeded");
  expect((await raw(world, "POST", `${idOf(MACHINES, "copy-vm")}/start?${COMPUTE}`)).status).toBe(202);
});

describe("state on disk", () => {
  it("survives a restart: resources and operations under way, and no change is left half done", async () => {
    world.clock.now = () => nowMs;
    const accepted = await raw(world, "PUT", disk("kept"), EMPTY);
    await world.restart();
    const operation = header(accepted, "azure-asyncoperation");
    expect((await raw(world, "GET", operation)).body?.["status"]).toBe("InProgress");
    nowMs += 4_000;
    expect((await decided(operation, "status")).body?.["status"]).toBe("Succeeded");
    expect((await raw(world, "GET", disk("kept"))).body).toMatchObject({ properties: { diskSizeBytes: 1024 ** 3 } });
    // Refused half-way: the removal of a subnet, which came first, is undone.
    const subnets = [{ name: "one", properties: { addressPrefix: "10.0.0.0/24" } }];
    await raw(world, "PUT", vnet("whole"), { ...VNET, properties: { ...VNET.properties, subnets } });
    nowMs += 3_000;
    const guarded = {
      name: "two",
      properties: {
        addressPrefix: "10.0.1.0/24",
        networkSecurityGroup: { id: idOf("Microsoft.Network/networkSecurityGroups", "no") },
      },
    };
    expect(
      (await raw(world, "PUT", vnet("whole"), { ...VNET, properties: { ...VNET.properties, subnets: [guarded] } }))
        .status,
    ).toBe(400);
    expect(JSON.stringify((await raw(world, "GET", vnet("whole"))).body)).toContain("/subnets/one");
  });
});

it("an installation that the end of the cloud interrupts is done after its next start", async () => {
  const { compute } = await withFastClock();
  const model = machineModel(await makeNic(world, "cut-nic"), await makeDisk(world, "cut-os"));
  await compute.virtualMachines.createOrUpdate(GROUP, "cut-vm", model, POLL);
  world.clock.now = () => nowMs;
  const properties = {
    publisher: "Microsoft.Azure.Extensions",
    type: "CustomScript",
    typeHandlerVersion: "2.1",
    protectedSettings: { commandToExecute: "run cut-program" },
  };
  const path = `${idOf(MACHINES, "cut-vm/extensions/program")}?${COMPUTE}`;
  const accepted = await raw(world, "PUT", path, { properties });
  await world.restart();
  nowMs += 20_000;
  expect((await decided(header(accepted, "azure-asyncoperation"), "status")).body?.["status"]).toBe("Succeeded");
  expect(world.arm.machineOf(idOf(MACHINES, "cut-vm"))?.program?.running).toBe(true);
});

const hasOpenssl = await promisify(execFile)("openssl", ["version"]).then(
  () => true,
  () => false,
);

describe("over HTTPS", () => {
  it.skipIf(!hasOpenssl)(
    "the clients work with their own bearer tokens and a certificate of one's own (skipped without openssl)",
    async () => {
      const [key, cert] = [join(world.folder, "key.pem"), join(world.folder, "cert.pem")];
      const names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
      await promisify(execFile)("openssl", [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
        "-keyout",
        key,
        "-out",
        cert,
        ...names,
      ]);
      const tls = { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
      const arm = await startResourceManager({
        folder: join(world.folder, "https"),
        persistence: "memory",
        port: 0,
        tls,
        subscriptionId: SUBSCRIPTION,
        token: TOKEN,
        accounts: [],
        now: () => Date.now(),
        pace: 0,
      });
      try {
        const credential = {
          getToken: () => Promise.resolve({ token: TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 }),
        };
        const options = { endpoint: arm.url, tlsOptions: { ca: tls.cert }, retryOptions: { maxRetries: 0 } };
        await new ResourceManagementClient(credential, SUBSCRIPTION, options).resourceGroups.createOrUpdate(GROUP, {
          location: REGION,
        });
        const compute = new ComputeManagementClient(credential, SUBSCRIPTION, options);
        const made = await compute.disks.createOrUpdate(
          GROUP,
          "d",
          { location: REGION, creationData: { createOption: "Empty" }, diskSizeGB: 1 },
          POLL,
        );
        expect(made.provisioningState).toBe("Succeeded");
        const plain = new ComputeManagementClient(credential, SUBSCRIPTION, {
          endpoint: world.arm.url,
          allowInsecureConnection: true,
        });
        await expect(plain.disks.get(GROUP, "d1")).rejects.toThrow("Bearer token authentication is not permitted");
      } finally {
        await arm.close();
      }
    },
  );
});
