import type {
  DiskCaching,
  SourceDataDisk,
  SourceDisk,
  SourceIpConfiguration,
  SourceMachine,
  SourceNic,
  Subnet,
  TargetSize,
} from "../planning/inventory.ts";
import { regionName, sameName } from "../planning/name-rules.ts";
import type { PlanRefusal } from "../planning/plan.ts";
import { nameOf, parsePath, sameId } from "./ids.ts";
import { flagOf, listOf, numberOf, partOf, tagsOf, textOf, textsOf } from "./json.ts";
import type { ResourceJson } from "./resource-manager.ts";

/**
 * A VM with all its resources, as Resource Manager returns them. A named resource missing here is reported as a
 * refusal.
 */
export interface SourceResources {
  readonly machine: ResourceJson;
  readonly disks: readonly ResourceJson[];
  readonly nics: readonly ResourceJson[];
  readonly network: ResourceJson | undefined;
  readonly availabilitySet: ResourceJson | undefined;
  /** Of the machine's region. */
  readonly sizes: readonly TargetSize[];
}

export type InventoryDecision =
  | { readonly kind: "read"; readonly source: SourceMachine }
  /** The VM cannot be planned for: codes `inventory-invalid` and `disk-kind-unsupported`. */
  | { readonly kind: "refused"; readonly refusals: readonly PlanRefusal[] };

/** The resources that a machine names, for reading them. */
export interface MachineParts {
  readonly diskIds: readonly string[];
  readonly nicIds: readonly string[];
  readonly availabilitySetId: string | undefined;
}

const GIB = 1024 ** 3;

export function partsOf(machine: ResourceJson): MachineParts {
  const diskIds = disksIn(machine).flatMap((disk) => textOf(disk, "managedDisk", "id") ?? []);
  const nicIds = listOf(machine, "properties", "networkProfile", "networkInterfaces").flatMap(
    (nic) => textOf(nic, "id") ?? [],
  );
  return { diskIds, nicIds, availabilitySetId: textOf(machine, "properties", "availabilitySet", "id") };
}

/** The network of a NIC; undefined for a NIC without a subnet. */
export function networkIdOf(nic: ResourceJson): string | undefined {
  const subnetIds = listOf(nic, "properties", "ipConfigurations").flatMap(
    (part) => textOf(part, "properties", "subnet", "id") ?? [],
  );
  return parsePath(subnetIds[0] ?? "")?.parentId;
}

/** Converts Azure's answers to the input of planning, and reports everything that prevents it at once. */
export function sourceMachineOf(resources: SourceResources): InventoryDecision {
  const { machine, network, availabilitySet } = resources;
  const refusals: PlanRefusal[] = [];
  const path = parsePath(textOf(machine, "id") ?? "");
  const name = textOf(machine, "name") ?? path?.name ?? "";
  const lacking = (message: string, subject = name): void =>
    void refusals.push({ code: "inventory-invalid", subject, message });
  const [osDisk, ...dataDisks] = readDisks(resources, refusals);
  const nics = readNics(resources, lacking);
  const networkIds = new Set(resources.nics.flatMap((nic) => networkIdOf(nic)?.toLowerCase() ?? []));
  if (networkIds.size > 1) lacking("The NICs of the VM stand in more than one virtual network.");
  const vmSize = textOf(machine, "properties", "hardwareProfile", "vmSize") ?? "";
  const size = resources.sizes.find((candidate) => sameName(candidate.name, vmSize));
  if (size === undefined) lacking(`The region does not list the VM's size "${vmSize}".`);
  const setId = textOf(machine, "properties", "availabilitySet", "id");
  if (setId !== undefined && availabilitySet === undefined) lacking(`The availability set ${setId} is missing.`);
  if (network === undefined) lacking("The VM's virtual network is missing.");
  const osType = textOf(machine, "properties", "storageProfile", "osDisk", "osType");
  if (osType !== "Windows" && osType !== "Linux") lacking("The VM does not say which operating system it has.");
  const isRead =
    path?.resourceGroup !== undefined && osDisk !== undefined && network !== undefined && size !== undefined;
  if (!isRead || (osType !== "Windows" && osType !== "Linux") || refusals.length > 0)
    return { kind: "refused", refusals };
  return {
    kind: "read",
    source: {
      id: textOf(machine, "id") ?? "",
      subscriptionId: path.subscriptionId,
      resourceGroup: path.resourceGroup ?? "",
      region: regionName(textOf(machine, "location") ?? ""),
      name,
      osType,
      size: withoutPlace(size),
      osDisk,
      dataDisks: dataDisks.flatMap((disk) => ("lun" in disk ? [disk] : [])),
      nics,
      network: readNetwork(network),
      availability: readAvailability(machine, availabilitySet),
      generation: generationOf(resources, osDisk.id),
      security: readSecurity(machine),
      licenseType: textOf(machine, "properties", "licenseType"),
      tags: tagsOf(machine),
    },
  };
}

