import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ResourceType } from "../../../resource-manager/engine/resource-type.ts";
import { TYPES } from "../../../resource-manager/types/table.ts";
import {
  ACCOUNT,
  GROUP,
  POLL,
  REGION,
  SUBSCRIPTION,
  type World,
  idOf,
  machineModel,
  makeDisk,
  makeNic,
  raw,
  startWorld,
} from "./world.ts";

/** A resource of every type, each with all that others show on it: a machine in use, and all that it needs. */
async function fill({ clients: { compute, network, storage } }: World): Promise<void> {
  const at = { location: REGION, tags: { kept: "yes" } };
  await storage.storageAccounts.create(
    GROUP,
    ACCOUNT,
    { ...at, sku: { name: "Standard_ZRS" }, kind: "StorageV2" },
    POLL,
  );
  const rule = { name: "ssh", protocol: "Tcp", access: "Allow", direction: "Inbound", priority: 100 } as const;
  const guard = await network.networkSecurityGroups.createOrUpdate(GROUP, "g", { ...at, securityRules: [rule] }, POLL);
  const address = await network.publicIPAddresses.createOrUpdate(
    GROUP,
    "a",
    { ...at, sku: { name: "Standard" } },
    POLL,
  );
  await makeNic(world, "n");
  const networkSecurityGroup = { id: guard.id ?? "" };
  const guarded = { addressPrefix: "10.0.0.0/24", networkSecurityGroup };
  await network.subnets.createOrUpdate(GROUP, "lab-vnet", "default", guarded, POLL);
  const subnet = { id: idOf("Microsoft.Network/virtualNetworks", "lab-vnet/subnets/default") };
  const ipConfigurations = [{ name: "primary", subnet, publicIPAddress: { id: address.id ?? "" } }];
  const nic = await network.networkInterfaces.createOrUpdate(
    GROUP,
    "n",
    { ...at, ipConfigurations, networkSecurityGroup },
    POLL,
  );
  const set = await compute.availabilitySets.createOrUpdate(GROUP, "s", { ...at, sku: { name: "Aligned" } });
  const [os, data] = [await makeDisk(world, "os"), await makeDisk(world, "data")];
  const creationData = { createOption: "Copy", sourceResourceId: await makeDisk(world, "copied") } as const;
  await compute.snapshots.createOrUpdate(GROUP, "snap", { ...at, creationData }, POLL);
  const model = { ...machineModel(nic.id ?? "", os, [data]), availabilitySet: { id: set.id ?? "" } };
  await compute.virtualMachines.createOrUpdate(GROUP, "vm", { ...at, ...model }, POLL);
  const extension = {
    location: REGION,
    publisher: "Microsoft.Azure.Extensions",
    typePropertiesType: "CustomScript",
    typeHandlerVersion: "2.1",
    protectedSettings: { commandToExecute: "run program" },
  };
  await compute.virtualMachineExtensions.createOrUpdate(GROUP, "vm", "program", extension, POLL);
}

type Json = Readonly<Record<string, unknown>>;

let world: World;
beforeAll(async () => {
  world = await startWorld();
  await fill(world);
});
afterAll(() => world.stop());

const urlOf = (id: string, { apiVersion, views }: ResourceType): string =>
  `${id}?api-version=${apiVersion}${views?.["instanceView"] === undefined ? "" : "&$expand=instanceView"}`;

/** The ids of all resources of a type: those of a group, or below each resource of the type that it stands in. */
async function idsOf({ name, apiVersion }: ResourceType): Promise<readonly string[]> {
  const [, , child] = name.split("/");
  const group = `/subscriptions/${SUBSCRIPTION}/resourceGroups`;
  const parents = TYPES.filter((type) => child !== undefined && name === `${type.name}/${child}`);
  const folders =
    name === "Microsoft.Resources/resourceGroups"
      ? [group]
      : parents[0] === undefined
        ? [`${group}/${GROUP}/providers/${name}`]
        : (await idsOf(parents[0])).map((id) => `${id}/${child}`);
  const ids: string[] = [];
  for (const folder of folders) {
    const { body } = await raw(world, "GET", `${folder}?api-version=${apiVersion}`);
    ids.push(...((body?.["value"] ?? []) as readonly { readonly id: string }[]).map(({ id }) => id));
  }
  return ids;
}

async function read(id: string, type: ResourceType): Promise<Json> {
  const { status, body } = await raw(world, "GET", urlOf(id, type));
  expect(status).toBe(200);
  return body ?? {};
}

/** Writes it, and waits until that has ended. */
async function write(id: string, type: ResourceType, body: Json): Promise<void> {
  const answer = await raw(world, "PUT", urlOf(id, type), body);
  expect([id, answer.status < 300 ? "accepted" : answer.body]).toEqual([id, "accepted"]);
  for (;;) {
    const { properties } = (await read(id, type)) as { readonly properties?: Json };
    const state = properties?.["provisioningState"];
    if (state === undefined || state === "Succeeded") return;
    if (state === "Failed") throw new Error(`${id} failed.`);
  }
}

/** Without what changes by itself: every write makes another ETag, and an instance view says when it was asked for. */
function lasting(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lasting);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => name !== "etag" && name !== "time");
  return Object.fromEntries(entries.map(([name, inner]) => [name, lasting(inner)]));
}

describe("what was read can be written again, as it was answered, and nothing is changed by it", () => {
  it.each(TYPES)("$name", async (type) => {
    const ids = await idsOf(type);
    expect(ids.length).toBeGreaterThan(0);
    for (const id of ids) {
      const before = await read(id, type);
      await write(id, type, before);
      expect(lasting(await read(id, type))).toEqual(lasting(before));
    }
  });
});

it("a resource shows those that reference it until they are gone, whatever a client sends back", async () => {
  const shown = TYPES.flatMap(({ references = [] }) =>
    references.flatMap(({ types, shownAs }) => (shownAs === undefined ? [] : types.map((type) => [type, shownAs]))),
  );
  expect(shown.length).toBeGreaterThan(5);
  const kept: { readonly id: string; readonly type: ResourceType; readonly body: Json; readonly name: string }[] = [];
  for (const [typeName, name = ""] of shown) {
    const type = TYPES.find((each) => each.name === typeName);
    if (type === undefined) throw new Error(`${typeName} is a type`);
    const [id = ""] = await idsOf(type);
    const body = await read(id, type);
    expect(body["properties"]).toHaveProperty(name);
    kept.push({ id, type, body, name });
  }
  const { compute, network } = world.clients;
  await compute.virtualMachines.delete(GROUP, "vm", POLL);
  await compute.availabilitySets.delete(GROUP, "s");
  await network.networkInterfaces.delete(GROUP, "n", POLL);
  const unguarded = { addressPrefix: "10.0.0.0/24" };
  await network.subnets.createOrUpdate(GROUP, "lab-vnet", "default", unguarded, POLL);
  const left = kept.filter(({ type: { name } }) => /publicIPAddresses|networkSecurityGroups|subnets/.test(name));
  expect(left.length).toBeGreaterThan(3);
  for (const { id, type, body, name } of left) {
    const { networkSecurityGroup: _, ...properties } = body["properties"] as Json;
    await write(id, type, { ...body, properties });
    expect((await read(id, type))["properties"]).not.toHaveProperty(name);
  }
});
