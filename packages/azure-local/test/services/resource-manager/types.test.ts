import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TYPES } from "../../../resource-manager/types/table.ts";
import {
  ACCOUNT,
  GROUP,
  idOf,
  machineModel,
  makeDisk,
  makeNic,
  POLL,
  refusal,
  REGION,
  startWorld,
  SUBSCRIPTION,
  type World,
} from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const covered = new Set<string>();

/** One contract of a type, through the real client, with the number of checks that it is planned to make. */
function contract(type: string, text: string, checks: number, body: () => Promise<void>): void {
  covered.add(type);
  it(`${type} ${text}`, async () => {
    expect.assertions(checks);
    await body();
  });
}

async function all<Item>(pages: AsyncIterable<Item>): Promise<readonly Item[]> {
  const items: Item[] = [];
  for await (const item of pages) items.push(item);
  return items;
}

const NETWORK = "Microsoft.Network/";
const COMPUTE = "Microsoft.Compute/";

describe("each type of resource, through Azure's own client", () => {
  contract(
    "Microsoft.Resources/resourceGroups",
    "are made, listed and deleted with all that is in them",
    8,
    async () => {
      const { resources, network } = world.clients;
      const made = await resources.resourceGroups.createOrUpdate("Other-RG", {
        location: "West Europe",
        tags: { a: "1" },
      });
      expect(made).toMatchObject({
        name: "Other-RG",
        location: "westeurope",
        tags: { a: "1" },
        properties: { provisioningState: "Succeeded" },
      });
      await expect(resources.resourceGroups.createOrUpdate("other-rg", { location: REGION })).rejects.toEqual(
        refusal(409, "InvalidResourceGroupLocation"),
      );
      expect((await all(resources.resourceGroups.list())).map(({ name }) => name)).toContain("Other-RG");
      const space = { addressSpace: { addressPrefixes: ["10.9.0.0/16"] } };
      await network.virtualNetworks.createOrUpdate("other-rg", "v", { location: "westeurope", ...space }, POLL);
      expect((await resources.resourceGroups.checkExistence("OTHER-RG")).body).toBe(true);
      await resources.resourceGroups.delete("Other-RG", POLL);
      expect((await resources.resourceGroups.checkExistence("Other-RG")).body).toBe(false);
      await expect(resources.resourceGroups.get("Other-RG")).rejects.toEqual(refusal(404, "ResourceGroupNotFound"));
      await expect(network.virtualNetworks.get("Other-RG", "v")).rejects.toEqual(refusal(404, "ResourceGroupNotFound"));
      await expect(network.virtualNetworks.list("Other-RG").next()).rejects.toMatchObject({ statusCode: 404 });
    },
  );

  contract(
    `${NETWORK}virtualNetworks`,
    "say which subnets there are: one that a PUT does not list is deleted",
    8,
    async () => {
      const { network } = world.clients;
      const put = (
        name: string,
        subnets: readonly { readonly name: string; readonly addressPrefix: string }[],
        prefix = "10.1.0.0/16",
      ) =>
        network.virtualNetworks.createOrUpdate(
          GROUP,
          name,
          { location: REGION, addressSpace: { addressPrefixes: [prefix] }, subnets: [...subnets] },
          POLL,
        );
      const [a, b] = [
        { name: "a", addressPrefix: "10.1.0.0/24" },
        { name: "b", addressPrefix: "10.1.1.0/24" },
      ] as const;
      const made = await put("net1", [a, b]);
      expect(made.subnets?.map((subnet) => subnet.name)).toEqual(["a", "b"]);
      expect(made).toMatchObject({
        provisioningState: "Succeeded",
        enableDdosProtection: false,
        virtualNetworkPeerings: [],
      });
      expect((await put("net1", [b])).subnets?.map((subnet) => subnet.name)).toEqual(["b"]);
      await expect(network.subnets.get(GROUP, "net1", "a")).rejects.toEqual(refusal(404, "ResourceNotFound"));
      await expect(put("net1", [{ name: "far", addressPrefix: "10.2.0.0/24" }])).rejects.toEqual(
        refusal(400, "NetcfgSubnetRangeOutsideVnet"),
      );
      await expect(put("net1", [b, { name: "c", addressPrefix: "10.1.1.128/25" }])).rejects.toEqual(
        refusal(400, "NetcfgSubnetRangesOverlap"),
      );
      await expect(put("net2", [], "10.1.0.1/16")).rejects.toEqual(refusal(400, "InvalidAddressPrefixFormat"));
      await network.virtualNetworks.delete(GROUP, "net1", POLL);
      await expect(network.subnets.get(GROUP, "net1", "b")).rejects.toEqual(refusal(404, "ResourceNotFound"));
    },
  );

  contract(`${NETWORK}virtualNetworks/subnets`, "cannot be deleted while an interface stands in them", 6, async () => {
    const { network } = world.clients;
    const nicId = await makeNic(world, "subnet-nic");
    await expect(network.subnets.delete(GROUP, "lab-vnet", "default", POLL)).rejects.toEqual(
      refusal(400, "InUseSubnetCannotBeDeleted"),
    );
    await expect(network.virtualNetworks.delete(GROUP, "lab-vnet", POLL)).rejects.toEqual(
      refusal(400, "InUseSubnetCannotBeDeleted"),
    );
    const subnet = await network.subnets.createOrUpdate(
      GROUP,
      "lab-vnet",
      "second",
      { addressPrefix: "10.0.1.0/24" },
      POLL,
    );
    expect(subnet).toMatchObject({ name: "second", provisioningState: "Succeeded" });
    expect((await network.virtualNetworks.get(GROUP, "lab-vnet")).subnets?.length).toBe(2);
    expect((await network.subnets.get(GROUP, "lab-vnet", "default")).ipConfigurations?.[0]?.id).toBe(
      `${nicId}/ipConfigurations/primary`,
    );
    await network.networkInterfaces.delete(GROUP, "subnet-nic", POLL);
    await network.subnets.delete(GROUP, "lab-vnet", "second", POLL);
    await expect(
      network.subnets.createOrUpdate(GROUP, "no-net", "x", { addressPrefix: "10.0.0.0/24" }, POLL),
    ).rejects.toEqual(refusal(404, "ParentResourceNotFound"));
  });

  contract(`${NETWORK}networkSecurityGroups`, "are held by the interfaces and subnets that use them", 5, async () => {
    const { network } = world.clients;
    const rule = { name: "ssh", protocol: "Tcp", access: "Allow", direction: "Inbound", priority: 100 } as const;
    const made = await network.networkSecurityGroups.createOrUpdate(
      GROUP,
      "nsg1",
      { location: REGION, securityRules: [rule] },
      POLL,
    );
    expect(made.securityRules?.[0]).toMatchObject({ name: "ssh", priority: 100, provisioningState: "Succeeded" });
    const twice = { location: REGION, securityRules: [rule, { ...rule, name: "other" }] };
    await expect(network.networkSecurityGroups.createOrUpdate(GROUP, "nsg1", twice, POLL)).rejects.toEqual(
      refusal(400, "SecurityRuleConflict"),
    );
    await makeNic(world, "nsg-nic");
    const nic = await network.networkInterfaces.get(GROUP, "nsg-nic");
    const guarded = {
      location: REGION,
      ipConfigurations: nic.ipConfigurations ?? [],
      networkSecurityGroup: { id: made.id ?? "" },
    };
    await network.networkInterfaces.createOrUpdate(GROUP, "nsg-nic", guarded, POLL);
    const stray = { id: idOf("Microsoft.Network/routeTables", "r") };
    await expect(
      network.subnets.createOrUpdate(GROUP, "lab-vnet", "s", { addressPrefix: "10.0.9.0/24", routeTable: stray }, POLL),
    ).rejects.toEqual(refusal(501, "NotSupportedByLocalCloud"));
    expect((await network.networkSecurityGroups.get(GROUP, "nsg1")).networkInterfaces?.[0]?.id).toBe(nic.id);
    await expect(network.networkSecurityGroups.delete(GROUP, "nsg1", POLL)).rejects.toEqual(
      refusal(400, "InUseNetworkSecurityGroupCannotBeDeleted"),
    );
    await network.networkInterfaces.delete(GROUP, "nsg-nic", POLL);
    await network.networkSecurityGroups.delete(GROUP, "nsg1", POLL);
  });

  contract(`${NETWORK}publicIPAddresses`, "get an address of their own and belong to one interface", 6, async () => {
    const { network } = world.clients;
    const make = (name: string) =>
      network.publicIPAddresses.createOrUpdate(
        GROUP,
        name,
        { location: REGION, sku: { name: "Standard" }, publicIPAllocationMethod: "Static" },
        POLL,
      );
    const [one, other] = [await make("ip1"), await make("ip2")];
    expect(one.ipAddress).toMatch(/^198\.1[89]\./);
    expect(other.ipAddress).not.toBe(one.ipAddress);
    const dynamic = { location: REGION, sku: { name: "Standard" }, publicIPAllocationMethod: "Dynamic" } as const;
    await expect(network.publicIPAddresses.createOrUpdate(GROUP, "ip3", dynamic, POLL)).rejects.toMatchObject({
      statusCode: 400,
    });
    await makeNic(world, "ip-nic");
    const subnet = { id: idOf("Microsoft.Network/virtualNetworks", "lab-vnet/subnets/default") };
    const withIp = {
      location: REGION,
      ipConfigurations: [{ name: "primary", subnet, publicIPAddress: { id: one.id?.toUpperCase() ?? "" } }],
    };
    await network.networkInterfaces.createOrUpdate(GROUP, "ip-nic", withIp, POLL);
    expect((await network.publicIPAddresses.get(GROUP, "ip1")).ipConfiguration?.id).toContain(
      "networkInterfaces/ip-nic/ipConfigurations/primary",
    );
    await expect(network.networkInterfaces.createOrUpdate(GROUP, "ip-nic2", withIp, POLL)).rejects.toEqual(
      refusal(400, "PublicIPAddressCannotBeDeleted"),
    );
    await expect(network.publicIPAddresses.delete(GROUP, "ip1", POLL)).rejects.toEqual(
      refusal(400, "PublicIPAddressCannotBeDeleted"),
    );
    await network.networkInterfaces.delete(GROUP, "ip-nic", POLL);
    await network.publicIPAddresses.delete(GROUP, "ip1", POLL);
  });

  contract(
    `${NETWORK}networkInterfaces`,
    "get an address of their subnet, the one they ask for when it is free",
    9,
    async () => {
      const { network } = world.clients;
      await makeNic(world, "nic-a");
      const subnet = { id: idOf("Microsoft.Network/virtualNetworks", "lab-vnet/subnets/default") };
      const ask = (name: string, privateIPAddress: string, subnetId = subnet.id) =>
        network.networkInterfaces.createOrUpdate(
          GROUP,
          name,
          {
            location: REGION,
            ipConfigurations: [
              { name: "p", subnet: { id: subnetId }, privateIPAddress, privateIPAllocationMethod: "Static" },
            ],
          },
          POLL,
        );
      expect((await network.networkInterfaces.get(GROUP, "nic-a")).ipConfigurations?.[0]).toMatchObject({
        privateIPAddress: "10.0.0.4",
        primary: true,
        provisioningState: "Succeeded",
      });
      expect((await ask("nic-b", "10.0.0.77")).ipConfigurations?.[0]?.privateIPAddress).toBe("10.0.0.77");
      await expect(ask("nic-c", "10.0.0.77")).rejects.toEqual(refusal(400, "PrivateIPAddressIsAllocated"));
      await expect(ask("nic-c", "10.0.0.3")).rejects.toEqual(refusal(400, "PrivateIPAddressInReservedRange"));
      await expect(ask("nic-c", "10.0.1.5")).rejects.toEqual(refusal(400, "PrivateIPAddressNotInSubnet"));
      await expect(ask("nic-c", "10.0.0.9", `${subnet.id}x`)).rejects.toEqual(refusal(400, "InvalidResourceReference"));
      await expect(ask("nic-c", "10.0.0.9", "nonsense")).rejects.toEqual(refusal(400, "LinkedInvalidPropertyId"));
      // The same PUT again, in another case, keeps the address.
      const again = {
        location: "North Europe",
        ipConfigurations: [{ name: "primary", subnet: { id: subnet.id.toLowerCase() } }],
      };
      expect(
        (await network.networkInterfaces.createOrUpdate(GROUP.toUpperCase(), "NIC-A", again, POLL))
          .ipConfigurations?.[0]?.privateIPAddress,
      ).toBe("10.0.0.4");
      expect((await all(network.networkInterfaces.list(GROUP))).map(({ name }) => name)).toEqual(["nic-a", "nic-b"]);
      for (const name of ["nic-a", "nic-b"]) await network.networkInterfaces.delete(GROUP, name, POLL);
    },
  );

  contract(`${COMPUTE}availabilitySets`, "hold machines, and answer their ids in upper case", 4, async () => {
    const { compute } = world.clients;
    const made = await compute.availabilitySets.createOrUpdate(GROUP, "set1", {
      location: REGION,
      sku: { name: "Aligned" },
    });
    expect(made).toMatchObject({ platformFaultDomainCount: 2, platformUpdateDomainCount: 5, virtualMachines: [] });
    const model = machineModel(await makeNic(world, "set-nic"), await makeDisk(world, "set-os"));
    await compute.virtualMachines.createOrUpdate(
      GROUP,
      "set-vm",
      { ...model, availabilitySet: { id: made.id ?? "" } },
      POLL,
    );
    const machines = (await compute.availabilitySets.get(GROUP, "set1")).virtualMachines;
    expect(machines?.[0]?.id).toBe(idOf("Microsoft.Compute/virtualMachines", "set-vm").toUpperCase());
    await expect(compute.availabilitySets.delete(GROUP, "set1")).rejects.toEqual(refusal(409, "OperationNotAllowed"));
    await compute.virtualMachines.delete(GROUP, "set-vm", POLL);
    await compute.availabilitySets.delete(GROUP, "set1");
    await expect(compute.availabilitySets.get(GROUP, "set1")).rejects.toEqual(refusal(404, "ResourceNotFound"));
    await compute.disks.delete(GROUP, "set-os", POLL);
  });

  contract("Microsoft.Storage/storageAccounts", "are the ones that run here, with their real keys", 6, async () => {
    const { storage } = world.clients;
    const parameters = { location: REGION, sku: { name: "Standard_ZRS" }, kind: "StorageV2" } as const;
    const made = await storage.storageAccounts.create(GROUP, ACCOUNT, parameters, POLL);
    expect(made).toMatchObject({ name: ACCOUNT, provisioningState: "Succeeded", statusOfPrimary: "available" });
    const running = world.storage.account(ACCOUNT);
    expect(made.primaryEndpoints?.blob).toBe(`${running.blobUrl}/`);
    expect((await storage.storageAccounts.listKeys(GROUP, ACCOUNT)).keys?.map(({ value }) => value)).toEqual([
      running.key,
      running.key,
    ]);
    await expect(storage.storageAccounts.create(GROUP, "stranger", parameters, POLL)).rejects.toEqual(
      refusal(501, "NotSupportedByLocalCloud"),
    );
    await expect(storage.storageAccounts.create(GROUP, "Bad-Name", parameters, POLL)).rejects.toMatchObject({
      statusCode: 400,
    });
    const name = { name: ACCOUNT, type: "Microsoft.Storage/storageAccounts" } as const;
    expect(await storage.storageAccounts.checkNameAvailability(name)).toMatchObject({
      nameAvailable: false,
      reason: "AlreadyExists",
    });
  });

  contract(
    `${COMPUTE}disks`,
    "grow and never shrink, keep their source, and are deleted only when nothing uses them",
    8,
    async () => {
      const { compute } = world.clients;
      await makeDisk(world, "d1");
      expect(await compute.disks.get(GROUP, "d1")).toMatchObject({
        provisioningState: "Succeeded",
        diskState: "Unattached",
        diskSizeBytes: 1024 ** 3,
        sku: { name: "Standard_LRS", tier: "Standard" },
      });
      expect((await compute.disks.update(GROUP, "d1", { diskSizeGB: 2 }, POLL)).diskSizeBytes).toBe(2 * 1024 ** 3);
      await expect(compute.disks.update(GROUP, "d1", { diskSizeGB: 1 }, POLL)).rejects.toEqual(
        refusal(409, "OperationNotAllowed"),
      );
      const other = {
        location: REGION,
        creationData: { createOption: "Copy", sourceResourceId: idOf("Microsoft.Compute/disks", "d2") },
      } as const;
      await expect(compute.disks.createOrUpdate(GROUP, "d1", other, POLL)).rejects.toEqual(
        refusal(409, "PropertyChangeNotAllowed"),
      );
      await expect(compute.disks.createOrUpdate(GROUP, "d3", other, POLL)).rejects.toEqual(refusal(404, "NotFound"));
      const image = { location: REGION, creationData: { createOption: "FromImage" }, diskSizeGB: 1 } as const;
      await expect(compute.disks.createOrUpdate(GROUP, "d3", image, POLL)).rejects.toEqual(
        refusal(501, "NotSupportedByLocalCloud"),
      );
      await expect(
        compute.disks.createOrUpdate(GROUP, "d3", { location: REGION, creationData: { createOption: "Empty" } }, POLL),
      ).rejects.toEqual(refusal(400, "InvalidParameter"));
      await compute.disks.delete(GROUP, "d1", POLL);
      expect((await all(compute.disks.listByResourceGroup(GROUP))).map(({ name }) => name)).toEqual([]);
    },
  );

  contract(`${COMPUTE}snapshots`, "outlive the disk that they were taken of", 3, async () => {
    const { compute } = world.clients;
    const sourceUri = await world.putVhd("snapped.vhd", Buffer.alloc(1024 * 1024, "content"));
    const storageAccountId = idOf("Microsoft.Storage/storageAccounts", ACCOUNT);
    const source = { createOption: "Import", sourceUri, storageAccountId } as const;
    const { id: sourceResourceId = "" } = await compute.disks.createOrUpdate(
      GROUP,
      "snapped",
      { location: REGION, creationData: source },
      POLL,
    );
    const creationData = { createOption: "Copy", sourceResourceId } as const;
    const made = await compute.snapshots.createOrUpdate(
      GROUP,
      "s1",
      { location: REGION, creationData, incremental: true },
      POLL,
    );
    expect(made).toMatchObject({ provisioningState: "Succeeded", diskSizeGB: 1, incremental: true });
    await compute.disks.delete(GROUP, "snapped", POLL);
    expect((await compute.snapshots.update(GROUP, "s1", { tags: { kept: "yes" } }, POLL)).tags).toEqual({
      kept: "yes",
    });
    await compute.snapshots.delete(GROUP, "s1", POLL);
    await expect(compute.snapshots.get(GROUP, "s1")).rejects.toEqual(refusal(404, "ResourceNotFound"));
  });

  contract(`${COMPUTE}virtualMachines`, "run on attached disks, hold them, and say what they do", 13, async () => {
    const { compute, network } = world.clients;
    const [nic, os, data] = [
      await makeNic(world, "vm-nic"),
      await makeDisk(world, "vm-os"),
      await makeDisk(world, "vm-data"),
    ];
    const model = machineModel(nic, os.toUpperCase(), [data]);
    const made = await compute.virtualMachines.createOrUpdate(GROUP, "vm1", model, POLL);
    expect(made).toMatchObject({
      provisioningState: "Succeeded",
      storageProfile: { dataDisks: [{ lun: 0, name: "vm-data" }] },
    });
    const power = async () =>
      (await compute.virtualMachines.instanceView(GROUP, "vm1")).statuses?.map(({ code }) => code);
    expect(await power()).toEqual(["ProvisioningState/succeeded", "PowerState/running"]);
    expect(await compute.disks.get(GROUP, "vm-os")).toMatchObject({ managedBy: made.id, diskState: "Attached" });
    expect((await network.networkInterfaces.get(GROUP, "vm-nic")).virtualMachine?.id).toBe(made.id);
    await expect(compute.disks.delete(GROUP, "vm-os", POLL)).rejects.toEqual(refusal(409, "OperationNotAllowed"));
    await expect(network.networkInterfaces.delete(GROUP, "vm-nic", POLL)).rejects.toEqual(refusal(400, "NicInUse"));
    await expect(compute.disks.update(GROUP, "vm-data", { diskSizeGB: 2 }, POLL)).rejects.toEqual(
      refusal(409, "OperationNotAllowed"),
    );
    const thief = machineModel(await makeNic(world, "thief-nic"), await makeDisk(world, "thief-os"), [data]);
    await expect(compute.virtualMachines.createOrUpdate(GROUP, "vm2", thief, POLL)).rejects.toEqual(
      refusal(409, "OperationNotAllowed"),
    );
    await compute.virtualMachines.powerOff(GROUP, "vm1", POLL);
    expect(await power()).toEqual(["ProvisioningState/succeeded", "PowerState/stopped"]);
    await compute.virtualMachines.deallocate(GROUP, "vm1", POLL);
    expect((await compute.disks.get(GROUP, "vm-os")).diskState).toBe("Reserved");
    await compute.virtualMachines.start(GROUP, "vm1", POLL);
    expect(
      (await compute.virtualMachines.get(GROUP, "vm1", { expand: "instanceView" })).instanceView?.statuses?.[1]?.code,
    ).toBe("PowerState/running");
    expect(world.arm.machineOf(made.id ?? "")?.disks.map(({ name, lun }) => [name, lun])).toEqual([
      ["vm-os", undefined],
      ["vm-data", 0],
    ]);
    await compute.virtualMachines.delete(GROUP, "vm1", POLL);
    expect((await compute.disks.get(GROUP, "vm-os")).diskState).toBe("Unattached");
    for (const name of ["vm-os", "vm-data", "thief-os"]) await compute.disks.delete(GROUP, name, POLL);
  });

  contract(
    `${COMPUTE}virtualMachines/extensions`,
    "start a program in a running machine, and never show their secrets",
    9,
    async () => {
      const { compute } = world.clients;
      const model = machineModel(await makeNic(world, "ext-nic"), await makeDisk(world, "ext-os"));
      const vm = await compute.virtualMachines.createOrUpdate(GROUP, "ext-vm", model, POLL);
      const commandToExecute = "run ext-program very-secret";
      const extension = {
        location: REGION,
        publisher: "Microsoft.Azure.Extensions",
        typePropertiesType: "CustomScript",
        typeHandlerVersion: "2.1",
        protectedSettings: { commandToExecute },
      };
      const put = (change: object = {}) =>
        compute.virtualMachineExtensions.createOrUpdate(GROUP, "ext-vm", "program", { ...extension, ...change }, POLL);
      await expect(put({ typePropertiesType: "Other" })).rejects.toEqual(refusal(501, "NotSupportedByLocalCloud"));
      await expect(put({ protectedSettings: { commandToExecute: "rm -rf /" } })).rejects.toEqual(
        refusal(400, "VMExtensionProvisioningError"),
      );
      const made = await put();
      expect(made).toMatchObject({ provisioningState: "Succeeded", typePropertiesType: "CustomScript" });
      expect(JSON.stringify([made, await compute.virtualMachines.get(GROUP, "ext-vm")])).not.toContain("very-secret");
      expect(world.started.at(-1)).toMatchObject({
        command: { kind: "command", text: commandToExecute },
        place: { vmId: vm.vmId, disks: [{ name: "ext-os" }] },
      });
      expect(world.arm.machineOf(vm.id ?? "")?.program?.running).toBe(true);
      // What runs is left alone: neither the same model again nor another start disturbs it.
      const starts = world.started.length;
      await compute.virtualMachines.createOrUpdate(GROUP, "ext-vm", model, POLL);
      await compute.virtualMachines.start(GROUP, "ext-vm", POLL);
      expect(world.started.length).toBe(starts);
      await compute.virtualMachines.deallocate(GROUP, "ext-vm", POLL);
      expect(world.stopped.at(-1)).toBe("ext-program");
      await expect(put()).rejects.toEqual(refusal(409, "OperationNotAllowed"));
      await compute.virtualMachines.delete(GROUP, "ext-vm", POLL);
      await compute.disks.delete(GROUP, "ext-os", POLL);
    },
  );

  it("every type of the table has its contract", () => {
    expect([...covered].toSorted()).toEqual(TYPES.map(({ name }) => name).toSorted());
  });
});