/** OS disk first. */
function disksIn(machine: ResourceJson): readonly unknown[] {
  const osDisk = partOf(machine, "properties", "storageProfile", "osDisk");
  return [...(osDisk === undefined ? [] : [osDisk]), ...listOf(machine, "properties", "storageProfile", "dataDisks")];
}

function readDisks(
  { machine, disks }: SourceResources,
  refusals: PlanRefusal[],
): readonly (SourceDisk | SourceDataDisk)[] {
  return disksIn(machine).flatMap((attached) => {
    const id = textOf(attached, "managedDisk", "id");
    const subject = textOf(attached, "name") ?? nameOf(id ?? "");
    if (id === undefined) {
      refusals.push({
        code: "disk-kind-unsupported",
        subject,
        message: "The disk is not managed; convert the VM to managed disks first.",
      });
      return [];
    }
    const disk = disks.find((candidate) => sameId(textOf(candidate, "id") ?? "", id));
    if (disk === undefined) {
      refusals.push({ code: "inventory-invalid", subject, message: `The disk ${id} is missing.` });
      return [];
    }
    return [readDisk(attached, disk)];
  });
}

function readDisk(attached: unknown, disk: ResourceJson): SourceDisk | SourceDataDisk {
  const lun = numberOf(attached, "lun");
  return {
    id: textOf(disk, "id") ?? "",
    name: textOf(disk, "name") ?? "",
    sizeBytes: numberOf(disk, "properties", "diskSizeBytes") ?? (numberOf(disk, "properties", "diskSizeGB") ?? 0) * GIB,
    sku: textOf(disk, "sku", "name") ?? "",
    caching: cachingOf(textOf(attached, "caching")),
    maxShares: numberOf(disk, "properties", "maxShares") ?? 1,
    writeAccelerator: flagOf(attached, "writeAcceleratorEnabled"),
    ephemeral: textOf(attached, "diffDiskSettings", "option") === "Local",
    diskEncryptionSetId: textOf(disk, "properties", "encryption", "diskEncryptionSetId"),
    ...(lun === undefined ? {} : { lun }),
  };
}

const cachingOf = (text: string | undefined): DiskCaching =>
  text === "ReadOnly" || text === "ReadWrite" ? text : "None";

function readNics(
  { machine, nics }: SourceResources,
  lacking: (message: string, subject?: string) => void,
): readonly SourceNic[] {
  const attached = listOf(machine, "properties", "networkProfile", "networkInterfaces");
  return attached.flatMap((reference) => {
    const id = textOf(reference, "id") ?? "";
    const nic = nics.find((candidate) => sameId(textOf(candidate, "id") ?? "", id));
    if (nic === undefined) {
      lacking(`The NIC ${id} is missing.`, nameOf(id));
      return [];
    }
    const configurations = listOf(nic, "properties", "ipConfigurations");
    return [
      {
        id: textOf(nic, "id") ?? "",
        name: textOf(nic, "name") ?? "",
        // Azure omits the flag when there is only one.
        primary: attached.length === 1 || flagOf(reference, "properties", "primary"),
        acceleratedNetworking: flagOf(nic, "properties", "enableAcceleratedNetworking"),
        networkSecurityGroupId: textOf(nic, "properties", "networkSecurityGroup", "id"),
        ipConfigurations: configurations.map((part) => readConfiguration(part, configurations.length === 1)),
      },
    ];
  });
}

