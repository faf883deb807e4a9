import { beforeEach, describe, expect, it } from "vitest";
import {
  changeNetworkMapping,
  deleteNetworkMapping,
  listNetworkMappings,
  mapNetworks,
  showNetworkMapping,
} from "../../functions/routes/network-mappings.ts";
import { deletePolicy, listPolicies, putPolicy, showPolicy } from "../../functions/routes/policies.ts";
import { protectItem as protectItemFunction } from "../../functions/routes/protected-items.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { POLICIES_MAX_COUNT } from "../../replication/limits.ts";
import { changeItem, readItem } from "../../replication/records/item-record.ts";
import { type Answer, type AppInMemory, appInMemory, call } from "./app-under-test.ts";

let app: AppInMemory;
beforeEach(() => {
  app = appInMemory();
});
const errorOf = ({ status, body }: Answer): readonly [number, string] => [
  status,
  (body as { error: { code: string } }).error.code,
];

describe("replication policies", () => {
  const put = (policy: string, body: object = {}): Promise<Answer> =>
    call(putPolicy(app.source), { params: { policy }, body });
  const show = (policy: string): Promise<Answer> => call(showPolicy(app.source), { params: { policy } });
  const remove = (policy: string): Promise<Answer> => call(deletePolicy(app.source), { params: { policy } });
  const itemWith = async (itemId: string, policyName: string): Promise<void> => {
    await protectItem(app.source(), {
      itemId,
      disks: [{ id: "os", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 }],
      policy: undefined,
    });
    await changeItem(app.stores, itemId, (item) => ({ ...item, policyName }));
  };

  it("are made with Site Recovery's defaults, changed field by field, listed and deleted", async () => {
    const made = {
      name: "daily",
      recoveryPointHistory: 1440,
      crashConsistentFrequencyInMinutes: 5,
      appConsistentFrequencyInMinutes: 0,
    };
    expect(await put("daily")).toMatchObject({ status: 201, body: made });
    expect(await put("daily", { recoveryPointHistory: 2880 })).toMatchObject({
      status: 200,
      body: { ...made, recoveryPointHistory: 2880 },
    });
    await put("a-second");
    expect((await call(listPolicies(app.source), {})).body).toMatchObject({
      value: [{ name: "a-second" }, { name: "daily", recoveryPointHistory: 2880 }],
    });
    expect(await remove("daily")).toMatchObject({ status: 204, body: null });
    expect(await remove("daily")).toMatchObject({ status: 204 });
    expect(errorOf(await show("daily"))).toEqual([404, "policy-unknown"]);
  });

  it("act on every item that has them, and on no other", async () => {
    await put("gold");
    await itemWith("web-1", "gold");
    await itemWith("web-2", "silver");
    await put("gold", { crashConsistentFrequencyInMinutes: 10, appConsistentFrequencyInMinutes: 60 });
    const changed = { pointIntervalMs: 600_000, retentionMs: 86_400_000, appConsistentIntervalMs: 3_600_000 };
    expect((await readItem(app.stores, "web-1")).item.policy).toEqual(changed);
    expect((await readItem(app.stores, "web-2")).item.policy.pointIntervalMs).toBe(300_000);
  });

  it("are followed by an item that names one, until it has one of its own; both at once are refused", async () => {
    await put("gold", { crashConsistentFrequencyInMinutes: 10 });
    const disks = [{ id: "os", sizeBytes: 1024 * 1024 }];
    const protect = (body: object) =>
      call(protectItemFunction(app.source), { params: { item: "web-1" }, body: { disks, ...body } });
    expect(await protect({ policyName: "gold" })).toMatchObject({
      status: 201,
      body: { policyName: "gold", policy: { crashConsistentFrequencyInMinutes: 10 } },
    });
    await put("gold", { crashConsistentFrequencyInMinutes: 20 });
    expect(await protect({})).toMatchObject({
      body: { policyName: "gold", policy: { crashConsistentFrequencyInMinutes: 20 } },
    });
    const own = await protect({ policy: { crashConsistentFrequencyInMinutes: 20 } });
    expect(own.body).not.toHaveProperty("policyName");
    expect(await remove("gold")).toMatchObject({ status: 204 });
    expect(errorOf(await protect({ policyName: "gold" }))).toEqual([404, "policy-unknown"]);
    expect(errorOf(await protect({ policyName: "gold", policy: {} }))).toEqual([400, "invalid-request"]);
  });

  it("stay while an item has them", async () => {
    await put("gold");
    await itemWith("web-1", "gold");
    expect(errorOf(await remove("gold"))).toEqual([409, "in-use"]);
    expect(await show("gold")).toMatchObject({ status: 200 });
    await changeItem(app.stores, "web-1", ({ policyName: _left, ...item }) => item);
    expect(await remove("gold")).toMatchObject({ status: 204 });
  });

  it("are refused with a name or values that cannot be, and beyond their number", async () => {
    expect(errorOf(await put("Not A Name"))).toEqual([400, "invalid-request"]);
    expect(errorOf(await put("daily", { recoveryPointHistory: 21 * 24 * 60 }))).toEqual([400, "invalid-request"]);
    expect(errorOf(await put("daily", { recoveryPointHistroy: 60 }))).toEqual([400, "invalid-request"]);
    expect(errorOf(await show("daily"))).toEqual([404, "policy-unknown"]);
    for (let count = 0; count < POLICIES_MAX_COUNT; count += 1) await put(`policy-${count}`);
    expect(errorOf(await put("daily"))).toEqual([400, "invalid-request"]);
    expect(await put("policy-7", { recoveryPointHistory: 60 })).toMatchObject({ status: 200 });
  });

  it("of two requests for one new name: both end well, one of them has made it", async () => {
    const statuses = (
      await Promise.all([put("gold", { recoveryPointHistory: 60 }), put("gold", { recoveryPointHistory: 60 })])
    ).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200, 201]));
  });
});

