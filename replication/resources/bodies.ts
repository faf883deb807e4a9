import type { PlannedDisk, PlannedNic, PlannedStorageAccount, TargetPlan } from "../planning/plan.ts";
import type { ResourceJson } from "./resource-manager.ts";
import { PURPOSE_TAG } from "./tags.ts";

type Tags = Readonly<Record<string, string>>;

/** Where the restored disks are: page blobs that are fixed VHDs, as the restore left them. */
export interface RestoredSources {
  /** Resource Manager id of their account, which must be in the target region. */
  readonly storageAccountId: string;
  /** Plain addresses by source disk id in lower case. */
  readonly urls: Readonly<Record<string, string>>;
}

/** Bodies of PUT requests, in the shape of Azure's REST API (the versions are in azure/arm/api-versions.ts). */
export function resourceGroupBody({ resourceGroup }: TargetPlan, tags: Tags): ResourceJson {
  return { location: resourceGroup.region, tags };
}

/** With all subnets: Azure deletes those that a PUT omits. */
export function networkBody({ network }: TargetPlan, tags: Tags): ResourceJson {
  return {
    location: network.region,
    tags,
    properties: {
      addressSpace: { addressPrefixes: network.addressPrefixes },
      subnets: network.subnets.map(({ name, addressPrefix }) => ({ name, properties: { addressPrefix } })),
    },
  };
}

/** `Aligned`: the kind for machines with managed disks. */
export function availabilitySetBody(set: NonNullable<TargetPlan["availabilitySet"]>, tags: Tags): ResourceJson {
  return {
    location: set.region,
    tags,
    sku: { name: "Aligned" },
    properties: { platformFaultDomainCount: set.faultDomains, platformUpdateDomainCount: set.updateDomains },
  };
}

/** Reached with identities only, so that there is no key to lose. */
export function storageAccountBody(account: PlannedStorageAccount, tags: Tags): ResourceJson {
  return {
    location: account.region,
    tags: { ...tags, [PURPOSE_TAG]: account.purpose },
    kind: account.accountKind,
    sku: { name: account.sku },
    properties: {
      supportsHttpsTrafficOnly: true,
      minimumTlsVersion: "TLS1_2",
      allowBlobPublicAccess: false,
      allowSharedKeyAccess: false,
    },
  };
}

/**
 * A managed disk made from a page blob. Its size is that of the VHD. Operating system and generation belong to the OS
 * disk only.
 */
export function diskBody(
  { machine, zone }: TargetPlan,
  { disk, lun }: PlannedDisk,
  source: ResourceJson,
  tags: Tags,
): ResourceJson {
  const isOsDisk = lun === undefined;
  // A zone-redundant disk is in all zones.
  const zones = zone === undefined || /_ZRS$/i.test(disk.sku) ? {} : { zones: [zone] };
  const encryption =
    disk.diskEncryptionSetId === undefined
      ? {}
      : { encryption: { type: "EncryptionAtRestWithCustomerKey", diskEncryptionSetId: disk.diskEncryptionSetId } };
  // A trusted machine takes only an OS disk that was made for one.
  const security =
    machine.securityType === "TrustedLaunch" ? { securityProfile: { securityType: "TrustedLaunch" } } : {};
  return {
    location: disk.region,
    tags,
    sku: { name: disk.sku },
    ...zones,
    properties: {
      creationData: { createOption: "Import", ...source },
      ...encryption,
      ...(isOsDisk ? { osType: machine.osType, hyperVGeneration: machine.generation, ...security } : {}),
    },
  };
}

export const NIC_CONFIGURATION = "ipconfig1";

export function nicBody({ network }: TargetPlan, nic: PlannedNic, tags: Tags): ResourceJson {
  return {
    location: nic.region,
    tags,
    properties: {
      enableAcceleratedNetworking: nic.acceleratedNetworking,
      ...reference("networkSecurityGroup", nic.networkSecurityGroupId),
      ipConfigurations: [
        {
          name: NIC_CONFIGURATION,
          properties: {
            primary: true,
            privateIPAddressVersion: "IPv4",
            privateIPAllocationMethod: nic.allocation,
            ...(nic.address === undefined ? {} : { privateIPAddress: nic.address }),
            subnet: { id: `${network.id}/subnets/${nic.subnetName}` },
            ...reference("publicIPAddress", nic.publicIpId),
          },
        },
      ],
    },
  };
}

/**
 * A machine on disks that already hold its system, so without `osProfile`. Disks and NICs are detached when it is
 * deleted: the ledger removes them, and what an operator adds survives.
 */
export function machineBody(plan: TargetPlan, tags: Tags): ResourceJson {
  const { machine, disks, nics, availabilitySet, zone } = plan;
  const attached = ({ disk, caching }: PlannedDisk): ResourceJson => ({
    createOption: "Attach",
    caching,
    deleteOption: "Detach",
    managedDisk: { id: disk.id },
  });
  const [osDisk] = disks.filter(({ lun }) => lun === undefined).map(attached);
  return {
    location: machine.region,
    tags,
    ...(zone === undefined ? {} : { zones: [zone] }),
    properties: {
      hardwareProfile: { vmSize: machine.sizeName },
      storageProfile: {
        osDisk: { ...osDisk, osType: machine.osType },
        dataDisks: disks.flatMap((disk) => (disk.lun === undefined ? [] : [{ lun: disk.lun, ...attached(disk) }])),
      },
      networkProfile: {
        networkInterfaces: nics.map(({ id, primary }) => ({ id, properties: { primary, deleteOption: "Detach" } })),
      },
      ...reference("availabilitySet", availabilitySet?.id),
      ...securityOf(plan),
      ...(machine.licenseType === undefined ? {} : { licenseType: machine.licenseType }),
    },
  };
}

/** Only trusted machines accept UEFI settings. */
function securityOf({ machine }: TargetPlan): ResourceJson {
  if (machine.securityType !== "TrustedLaunch") return {};
  const uefiSettings = { secureBootEnabled: machine.secureBoot, vTpmEnabled: machine.vTpm };
  return { securityProfile: { securityType: machine.securityType, uefiSettings } };
}

function reference(name: string, id: string | undefined): ResourceJson {
  return id === undefined ? {} : { [name]: { id } };
}
