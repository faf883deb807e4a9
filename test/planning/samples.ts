import type { TargetFacts, TargetNetwork } from "../../replication/planning/facts.ts";
import type {
  SourceDataDisk,
  SourceDisk,
  SourceMachine,
  SourceNic,
  TargetSize,
} from "../../replication/planning/inventory.ts";
import type { PlanInput, PlanOptions } from "../../replication/planning/options.ts";
import { planTarget } from "../../replication/planning/plan-target.ts";
import type { PlanPurpose, TargetPlan } from "../../replication/planning/plan.ts";

const GIB = 1024 ** 3;
export const SOURCE_GROUP = "/subscriptions/s1/resourceGroups/shop";
export const TARGET_GROUP = "/subscriptions/s1/resourceGroups/shop-asr";

export const size = (name: string, change: Partial<TargetSize> = {}): TargetSize => ({
  name,
  family: "standardDSv5Family",
  cores: 4,
  usableCores: change.cores ?? 4,
  memoryMib: 16_384,
  architecture: "x64",
  diskControllers: ["SCSI"],
  maxNics: 2,
  maxDataDisks: 8,
  premiumStorage: true,
  acceleratedNetworking: true,
  generations: ["V1", "V2"],
  trustedLaunch: true,
  restricted: false,
  zones: ["1", "2", "3"],
  ...change,
});

export const disk = (name: string, change: Partial<SourceDisk> = {}): SourceDisk => ({
  id: `${SOURCE_GROUP}/providers/Microsoft.Compute/disks/${name}`,
  name,
  sizeBytes: 128 * GIB,
  sku: "Premium_LRS",
  caching: "ReadWrite",
  maxShares: 1,
  writeAccelerator: false,
  ephemeral: false,
  diskEncryptionSetId: undefined,
  ...change,
});

export const dataDisk = (name: string, lun: number, change: Partial<SourceDisk> = {}): SourceDataDisk => ({
  ...disk(name, change),
  lun,
});

interface NicChange extends Partial<SourceNic> {
  readonly subnetName?: string;
  readonly address?: string;
  readonly allocation?: "Static" | "Dynamic";
}

export const nic = (
  name: string,
  { subnetName = "web", address = "10.0.1.10", allocation = "Static", ...change }: NicChange = {},
): SourceNic => ({
  id: `${SOURCE_GROUP}/providers/Microsoft.Network/networkInterfaces/${name}`,
  name,
  primary: true,
  acceleratedNetworking: false,
  networkSecurityGroupId: undefined,
  ipConfigurations: [
    { name: "ipconfig1", primary: true, version: "IPv4", subnetName, allocation, address, publicIpId: undefined },
  ],
  ...change,
});

export const machine = (change: Partial<SourceMachine> = {}): SourceMachine => ({
  id: `${SOURCE_GROUP}/providers/Microsoft.Compute/virtualMachines/web-1`,
  subscriptionId: "s1",
  resourceGroup: "shop",
  region: "westeurope",
  name: "web-1",
  osType: "Linux",
  size: size("Standard_D4s_v5"),
  osDisk: disk("web-1-os"),
  dataDisks: [dataDisk("web-1-data", 0, { caching: "None" })],
  nics: [nic("web-1-nic")],
  network: {
    id: `${SOURCE_GROUP}/providers/Microsoft.Network/virtualNetworks/hub`,
    name: "hub",
    addressPrefixes: ["10.0.0.0/16"],
    subnets: [
      { name: "web", addressPrefix: "10.0.1.0/24" },
      { name: "db", addressPrefix: "10.0.2.0/24" },
    ],
  },
  availability: { kind: "none" },
  generation: "V2",
  security: { type: "Standard", secureBoot: false, vTpm: false },
  licenseType: undefined,
  tags: { owner: "shop" },
  ...change,
});

export const facts = (change: Partial<TargetFacts> = {}): TargetFacts => ({
  controlResourceGroup: "leeward",
  zones: ["1", "2", "3"],
  maxFaultDomains: 3,
  resourceGroups: [],
  networks: [],
  mappings: [],
  availabilitySets: [],
  storageAccounts: [],
  sizes: [
    size("Standard_D4s_v5"),
    size("Standard_D8s_v5", { cores: 8, memoryMib: 32_768, maxNics: 4, maxDataDisks: 16 }),
  ],
  quota: { coresLeft: 100, familyCoresLeft: {}, nicsLeft: 100 },
  namesTaken: [],
  ...change,
});

export const network = (name: string, change: Partial<TargetNetwork> = {}): TargetNetwork => ({
  id: `${TARGET_GROUP}/providers/Microsoft.Network/virtualNetworks/${name}`,
  name,
  resourceGroup: "shop-asr",
  region: "northeurope",
  addressPrefixes: ["10.0.0.0/16"],
  subnets: [{ name: "web", addressPrefix: "10.0.1.0/24", takenAddresses: [], delegated: false }],
  ...change,
});

interface InputChange {
  readonly source?: Partial<SourceMachine>;
  readonly options?: Partial<PlanOptions>;
  readonly facts?: Partial<TargetFacts>;
  readonly purpose?: PlanPurpose;
}

export const input = (change: InputChange = {}): PlanInput => ({
  itemId: "web-1",
  purpose: change.purpose ?? "failover",
  source: machine(change.source),
  options: { targetRegion: "northeurope", ...change.options },
  facts: facts(change.facts),
});

/** The plan; a refusal fails the test with all that was refused. */
export function planOf(change: InputChange = {}): TargetPlan {
  const decision = planTarget(input(change));
  if (decision.kind === "refused") throw new Error(JSON.stringify(decision.refusals));
  return decision.plan;
}

/** The codes of all refusals, in order. */
export function refusedFor(change: InputChange): readonly string[] {
  const decision = planTarget(input(change));
  return decision.kind === "refused" ? decision.refusals.map(({ code }) => code) : [];
}
