import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ACCOUNT,
  GROUP,
  idOf,
  machineModel,
  makeDisk,
  makeNic,
  POLL,
  raw,
  type RawAnswer,
  REGION,
  startWorld,
  SUBSCRIPTION,
  type World,
} from "./world.ts";

const NETWORK = "api-version=2026-01-01";
const COMPUTE = "api-version=2026-04-01";
const DISK = "api-version=2026-03-02";
const GROUPS = "api-version=2025-04-01";
const STORAGE = "api-version=2026-09-01";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const errorOf = ({ body }: RawAnswer): unknown => (body?.["error"] as { readonly code?: string } | undefined)?.code;
const disk = (name: string): string => `${idOf("Microsoft.Compute/disks", name)}?${DISK}`;
const account = `${idOf("Microsoft.Storage/storageAccounts", ACCOUNT)}?${STORAGE}`;
const propertiesOf = ({ body }: RawAnswer): Readonly<Record<string, unknown>> =>
  (body?.["properties"] ?? {}) as Readonly<Record<string, unknown>>;

describe("the file of a disk", () => {
  it("is chosen by the cloud alone: a uniqueId in a body is never taken", async () => {
    await makeDisk(world, "first");
    const first = await raw(world, "GET", disk("first"));
    const { uniqueId, timeCreated } = propertiesOf(first);
    // What was read is written again under another name, as templates do.
    expect((await raw(world, "PUT", disk("second"), { ...first.body, id: undefined, name: "second" })).status).toBe(
      202,
    );
    const second = await until(() => raw(world, "GET", disk("second")));
    expect(propertiesOf(second)["uniqueId"]).not.toBe(uniqueId);
    await world.clients.compute.disks.delete(GROUP, "first", POLL);
    const granted = await world.clients.compute.disks.grantAccess(
      GROUP,
      "second",
      { access: "Read", durationInSeconds: 60 },
      POLL,
    );
    expect((await fetch(granted.accessSAS ?? "", { method: "HEAD" })).status).toBe(200);
    await world.clients.compute.disks.revokeAccess(GROUP, "second", POLL);

    for (const path of ["../../escaped", "..%2Fescaped", "/tmp/escaped", "a/b"]) {
      const properties = {
        creationData: { createOption: "Empty" },
        diskSizeGB: 1,
        uniqueId: path,
        timeCreated: "2000-01-01T00:00:00Z",
      };
      expect((await raw(world, "PUT", disk("evil"), { location: REGION, properties })).status).toBe(202);
      const made = propertiesOf(await until(() => raw(world, "GET", disk("evil"))));
      expect(made["uniqueId"]).toMatch(/^[0-9a-f-]{36}$/);
      expect(made["timeCreated"]).not.toMatch(/^2000/);
      // And a change cannot do it either.
      expect((await raw(world, "PATCH", disk("evil"), { properties: { uniqueId: path } })).status).toBe(202);
      expect(propertiesOf(await until(() => raw(world, "GET", disk("evil"))))["uniqueId"]).toBe(made["uniqueId"]);
      await world.clients.compute.disks.delete(GROUP, "evil", POLL);
    }
    const names = await readdir(join(world.folder, "arm"), { recursive: true });
    expect(names.filter((name) => name.includes("escaped"))).toEqual([]);
    expect(await readdir(world.folder)).not.toContain("escaped.img");
    expect(timeCreated).toBeDefined();
  });
});

