import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  GROUP,
  idOf,
  machineModel,
  makeDisk,
  makeNic,
  POLL,
  raw,
  refusal,
  REGION,
  startWorld,
  type World,
} from "./world.ts";

const COMPUTE = "api-version=2026-04-01";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const disk = async (name: string, supportedCapabilities: object): Promise<string> => {
  const model = { location: REGION, creationData: { createOption: "Empty" as const }, diskSizeGB: 1 };
  await world.clients.compute.disks.createOrUpdate(GROUP, name, { ...model, supportedCapabilities }, POLL);
  return idOf("Microsoft.Compute/disks", name);
};
const make = (name: string, model: ReturnType<typeof machineModel> & object) =>
  world.clients.compute.virtualMachines.createOrUpdate(GROUP, name, model, POLL);

describe("a machine of the shape that real ones have", () => {
  it("has identities with ids of their own, which stay, and shows its user data only when asked", async () => {
    const model = machineModel(await makeNic(world, "id-nic"), await makeDisk(world, "id-os"));
    const user = idOf("Microsoft.ManagedIdentity/userAssignedIdentities", "app");
    const identity = { type: "SystemAssigned, UserAssigned" as const, userAssignedIdentities: { [user]: {} } };
    const plan = { name: "p", publisher: "contoso", product: "o" };
    const [same, none] = [{ identity }, { identity: { type: "None" as const } }];
    const shown = { identity, plan, userData: "c2VjcmV0" };
    const made = await make("id", { ...model, ...shown });
    expect(made.plan).toEqual(plan);
    expect(made.identity?.principalId).toMatch(/^[0-9a-f-]{36}$/);
    expect(made.identity?.tenantId).toMatch(/^[0-9a-f-]{36}$/);
    expect(made.identity?.userAssignedIdentities?.[user]?.clientId).toMatch(/^[0-9a-f-]{36}$/);
    expect((await make("id", { ...model, ...same })).identity).toEqual(made.identity);
    const path = `${idOf("Microsoft.Compute/virtualMachines", "id")}?${COMPUTE}`;
    expect(JSON.stringify((await raw(world, "GET", path)).body)).not.toContain("c2VjcmV0");
    expect((await raw(world, "GET", `${path}&$expand=userData`)).body?.["properties"]).toMatchObject({
      userData: "c2VjcmV0",
    });
    const gone = await make("id", { ...model, ...none });
    expect(gone.identity).toBeUndefined();
  });

  it("is refused a size without encryption at host, of another architecture, or of another disk controller", async () => {
    const nic = await makeNic(world, "size-nic");
    const plain = await makeDisk(world, "size-os");
    const arm = await disk("size-arm", { architecture: "Arm64" });
    const both = await disk("size-nvme", { diskControllerTypes: "SCSI, NVMe" });
    const sized = (os: string, size: string, more: object = {}) =>
      make("sized", { ...machineModel(nic, os, [], size), ...more });
    const securityProfile = { encryptionAtHost: true };
    await expect(sized(plain, "Standard_B2s", { securityProfile })).rejects.toEqual(refusal(400, "InvalidParameter"));
    await expect(sized(plain, "Standard_D2ps_v5")).rejects.toEqual(refusal(400, "BadRequest"));
    await expect(sized(arm, "Standard_D2s_v5")).rejects.toEqual(refusal(400, "BadRequest"));
    await expect(sized(plain, "Standard_D2s_v6")).rejects.toEqual(refusal(400, "InvalidParameter"));
    const { storageProfile } = machineModel(nic, both);
    const nvme = { storageProfile: { ...storageProfile, diskControllerType: "NVMe" as const } };
    await expect(sized(both, "Standard_D2s_v5", nvme)).rejects.toEqual(refusal(400, "InvalidParameter"));
    expect((await sized(both, "Standard_D2s_v6", { ...nvme, securityProfile })).provisioningState).toBe("Succeeded");
    await world.clients.compute.virtualMachines.delete(GROUP, "sized", POLL);
    expect((await sized(arm, "Standard_D2ps_v5")).provisioningState).toBe("Succeeded");
  });
});