describe("network mappings", () => {
  const network = (name: string): string =>
    `/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/${name}`;
  const map = (from: string, to: string, recoveryRegion = "northeurope"): Promise<Answer> =>
    call(mapNetworks(app.source), {
      body: {
        primaryNetworkId: network(from),
        primaryRegion: "westeurope",
        recoveryNetworkId: network(to),
        recoveryRegion,
      },
    });
  const nameOf = ({ body }: Answer): string => (body as { name: string }).name;
  const list = async (): Promise<readonly (readonly [string, string])[]> => {
    const { value } = (await call(listNetworkMappings(app.source), {})).body as {
      value: { primaryNetworkId: string; recoveryNetworkId: string }[];
    };
    return value.map((each) => [
      each.primaryNetworkId.split("/").at(-1) ?? "",
      each.recoveryNetworkId.split("/").at(-1) ?? "",
    ]);
  };
  const change = (mapping: string, to: string): Promise<Answer> =>
    call(changeNetworkMapping(app.source), { params: { mapping }, body: { recoveryNetworkId: network(to) } });
  const remove = (mapping: string): Promise<Answer> => call(deleteNetworkMapping(app.source), { params: { mapping } });

  it("lead there and back, once", async () => {
    const made = await map("a", "b");
    expect(made).toMatchObject({
      status: 201,
      body: { primaryNetworkId: network("a"), recoveryRegion: "northeurope" },
    });
    expect(await map("A", "B", "North Europe")).toMatchObject({ status: 200, body: { name: nameOf(made) } });
    expect(await list()).toEqual([
      ["a", "b"],
      ["b", "a"],
    ]);
    expect((await call(showNetworkMapping(app.source), { params: { mapping: nameOf(made) } })).body).toEqual(made.body);
  });

  it("change their target once the way back is gone", async () => {
    const name = nameOf(await map("a", "b"));
    expect(errorOf(await map("a", "c"))).toEqual([409, "operation-not-allowed"]);
    expect(errorOf(await change(name, "c"))).toEqual([409, "operation-not-allowed"]);
    const { value } = (await call(listNetworkMappings(app.source), {})).body as { value: { name: string }[] };
    const back = value.find((each) => each.name !== name)?.name ?? "";
    expect(await remove(back)).toMatchObject({ status: 204 });
    expect(await remove(back)).toMatchObject({ status: 204 });
    expect(await change(name, "c")).toMatchObject({ status: 200, body: { name, recoveryNetworkId: network("c") } });
    expect(await list()).toEqual([
      ["a", "c"],
      ["c", "a"],
    ]);
  });

  it("are refused inside one region, for what is no network, and by an unknown name", async () => {
    expect(errorOf(await map("a", "b", "West Europe"))).toEqual([400, "invalid-request"]);
    expect(errorOf(await map("a/subnets/x", "b"))).toEqual([400, "invalid-request"]);
    expect(errorOf(await change("0".repeat(32), "b"))).toEqual([404, "mapping-unknown"]);
    expect(errorOf(await call(showNetworkMapping(app.source), { params: { mapping: "x" } }))).toEqual([
      404,
      "mapping-unknown",
    ]);
    expect(await list()).toEqual([]);
  });

  it("made at the same time are all there", async () => {
    await Promise.all(["a", "c", "e"].map((from) => map(from, `${from}-copy`)));
    expect(await list()).toHaveLength(6);
  });
});
