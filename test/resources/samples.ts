import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import { SOURCE_GROUP } from "../planning/samples.ts";

/** A VM as Azure answers it, with letters of its own in ids and regions, and what it stands on. */
export const vm: ResourceJson = {
  id: `${SOURCE_GROUP}/providers/Microsoft.Compute/virtualMachines/web-1`,
  name: "web-1",
  type: "Microsoft.Compute/virtualMachines",
  location: "westeurope",
  tags: { owner: "shop" },
  properties: {
    vmId: "5c0d",
    provisioningState: "Succeeded",
    hardwareProfile: { vmSize: "standard_d4s_v5" },
    storageProfile: {
      osDisk: {
        osType: "Linux",
        name: "web-1-os",
        createOption: "FromImage",
        caching: "ReadWrite",
        managedDisk: {
          id: `${SOURCE_GROUP.toUpperCase()}/providers/Microsoft.Compute/disks/web-1-os`,
          storageAccountType: "Premium_LRS",
        },
      },
      dataDisks: [
        {
          lun: 0,
          name: "web-1-data",
          createOption: "Attach",
          caching: "None",
          managedDisk: { id: `${SOURCE_GROUP}/providers/Microsoft.Compute/disks/web-1-data` },
        },
      ],
    },
    networkProfile: {
      networkInterfaces: [{ id: `${SOURCE_GROUP}/providers/Microsoft.Network/networkInterfaces/web-1-nic` }],
    },
  },
};

export const disks: readonly ResourceJson[] = [
  {
    id: `${SOURCE_GROUP}/providers/Microsoft.Compute/disks/web-1-os`,
    name: "web-1-os",
    location: "westeurope",
    sku: { name: "Premium_LRS", tier: "Premium" },
    properties: {
      osType: "Linux",
      hyperVGeneration: "V2",
      diskSizeGB: 128,
      diskSizeBytes: 128 * 1024 ** 3,
      diskState: "Attached",
    },
  },
  {
    id: `${SOURCE_GROUP}/providers/Microsoft.Compute/disks/web-1-data`,
    name: "web-1-data",
    location: "westeurope",
    sku: { name: "Premium_LRS" },
    properties: { diskSizeGB: 128 },
  },
];

export const nic: ResourceJson = {
  id: `${SOURCE_GROUP}/providers/Microsoft.Network/networkInterfaces/web-1-nic`,
  name: "web-1-nic",
  location: "westeurope",
  properties: {
    enableAcceleratedNetworking: false,
    ipConfigurations: [
      {
        name: "ipconfig1",
        properties: {
          privateIPAddress: "10.0.1.10",
          privateIPAllocationMethod: "Static",
          privateIPAddressVersion: "IPv4",
          subnet: { id: `${SOURCE_GROUP}/providers/Microsoft.Network/virtualNetworks/hub/subnets/web` },
        },
      },
    ],
  },
};

export const network: ResourceJson = {
  id: `${SOURCE_GROUP}/providers/Microsoft.Network/virtualNetworks/hub`,
  name: "hub",
  location: "westeurope",
  properties: {
    addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
    subnets: [
      { name: "web", properties: { addressPrefix: "10.0.1.0/24" } },
      // Dual stack: the IPv4 part counts.
      { name: "db", properties: { addressPrefixes: ["fd00::/64", "10.0.2.0/24"] } },
    ],
  },
};

interface SkuChange {
  readonly capabilities?: Readonly<Record<string, string>>;
  readonly restrictions?: readonly ResourceJson[];
  readonly zones?: readonly string[];
  readonly location?: string;
}

/** One entry of Azure's list of SKUs. */
export function sku(
  name: string,
  { capabilities = {}, restrictions = [], zones = ["3", "1", "2"], location = "westeurope" }: SkuChange = {},
): ResourceJson {
  const all = {
    vCPUs: "4",
    MemoryGB: "16",
    MaxNetworkInterfaces: "2",
    MaxDataDiskCount: "8",
    PremiumIO: "True",
    AcceleratedNetworkingEnabled: "True",
    HyperVGenerations: "V1,V2",
    ...capabilities,
  };
  return {
    resourceType: "virtualMachines",
    name,
    family: "standardDSv5Family",
    locations: [location],
    locationInfo: [{ location, zones }],
    capabilities: Object.entries(all).map(([capability, value]) => ({ name: capability, value })),
    restrictions,
  };
}

/** The same resource with other properties. */
export function withProperties(resource: ResourceJson, change: ResourceJson): ResourceJson {
  return { ...resource, properties: { ...(resource["properties"] as ResourceJson), ...change } };
}
