import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
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
  TOKEN,
  type World,
} from "./world.ts";

const NETWORK = "api-version=2026-01-01";
const DISK = "api-version=2026-03-02";
const COMPUTE = "api-version=2026-04-01";
const GROUPS = "api-version=2025-04-01";
const SECOND_MS = 1_000;

let world: World;
/** The cloud's clock. Only tests move it. */
let nowMs = Date.now();
beforeAll(async () => {
  world = await startWorld({ pageCount: 2 });
  world.clock.now = () => nowMs;
});
afterAll(() => world.stop());
afterEach(() => {
  world.arm.faults.clear();
  world.arm.setReachable(REGION, true);
});

const errorOf = ({ body }: RawAnswer): string =>
  String((body?.["error"] as { readonly code?: string } | undefined)?.code);
const disk = (name: string): string => `${idOf("Microsoft.Compute/disks", name)}?${DISK}`;
const group = (name: string): string => `/subscriptions/${SUBSCRIPTION}/resourceGroups/${name}`;

async function names(path: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (let next: string | undefined = path; next !== undefined;) {
    const { body } = await raw(world, "GET", next);
    found.push(...((body?.["value"] ?? []) as readonly { readonly name: string }[]).map(({ name }) => name));
    next = body?.["nextLink"] as string | undefined;
  }
  return found;
}

async function removeDisk(name: string): Promise<void> {
  await world.clients.compute.disks.delete(GROUP, name, POLL);
}

describe("stale listings", () => {
  const listing = (): Promise<readonly string[]> => names(`${group(GROUP)}/resources?${GROUPS}`);

  it("lack what was made a moment ago and show what was deleted a moment ago, page by page, while reads are exact", async () => {
    for (const name of ["list-a", "list-c", "list-e"]) await makeDisk(world, name);
    world.arm.faults.staleLists({ addedMs: 60 * SECOND_MS, removedMs: 30 * SECOND_MS });
    await makeDisk(world, "list-b");
    await removeDisk("list-c");
    const stale = ["list-a", "list-c", "list-e"];
    expect(await listing()).toEqual(stale);
    expect(await names(`${group(GROUP)}/providers/Microsoft.Compute/disks?${DISK}`)).toEqual(stale);
    expect([
      (await raw(world, "GET", disk("list-b"))).status,
      (await raw(world, "GET", disk("list-c"))).status,
    ]).toEqual([200, 404]);
    nowMs += 30 * SECOND_MS;
    expect(await listing()).toEqual(["list-a", "list-e"]);
    nowMs += 30 * SECOND_MS;
    expect(await listing()).toEqual(["list-a", "list-b", "list-e"]);
  });

  it("are exact again at once when the switch is taken back", async () => {
    world.arm.faults.staleLists({ addedMs: 60 * SECOND_MS, removedMs: 60 * SECOND_MS });
    await makeDisk(world, "list-d");
    expect(await listing()).not.toContain("list-d");
    world.arm.faults.staleLists(undefined);
    expect(await listing()).toContain("list-d");
  });
});

