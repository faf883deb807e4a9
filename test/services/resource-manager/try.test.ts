import { it, expect } from "vitest";
import { startWorld, makeNic, makeDisk, machineModel, GROUP, POLL } from "./world.ts";
it("tries", async () => {
  const world = await startWorld();
  const nic = await makeNic(world, "nic1");
  const os = await makeDisk(world, "os1");
  const vm = await world.clients.compute.virtualMachines.createOrUpdate(GROUP, "vm1", machineModel(nic, os), POLL);
  console.log(JSON.stringify(vm, undefined, 1));
  console.log(JSON.stringify(await world.clients.compute.virtualMachines.instanceView(GROUP, "vm1"), undefined, 1));
  await world.clients.compute.virtualMachines.deallocate(GROUP, "vm1", POLL);
  await world.clients.compute.virtualMachines.delete(GROUP, "vm1", POLL);
  expect(1).toBe(1);
});
