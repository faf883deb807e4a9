import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GROUP, idOf, machineModel, makeDisk, makeNic, POLL, raw, REGION, startWorld, type World } from "./world.ts";

/** The rows that a request reads are counted with this many machines, and again with twice as many. */
const FEW = 6;
const MANY = 2 * FEW;
const PAGE = 4;
const COMPUTE = "api-version=2026-04-01";
const DISKS = "api-version=2026-03-02";
const NETWORK = "api-version=2026-01-01";

let world: World;
beforeAll(async () => {
  world = await startWorld({ pageCount: PAGE });
  world.arm.setQuota(REGION, "cores", 10_000);
  world.arm.setQuota(REGION, "standardDSv5Family", 10_000);
});
afterAll(() => world.stop());

async function makeMachines(from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) {
    const name = `vm-${String(number).padStart(3, "0")}`;
    const model = machineModel(await makeNic(world, `${name}-nic`), await makeDisk(world, `${name}-os`), [
      await makeDisk(world, `${name}-data`),
    ]);
    await world.clients.compute.virtualMachines.createOrUpdate(GROUP, name, model, POLL);
  }
}

async function rowsOf(ask: () => Promise<unknown>): Promise<number> {
  const before = world.arm.rowsRead();
  await ask();
  return world.arm.rowsRead() - before;
}

const get = (path: string) => async (): Promise<unknown> => {
  const answer = await raw(world, "GET", path);
  expect(answer.status).toBe(200);
  return answer.body;
};
const listing = (type: string, version: string): string =>
  `/subscriptions/${world.arm.subscriptionId}/resourceGroups/${GROUP}/providers/${type}?${version}`;

const REQUESTS: readonly (readonly [string, () => Promise<unknown>])[] = [
  [
    "GET of a machine",
    () => get(`${idOf("Microsoft.Compute/virtualMachines", "vm-000")}?${COMPUTE}&$expand=instanceView`)(),
  ],
  ["GET of a disk", () => get(`${idOf("Microsoft.Compute/disks", "vm-000-os")}?${DISKS}`)()],
  ["GET of an interface", () => get(`${idOf("Microsoft.Network/networkInterfaces", "vm-000-nic")}?${NETWORK}`)()],
  ["a page of machines", () => get(listing("Microsoft.Compute/virtualMachines", COMPUTE))()],
  ["a page of disks", () => get(listing("Microsoft.Compute/disks", DISKS))()],
  [
    "a page of the group",
    () => get(`/subscriptions/${world.arm.subscriptionId}/resourceGroups/${GROUP}/resources?api-version=2025-04-01`)(),
  ],
  [
    "PUT of a disk",
    () =>
      raw(world, "PUT", `${idOf("Microsoft.Compute/disks", "vm-000-os")}?${DISKS}`, {
        location: REGION,
        properties: { creationData: { createOption: "Empty" }, diskSizeGB: 1 },
      }),
  ],
];

describe("what requests read", () => {
  it("does not depend on other resources; listing all grows linearly with them", async () => {
    await makeMachines(0, FEW);
    const few = new Map<string, number>();
    for (const [name, ask] of REQUESTS) few.set(name, await rowsOf(ask));
    const all = async (): Promise<number> => {
      let count = 0;
      for await (const _ of world.clients.compute.virtualMachines.list(GROUP)) count += 1;
      return count;
    };
    const fewListed = await rowsOf(async () => expect(await all()).toBe(FEW));
    const fewResumed = await rowsOf(() => world.arm.resumeMachines());

    await makeMachines(FEW, MANY);
    for (const [name, ask] of REQUESTS) expect([name, await rowsOf(ask)]).toEqual([name, few.get(name)]);
    // Twice as many machines cost twice as much, not four times. Each page reads one row more than it shows.
    const manyListed = await rowsOf(async () => expect(await all()).toBe(MANY));
    expect(manyListed).toBeLessThanOrEqual(2 * fewListed + MANY / PAGE);
    expect(await rowsOf(() => world.arm.resumeMachines())).toBeLessThanOrEqual(2 * fewResumed);
  });

  it("is a few rows per resource of a page", async () => {
    expect(await rowsOf(get(listing("Microsoft.Compute/virtualMachines", COMPUTE)))).toBeLessThanOrEqual(
      4 * (PAGE + 1),
    );
    expect(await rowsOf(get(listing("Microsoft.Compute/disks", DISKS)))).toBeLessThanOrEqual(4 * (PAGE + 1));
    expect(await rowsOf(get(`${idOf("Microsoft.Compute/virtualMachines", "vm-000")}?${COMPUTE}`))).toBeLessThanOrEqual(
      4,
    );
  });
});