describe("reads that lag", () => {
  it("do not find what was made a moment ago: alone, as a group, as a parent, and in each provider's words as a reference", async () => {
    world.arm.faults.lag({ addedMs: 20 * SECOND_MS, removedMs: 0 });
    await raw(world, "PUT", `${group("Lag-RG")}?${GROUPS}`, { location: REGION });
    expect((await raw(world, "GET", `${group("Lag-RG")}?${GROUPS}`)).status).toBe(404);
    expect((await raw(world, "HEAD", `${group("Lag-RG")}?${GROUPS}`)).status).toBe(404);
    const network = `${group("Lag-RG")}/providers/Microsoft.Network/virtualNetworks/lagging`;
    const body = { location: REGION, properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] } } };
    expect(errorOf(await raw(world, "PUT", `${network}?${NETWORK}`, body))).toBe("ResourceGroupNotFound");
    nowMs += 20 * SECOND_MS;
    expect((await raw(world, "PUT", `${network}?${NETWORK}`, body)).status).toBe(201);
    const subnet = { properties: { addressPrefix: "10.0.0.0/24" } };
    expect(errorOf(await raw(world, "PUT", `${network}/subnets/s?${NETWORK}`, subnet))).toBe("ParentResourceNotFound");
    nowMs += 20 * SECOND_MS;
    expect((await raw(world, "PUT", `${network}/subnets/s?${NETWORK}`, subnet)).status).toBe(201);
    const configuration = { name: "p", properties: { subnet: { id: `${network}/subnets/s` } } };
    const nic = `${group("Lag-RG")}/providers/Microsoft.Network/networkInterfaces/n`;
    const interfaceBody = { location: REGION, properties: { ipConfigurations: [configuration] } };
    expect(errorOf(await raw(world, "PUT", `${nic}?${NETWORK}`, interfaceBody))).toBe("InvalidResourceReference");
    nowMs += 20 * SECOND_MS;
    expect((await raw(world, "PUT", `${nic}?${NETWORK}`, interfaceBody)).status).toBe(201);
    const { location, ...properties } = machineModel(nic, idOf("Microsoft.Compute/disks", "list-a"));
    const machine = `${group("Lag-RG")}/providers/Microsoft.Compute/virtualMachines/vm?${COMPUTE}`;
    const early = await raw(world, "PUT", machine, { location, properties });
    expect([early.status, errorOf(early)]).toEqual([404, "NotFound"]);
  });

  it("see the resource itself in a change of it, and still find what was deleted a moment ago", async () => {
    world.arm.faults.lag({ type: "Microsoft.Compute/disks", addedMs: 10 * SECOND_MS, removedMs: 10 * SECOND_MS });
    const body = { location: REGION, properties: { creationData: { createOption: "Empty" }, diskSizeGB: 1 } };
    expect((await raw(world, "PUT", disk("lag"), body)).status).toBe(202);
    expect((await raw(world, "GET", disk("lag"))).status).toBe(404);
    expect(errorOf(await raw(world, "PUT", disk("lag"), body, { "if-none-match": "*" }))).toMatch(
      /^(PreconditionFailed|Conflict)$/,
    );
    await makeNic(world, "lag-nic");
    expect(
      (await raw(world, "GET", `${idOf("Microsoft.Network/networkInterfaces", "lag-nic")}?${NETWORK}`)).status,
    ).toBe(200);
    await decided("lag");
    nowMs += 10 * SECOND_MS;
    expect((await raw(world, "GET", disk("lag"))).status).toBe(200);
    await removeDisk("lag");
    expect((await raw(world, "GET", disk("lag"))).status).toBe(200);
    nowMs += 10 * SECOND_MS;
    expect((await raw(world, "GET", disk("lag"))).status).toBe(404);
  });

  /** Polls the listing, which does not lag here, until the disk is made. */
  async function decided(name: string): Promise<void> {
    for (;;) {
      const { body } = await raw(
        world,
        "GET",
        `${group(GROUP)}/providers/Microsoft.Compute/disks?${DISK}&$skiptoken=${idOf("Microsoft.Compute/disks", name).toLowerCase().slice(0, -1)}`,
      );
      const [first] = (body?.["value"] ?? []) as readonly {
        readonly name: string;
        readonly properties: { readonly provisioningState: string };
      }[];
      if (first?.name === name && first.properties.provisioningState === "Succeeded") return;
    }
  }
});

describe("uses that are released late", () => {
  it("keep an interface, a disk and a subnet in use for a while after their user is gone", async () => {
    const { compute, network } = world.clients;
    const [nic, os] = [await makeNic(world, "late-nic"), await makeDisk(world, "late-os")];
    await compute.virtualMachines.createOrUpdate(GROUP, "late-vm", machineModel(nic, os), POLL);
    world.arm.faults.lateReleases({ ms: 40 * SECOND_MS });
    await compute.virtualMachines.delete(GROUP, "late-vm", POLL);
    const early = await raw(world, "DELETE", `${nic}?${NETWORK}`);
    expect([early.status, errorOf(early)]).toEqual([400, "NicInUse"]);
    const held = await raw(world, "DELETE", disk("late-os"));
    expect([held.status, errorOf(held)]).toEqual([409, "OperationNotAllowed"]);
    const { location, ...properties } = machineModel(nic, os);
    expect(
      (
        await raw(world, "PUT", `${idOf("Microsoft.Compute/virtualMachines", "next")}?${COMPUTE}`, {
          location,
          properties,
        })
      ).status,
    ).toBe(409);
    nowMs += 40 * SECOND_MS;
    await network.networkInterfaces.delete(GROUP, "late-nic", POLL);
    const subnet = `${idOf("Microsoft.Network/virtualNetworks", "lab-vnet/subnets/default")}?${NETWORK}`;
    // An interface of an earlier test uses the subnet too: it is deleted first.
    await network.networkInterfaces.delete(GROUP, "lag-nic", POLL);
    expect(errorOf(await raw(world, "DELETE", subnet))).toBe("InUseSubnetCannotBeDeleted");
    nowMs += 40 * SECOND_MS;
    expect((await raw(world, "DELETE", subnet)).status).toBe(202);
    await removeDisk("late-os");
  });
});

describe("a region that hangs", () => {
  it("takes requests and never answers them, and answers later ones when it is back", async () => {
    await makeDisk(world, "hung");
    world.arm.setReachable(REGION, "hangs");
    const patience = new AbortController();
    const headers = { authorization: `Bearer ${TOKEN}` };
    const asked = fetch(`${world.arm.url}${disk("hung")}`, { headers, signal: patience.signal }).then(
      (answer) => `answered ${answer.status}`,
      (error: unknown) => (error instanceof Error ? error.name : String(error)),
    );
    const { hostname, port } = new URL(world.arm.url);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    socket.destroy();
    // Requests outside the region are answered, although they were sent after the one that hangs.
    expect((await raw(world, "GET", `/subscriptions/${SUBSCRIPTION}/resourceGroups?${GROUPS}`)).status).toBe(200);
    patience.abort();
    expect(await asked).toBe("AbortError");
    world.arm.setReachable(REGION, true);
    expect((await raw(world, "GET", disk("hung"))).status).toBe(200);
  });
});
