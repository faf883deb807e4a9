import { ArmError, invalidParameter } from "../engine/arm-error.ts";
import { keyOf } from "../engine/ids.ts";
import type { ResourceRecord, World } from "../engine/resource-type.ts";

export interface MachineSize {
  readonly name: string;
  readonly family: string;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly dataDisks: number;
  readonly nics: number;
  readonly architecture: "x64" | "Arm64";
  readonly diskControllers: readonly ("SCSI" | "NVMe")[];
  readonly encryptsAtHost: boolean;
}

const size = (
  name: string,
  family: string,
  cores: number,
  memoryGiB: number,
  dataDisks: number,
  nics = 2,
  special: Partial<MachineSize> = {},
): MachineSize => ({
  name,
  family,
  cores,
  memoryMiB: memoryGiB * 1024,
  dataDisks,
  nics,
  architecture: "x64",
  diskControllers: ["SCSI"],
  encryptsAtHost: true,
  ...special,
});

/** A few of Azure's sizes, from its tables. */
export const SIZES: readonly MachineSize[] = [
  size("Standard_B1s", "standardBSFamily", 1, 1, 2, 2, { encryptsAtHost: false }),
  size("Standard_B2s", "standardBSFamily", 2, 4, 4, 3, { encryptsAtHost: false }),
  size("Standard_D2s_v5", "standardDSv5Family", 2, 8, 4),
  size("Standard_D4s_v5", "standardDSv5Family", 4, 16, 8),
  size("Standard_D8s_v5", "standardDSv5Family", 8, 32, 16, 4),
  size("Standard_E2s_v5", "standardESv5Family", 2, 16, 4),
  size("Standard_E4s_v5", "standardESv5Family", 4, 32, 8),
  size("Standard_E64s_v5", "standardESv5Family", 64, 512, 32, 8),
  size("Standard_F2s_v2", "standardFSv2Family", 2, 4, 4),
  size("Standard_F4s_v2", "standardFSv2Family", 4, 8, 8),
  size("Standard_D2ps_v5", "standardDPSv5Family", 2, 8, 4, 2, { architecture: "Arm64" }),
  size("Standard_D2s_v6", "standardDsv6Family", 2, 8, 8, 2, { diskControllers: ["NVMe"] }),
];

export const FAMILIES: readonly string[] = [...new Set(SIZES.map(({ family }) => family))];

export const sizeNamed = (name: string): MachineSize | undefined =>
  SIZES.find((candidate) => keyOf(candidate.name) === keyOf(name));

/**
 * Cores of the machines in a region, by family and in total ("cores"). As in Azure's quotas, failed and deallocated
 * machines count.
 */
export function usedCores(region: string, world: World, exceptKey = ""): ReadonlyMap<string, number> {
  const used = new Map<string, number>();
  for (const record of world.ofType("Microsoft.Compute/virtualMachines")) {
    const machine = record.location === region && record.key !== exceptKey ? sizeOf(record) : undefined;
    if (machine === undefined) continue;
    for (const family of ["cores", machine.family]) used.set(family, (used.get(family) ?? 0) + machine.cores);
  }
  return used;
}

/** Refuses a size that is unknown, not sold here, or beyond its family's or the region's quota. */
export function checkSize(sizeName: string, record: ResourceRecord, world: World): MachineSize {
  const wanted = sizeNamed(sizeName);
  if (wanted === undefined) {
    throw invalidParameter(
      `The value ${sizeName} provided for the VM size is not valid. The valid sizes are: ${SIZES.map(({ name }) => name).join(",")}.`,
    );
  }
  if (world.facts.isRestricted(record.location, wanted.name)) {
    throw new ArmError(
      409,
      "SkuNotAvailable",
      `The requested VM size for resource '${record.id}' is currently not available in location '${record.location}'. Please try another size or deploy to a different location.`,
    );
  }
  const used = usedCores(record.location, world, record.key);
  for (const family of ["cores", wanted.family]) {
    const limit = world.facts.quota(record.location, family);
    const usage = used.get(family) ?? 0;
    if (usage + wanted.cores <= limit) continue;
    const name = family === "cores" ? "Total Regional" : family;
    throw new ArmError(
      409,
      "OperationNotAllowed",
      `Operation could not be completed as it results in exceeding approved ${name} Cores quota. Additional details - Deployment Model: Resource Manager, Location: ${record.location}, Current Limit: ${limit}, Current Usage: ${usage}, Additional Required: ${wanted.cores}, (Minimum) New Limit Required: ${usage + wanted.cores}.`,
    );
  }
  return wanted;
}

function sizeOf(record: ResourceRecord): MachineSize | undefined {
  const profile = record.body.properties["hardwareProfile"] as { readonly vmSize?: string } | undefined;
  return sizeNamed(profile?.vmSize ?? "");
}