function readConfiguration(part: unknown, isOnly: boolean): SourceIpConfiguration {
  return {
    name: textOf(part, "name") ?? "",
    primary: isOnly || flagOf(part, "properties", "primary"),
    version: textOf(part, "properties", "privateIPAddressVersion") === "IPv6" ? "IPv6" : "IPv4",
    subnetName: nameOf(textOf(part, "properties", "subnet", "id") ?? ""),
    allocation: textOf(part, "properties", "privateIPAllocationMethod") === "Static" ? "Static" : "Dynamic",
    address: textOf(part, "properties", "privateIPAddress"),
    publicIpId: textOf(part, "properties", "publicIPAddress", "id"),
  };
}

function readNetwork(network: ResourceJson): SourceMachine["network"] {
  return {
    id: textOf(network, "id") ?? "",
    name: textOf(network, "name") ?? "",
    addressPrefixes: textsOf(network, "properties", "addressSpace", "addressPrefixes"),
    subnets: subnetsOf(network).map(({ name, addressPrefix }) => ({ name, addressPrefix })),
  };
}

/** The subnets of a network with their IPv4 prefix; subnets without one are omitted. */
export function subnetsOf(
  network: ResourceJson,
): readonly (Subnet & { readonly id: string; readonly json: unknown })[] {
  return listOf(network, "properties", "subnets").flatMap((json) => {
    const prefixes = [
      textOf(json, "properties", "addressPrefix") ?? [],
      ...textsOf(json, "properties", "addressPrefixes"),
    ].flat();
    const addressPrefix = prefixes.find((prefix) => !prefix.includes(":"));
    const name = textOf(json, "name") ?? "";
    return addressPrefix === undefined
      ? []
      : [{ id: `${textOf(network, "id") ?? ""}/subnets/${name}`, name, addressPrefix, json }];
  });
}

function readAvailability(machine: ResourceJson, set: ResourceJson | undefined): SourceMachine["availability"] {
  if (set !== undefined) {
    return {
      kind: "availability-set",
      id: textOf(set, "id") ?? "",
      name: textOf(set, "name") ?? "",
      faultDomains: numberOf(set, "properties", "platformFaultDomainCount") ?? 2,
      updateDomains: numberOf(set, "properties", "platformUpdateDomainCount") ?? 5,
    };
  }
  const zone = textsOf(machine, "zones")[0];
  return zone === undefined ? { kind: "none" } : { kind: "zone", zone };
}

function generationOf({ disks }: SourceResources, osDiskId: string): "V1" | "V2" {
  const osDisk = disks.find((disk) => sameId(textOf(disk, "id") ?? "", osDiskId));
  return textOf(osDisk, "properties", "hyperVGeneration") === "V2" ? "V2" : "V1";
}

function readSecurity(machine: ResourceJson): SourceMachine["security"] {
  const type = textOf(machine, "properties", "securityProfile", "securityType");
  return {
    type: type === "TrustedLaunch" || type === "ConfidentialVM" ? type : "Standard",
    secureBoot: flagOf(machine, "properties", "securityProfile", "uefiSettings", "secureBootEnabled"),
    vTpm: flagOf(machine, "properties", "securityProfile", "uefiSettings", "vTpmEnabled"),
  };
}

function withoutPlace({ restricted: _restricted, zones: _zones, ...size }: TargetSize): SourceMachine["size"] {
  return size;
}