describe("what Azure answers", () => {
  it("takes a zone-redundant disk in a machine of any zone, and a zonal one in its own zone only", async () => {
    const make = (name: string, sku: string, zones?: readonly string[]) =>
      raw(world, "PUT", disk(name), {
        location: REGION,
        sku: { name: sku },
        zones,
        properties: { creationData: { createOption: "Empty" }, diskSizeGB: 1 },
      });
    await make("zrs", "Premium_ZRS");
    await make("zone-1", "Premium_LRS", ["1"]);
    await until(() => raw(world, "GET", disk("zone-1")));
    const nic = await makeNic(world, "zone-nic");
    const machine = (osDisk: string) =>
      world.clients.compute.virtualMachines.createOrUpdate(
        GROUP,
        "zonal",
        { ...machineModel(nic, idOf("Microsoft.Compute/disks", osDisk)), zones: ["2"] },
        POLL,
      );
    await expect(machine("zone-1")).rejects.toThrow("not in zone '2'");
    expect((await machine("zrs")).provisioningState).toBe("Succeeded");
  });

  it("shows no provisioningState of availability sets", async () => {
    const path = `${idOf("Microsoft.Compute/availabilitySets", "set")}?${COMPUTE}`;
    const made = await raw(world, "PUT", path, { location: REGION, sku: { name: "Aligned" }, properties: {} });
    expect([made.status, "provisioningState" in propertiesOf(made)]).toEqual([200, false]);
    expect(propertiesOf(await raw(world, "GET", path))).not.toHaveProperty("provisioningState");
  });

  it("reads an id behind a second slash, as arm-resources sends it", async () => {
    const id = idOf("Microsoft.Compute/disks", await makeDisk(world, "twice").then(() => "twice"));
    expect((await raw(world, "GET", `/${id}?${DISK}`)).body?.["name"]).toBe("twice");
    const found = await world.clients.resources.resources.getById(id, "2026-03-02");
    expect(found.name).toBe("twice");
  });

  it("says that a provider is not offered here, and that one does not exist only when that is so", async () => {
    for (const name of [
      "Microsoft.EventGrid/topics",
      "Microsoft.Web/sites",
      "Microsoft.Insights/components",
      "microsoft.authorization/locks",
    ]) {
      const answer = await raw(world, "GET", `${idOf(name, "x")}?${COMPUTE}`);
      expect([answer.status, errorOf(answer)]).toEqual([501, "NotSupportedByLocalCloud"]);
    }
    const unknown = await raw(world, "GET", `${idOf("Microsoft.Nothing/things", "x")}?${COMPUTE}`);
    expect([unknown.status, errorOf(unknown)]).toEqual([404, "InvalidResourceNamespace"]);
    const provider = (name: string) => raw(world, "GET", `/subscriptions/${SUBSCRIPTION}/providers/${name}?${GROUPS}`);
    expect([errorOf(await provider("Microsoft.Web")), errorOf(await provider("Contoso.Web"))]).toEqual([
      "NotSupportedByLocalCloud",
      "InvalidResourceNamespace",
    ]);
  });

  it("does what a PATCH asks for, or refuses it, and never answers 200 to what it ignores", async () => {
    await raw(world, "PUT", account, {
      location: REGION,
      sku: { name: "Standard_ZRS" },
      kind: "StorageV2",
      properties: { a: 1 },
    });
    await until(() => raw(world, "GET", account));
    const patched = await raw(world, "PATCH", account, {
      tags: { t: "1" },
      properties: { allowSharedKeyAccess: false },
    });
    expect(patched).toMatchObject({
      status: 200,
      body: { tags: { t: "1" }, properties: { allowSharedKeyAccess: false, a: 1 } },
    });
    expect(patched.headers.get("location")).toBeNull();
    expect(propertiesOf(await raw(world, "GET", account))).toMatchObject({
      allowSharedKeyAccess: false,
      provisioningState: "Succeeded",
    });

    const group = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}?${GROUPS}`;
    const changed = await raw(world, "PATCH", group, { managedBy: "somebody", tags: { g: "1" } });
    expect([changed.status, changed.body?.["managedBy"], changed.body?.["tags"]]).toEqual([
      200,
      "somebody",
      { g: "1" },
    ]);
    expect((await raw(world, "GET", group)).body?.["managedBy"]).toBe("somebody");

    await makeNic(world, "patch-nic");
    const nic = `${idOf("Microsoft.Network/networkInterfaces", "patch-nic")}?${NETWORK}`;
    expect((await raw(world, "PATCH", nic, { tags: { n: "1" } })).body?.["tags"]).toEqual({ n: "1" });
    const beyond = await raw(world, "PATCH", nic, { tags: {}, properties: { enableIPForwarding: true } });
    expect([beyond.status, errorOf(beyond)]).toEqual([501, "NotSupportedByLocalCloud"]);
    expect((await raw(world, "GET", nic)).body?.["tags"]).toEqual({ n: "1" });
    const subnet = `${idOf("Microsoft.Network/virtualNetworks", "lab-vnet/subnets/default")}?${NETWORK}`;
    const never = await raw(world, "PATCH", subnet, { tags: {} });
    expect([never.status, errorOf(never)]).toEqual([501, "NotSupportedByLocalCloud"]);

    const machines = `/subscriptions/${SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines?${COMPUTE}`;
    expect((await raw(world, "GET", machines)).status).toBe(200);
    expect(errorOf(await raw(world, "GET", `${machines}&statusOnly=true`))).toBe("NotSupportedByLocalCloud");
  });

  it("limits deletes separately, reports a missing group before a missing resource, and makes an interface at once", async () => {
    const deleted = await raw(world, "DELETE", disk("never"));
    expect(deleted.headers.get("x-ms-ratelimit-remaining-subscription-deletes")).not.toBeNull();
    expect(deleted.headers.get("x-ms-ratelimit-remaining-subscription-writes")).toBeNull();
    const missing = await raw(world, "GET", disk("never").replace(GROUP, "No-RG"));
    expect([missing.status, errorOf(missing)]).toEqual([404, "ResourceGroupNotFound"]);
    expect(errorOf(await raw(world, "GET", disk("never")))).toBe("ResourceNotFound");

    await makeNic(world, "sync-nic");
    const path = `${idOf("Microsoft.Network/networkInterfaces", "sync-nic-2")}?${NETWORK}`;
    const subnet = { id: idOf("Microsoft.Network/virtualNetworks", "lab-vnet/subnets/default") };
    const body = { location: REGION, properties: { ipConfigurations: [{ name: "p", properties: { subnet } }] } };
    const made = await raw(world, "PUT", path, body);
    expect([made.status, propertiesOf(made)["provisioningState"], made.headers.get("azure-asyncoperation")]).toEqual([
      201,
      "Succeeded",
      null,
    ]);
    expect((await raw(world, "PUT", path, body)).status).toBe(200);
  });

  it("returns another Location with each poll of a storage account, and accepts each of them again", async () => {
    const slow = await startWorld({ pace: 1 });
    try {
      let nowMs = Date.now();
      slow.clock.now = () => nowMs;
      const body = { location: REGION, sku: { name: "Standard_ZRS" }, kind: "StorageV2", properties: {} };
      const locations = [(await raw(slow, "PUT", account, body)).headers.get("location") ?? ""];
      for (let poll = 0; poll < 3; poll++) {
        const answer = await raw(slow, "GET", locations.at(-1) ?? "");
        expect(answer.status).toBe(202);
        locations.push(answer.headers.get("location") ?? "");
      }
      expect(new Set(locations).size).toBe(4);
      expect((await raw(slow, "GET", (locations[3] ?? "").replace(/t=\d+/, "t=1"))).status).toBe(403);
      nowMs += 60_000;
      for (const location of locations) expect((await raw(slow, "GET", location)).status).toBe(200);
    } finally {
      await slow.stop();
    }
  });
});

/** Asks until the resource's last change is done. */
async function until(ask: () => Promise<RawAnswer>): Promise<RawAnswer> {
  for (;;) {
    const answer = await ask();
    if (["Succeeded", "Failed"].includes(String(propertiesOf(answer)["provisioningState"]))) return answer;
  }
}
