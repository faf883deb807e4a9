import type { TargetSize } from "../planning/inventory.ts";
import { regionName, sameName } from "../planning/name-rules.ts";
import { listOf, partOf, textOf, textsOf } from "./json.ts";
import type { ResourceJson } from "./resource-manager.ts";

/**
 * The VM sizes of one region, from Azure's resource SKUs (Compute REST API, "Resource Skus - List"). Listings of other
 * regions are ignored.
 */
export function sizesOf(skus: readonly ResourceJson[], region: string): readonly TargetSize[] {
  return skus.filter((sku) => isOf(sku, "virtualMachines", region)).map((sku) => sizeOf(sku, region));
}

/** The zones in which any size is offered. */
export function zonesOf(sizes: readonly TargetSize[]): readonly string[] {
  return [...new Set(sizes.flatMap(({ zones }) => zones))].toSorted();
}

/** Fault domains of an aligned availability set. Every region has at least two. */
export function maxFaultDomainsOf(skus: readonly ResourceJson[], region: string): number {
  const aligned = skus.find(
    (sku) => isOf(sku, "availabilitySets", region) && sameName(textOf(sku, "name") ?? "", "Aligned"),
  );
  return numberIn(aligned, "MaximumPlatformFaultDomainCount") ?? 2;
}

function sizeOf(sku: ResourceJson, region: string): TargetSize {
  const isOn = (name: string): boolean => sameName(capability(sku, name) ?? "", "True");
  const restrictions = listOf(sku, "restrictions").filter((restriction) => concerns(restriction, region));
  const closedZones = restrictions.flatMap((restriction) => textsOf(restriction, "restrictionInfo", "zones"));
  const offered = listOf(sku, "locationInfo").filter(
    (info) => regionName(textOf(info, "location") ?? "") === regionName(region),
  );
  return {
    name: textOf(sku, "name") ?? "",
    family: textOf(sku, "family") ?? "",
    cores: numberIn(sku, "vCPUs") ?? 0,
    usableCores: numberIn(sku, "vCPUsAvailable") ?? numberIn(sku, "vCPUs") ?? 0,
    architecture: sameName(capability(sku, "CpuArchitectureType") ?? "x64", "Arm64") ? "Arm64" : "x64",
    // Older sizes do not name it.
    diskControllers: (["SCSI", "NVMe"] as const).filter((controller) =>
      (capability(sku, "DiskControllerTypes") ?? "SCSI").split(",").some((name) => sameName(name.trim(), controller)),
    ),
    memoryMib: Math.round((numberIn(sku, "MemoryGB") ?? 0) * 1024),
    maxNics: numberIn(sku, "MaxNetworkInterfaces") ?? 1,
    maxDataDisks: numberIn(sku, "MaxDataDiskCount") ?? 0,
    premiumStorage: isOn("PremiumIO"),
    acceleratedNetworking: isOn("AcceleratedNetworkingEnabled"),
    generations: (["V1", "V2"] as const).filter((generation) =>
      (capability(sku, "HyperVGenerations") ?? "V1").split(",").includes(generation),
    ),
    // Azure names only the sizes that lack it.
    trustedLaunch: !isOn("TrustedLaunchDisabled"),
    restricted: restrictions.some((restriction) => textOf(restriction, "type") === "Location"),
    zones: offered
      .flatMap((info) => textsOf(info, "zones"))
      .filter((zone) => !closedZones.includes(zone))
      .toSorted(),
  };
}

function concerns(restriction: unknown, region: string): boolean {
  const regions = [...textsOf(restriction, "restrictionInfo", "locations"), ...textsOf(restriction, "values")];
  return regions.some((name) => regionName(name) === regionName(region));
}

function isOf(sku: ResourceJson, resourceType: string, region: string): boolean {
  const isType = sameName(textOf(sku, "resourceType") ?? "", resourceType);
  return isType && textsOf(sku, "locations").some((name) => regionName(name) === regionName(region));
}

/** Capabilities are strings, even numbers. */
function capability(sku: unknown, name: string): string | undefined {
  const found = listOf(sku, "capabilities").find((entry) => partOf(entry, "name") === name);
  return textOf(found, "value");
}

function numberIn(sku: unknown, name: string): number | undefined {
  const value = Number(capability(sku, name));
  return Number.isFinite(value) ? value : undefined;
}
