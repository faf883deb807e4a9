/** The source as planning knows it: one VM with all its resources, as Resource Manager describes it. */
export interface SourceMachine {
  readonly id: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly region: string;
  readonly name: string;
  readonly osType: "Windows" | "Linux";
  readonly size: VmSize;
  readonly osDisk: SourceDisk;
  readonly dataDisks: readonly SourceDataDisk[];
  readonly nics: readonly SourceNic[];
  /** The virtual network of the NICs: Azure allows one per VM. */
  readonly network: SourceNetwork;
  readonly availability: SourceAvailability;
  readonly generation: "V1" | "V2";
  readonly security: {
    readonly type: "Standard" | "TrustedLaunch" | "ConfidentialVM";
    readonly secureBoot: boolean;
    readonly vTpm: boolean;
  };
  /** Hybrid Use Benefit and similar; undefined without. */
  readonly licenseType: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

type SourceAvailability =
  | { readonly kind: "none" }
  | {
      readonly kind: "availability-set";
      readonly id: string;
      readonly name: string;
      readonly faultDomains: number;
      readonly updateDomains: number;
    }
  | { readonly kind: "zone"; readonly zone: string };

export type DiskCaching = "None" | "ReadOnly" | "ReadWrite";

export interface SourceDisk {
  readonly id: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** Azure's SKU name, for example `Premium_LRS`. Unmanaged disks have the SKU of their account. */
  readonly sku: string;
  readonly caching: DiskCaching;
  /** VMs that may attach it at the same time. */
  readonly maxShares: number;
  readonly writeAccelerator: boolean;
  /** The disk lives on the host and is lost with it. */
  readonly ephemeral: boolean;
  /** Customer-managed key; undefined with Azure's own. */
  readonly diskEncryptionSetId: string | undefined;
}

export interface SourceDataDisk extends SourceDisk {
  readonly lun: number;
}

export interface SourceNic {
  readonly id: string;
  readonly name: string;
  readonly primary: boolean;
  readonly acceleratedNetworking: boolean;
  readonly networkSecurityGroupId: string | undefined;
  readonly ipConfigurations: readonly SourceIpConfiguration[];
}

export interface SourceIpConfiguration {
  readonly name: string;
  readonly primary: boolean;
  readonly version: "IPv4" | "IPv6";
  readonly subnetName: string;
  readonly allocation: "Static" | "Dynamic";
  /** Undefined while a dynamic address is not assigned. */
  readonly address: string | undefined;
  readonly publicIpId: string | undefined;
}

interface SourceNetwork {
  readonly id: string;
  readonly name: string;
  readonly addressPrefixes: readonly string[];
  readonly subnets: readonly Subnet[];
}

export interface Subnet {
  readonly name: string;
  /** IPv4, for example `10.0.1.0/24`. */
  readonly addressPrefix: string;
}

/** One VM size as Azure's resource SKUs list it for a region. */
export interface VmSize {
  readonly name: string;
  readonly family: string;
  readonly cores: number;
  /** Fewer than `cores` in a constrained size, which has the memory and disks of a larger one. */
  readonly usableCores: number;
  readonly memoryMib: number;
  /** A system made for one does not boot on the other. */
  readonly architecture: "x64" | "Arm64";
  /** How the machine may see its disks. */
  readonly diskControllers: readonly ("SCSI" | "NVMe")[];
  readonly maxNics: number;
  readonly maxDataDisks: number;
  readonly premiumStorage: boolean;
  readonly acceleratedNetworking: boolean;
  readonly generations: readonly ("V1" | "V2")[];
  readonly trustedLaunch: boolean;
}

/** A size that the target region lists. */
export interface TargetSize extends VmSize {
  /** Not offered to this subscription, or not in this region. */
  readonly restricted: boolean;
  /** Zones where it is offered; empty in a region without zones. */
  readonly zones: readonly string[];
}