describe("what a planner asks", () => {
  it("sizes, quotas and providers follow the switches and the machines", async () => {
    expect.assertions(6);
    const { compute, network, resources } = world.clients;
    const cores = async () => (await all(compute.usage.list(REGION))).find(({ name }) => name.value === "cores");
    const before = (await cores())?.currentValue ?? -1;
    const model = machineModel(
      await makeNic(world, "plan-nic"),
      await makeDisk(world, "plan-os"),
      [],
      "Standard_D4s_v5",
    );
    await compute.virtualMachines.createOrUpdate(GROUP, "plan-vm", model, POLL);
    expect((await cores())?.currentValue).toBe(before + 4);
    world.arm.setRestricted(REGION, "Standard_E2s_v5", true);
    const skus = await all(compute.resourceSkus.list({ filter: `location eq '${REGION}'` }));
    expect(skus.filter(({ restrictions }) => (restrictions ?? []).length > 0).map(({ name }) => name)).toEqual([
      "Standard_E2s_v5",
    ]);
    world.arm.setRestricted(REGION, "Standard_E2s_v5", false);
    expect((await all(compute.virtualMachineSizes.list("West Europe"))).map(({ name }) => name)).toContain(
      "Standard_B1s",
    );
    expect(
      (await all(network.usages.list(REGION))).find(({ name }) => name.value === "NetworkInterfaces")?.currentValue,
    ).toBeGreaterThan(0);
    expect((await resources.providers.get("Microsoft.Compute")).registrationState).toBe("Registered");
    await compute.virtualMachines.delete(GROUP, "plan-vm", POLL);
    expect((await all(compute.virtualMachines.listAll())).map(({ id }) => id)).not.toContain(
      `/subscriptions/${SUBSCRIPTION}/plan-vm`,
    );
  });
});
