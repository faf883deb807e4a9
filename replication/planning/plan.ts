import { canonicalDigest } from "../canonical-json.ts";
import type { DiskCaching } from "./inventory.ts";

/**
 * The resources of a test failover coexist with those of a failover: other names, other network, other addresses. No
 * flow plans a test failover yet.
 */
export type PlanPurpose = "failover" | "test-failover";

/**
 * Everything that will be made or used in the target region, as data: the dry run prints it, the flow executes exactly
 * it.
 */
export interface TargetPlan {
  readonly purpose: PlanPurpose;
  readonly region: string;
  readonly subscriptionId: string;
  readonly resourceGroup: PlannedResource;
  readonly network: PlannedNetwork;
  /** Undefined without one. */
  readonly availabilitySet:
    | (PlannedResource & { readonly faultDomains: number; readonly updateDomains: number })
    | undefined;
  readonly zone: string | undefined;
  readonly cacheAccount: PlannedStorageAccount;
  readonly targetAccount: PlannedStorageAccount;
  readonly disks: readonly PlannedDisk[];
  readonly nics: readonly PlannedNic[];
  readonly machine: PlannedMachine;
  /** Limitations that the operator should know and nothing can change: things that do not move with a VM. */
  readonly notices: readonly PlanNotice[];
}

export type PlanDecision =
  | { readonly kind: "planned"; readonly plan: TargetPlan; readonly digest: string }
  | { readonly kind: "refused"; readonly refusals: readonly PlanRefusal[] };

/** Why a resource is planned this way. */
export type PlanRule =
  | "customised"
  | "default-name"
  | "default-name-taken"
  | "exists"
  | "mapping"
  | "same-subnet-name"
  | "first-subnet"
  | "same-size"
  | "nearest-size"
  | "same-zone"
  | "no-zone-in-target"
  | "as-source"
  | "dynamic-address"
  | "same-address"
  | "next-free-address"
  | "last-free-address";

export interface PlannedResource {
  readonly id: string;
  readonly name: string;
  readonly resourceGroup: string;
  readonly region: string;
  readonly action: "create" | "reuse";
  readonly why: PlanRule;
}

export interface PlannedNetwork extends PlannedResource {
  /** All prefixes when the network is created. Azure deletes subnets that a later PUT leaves out, so all are here. */
  readonly addressPrefixes: readonly string[];
  readonly subnets: readonly { readonly name: string; readonly addressPrefix: string }[];
  /** Set when the network is new to the source network: the mapping in both directions is made together with it. */
  readonly mapBothWays: boolean;
}

export interface PlannedStorageAccount extends PlannedResource {
  readonly purpose: "cache" | "target";
  /** High churn needs a Premium block blob account as cache; page blobs are Standard. */
  readonly accountKind: "StorageV2" | "BlockBlobStorage";
  readonly sku: "Standard_LRS" | "Premium_LRS";
}

export interface PlannedDisk {
  readonly sourceId: string;
  /** Undefined for the OS disk. */
  readonly lun: number | undefined;
  /** The replica: a page blob of the target account, so it has no SKU of its own. */
  readonly replicaName: string;
  readonly disk: PlannedResource & {
    readonly sku: string;
    readonly sizeBytes: number;
    readonly diskEncryptionSetId: string | undefined;
  };
  readonly caching: DiskCaching;
}

/** The flow makes static NICs first, so that Azure gives none of their addresses to a dynamic one. */
export interface PlannedNic extends PlannedResource {
  readonly sourceId: string;
  readonly primary: boolean;
  readonly acceleratedNetworking: boolean;
  readonly subnetName: string;
  readonly whySubnet: PlanRule;
  readonly allocation: "Static" | "Dynamic";
  /** Undefined when Azure assigns it. */
  readonly address: string | undefined;
  readonly whyAddress: PlanRule;
  readonly sourceAddress: string | undefined;
  readonly publicIpId: string | undefined;
  readonly networkSecurityGroupId: string | undefined;
}

export interface PlannedMachine extends PlannedResource {
  readonly sizeName: string;
  readonly whySize: PlanRule;
  readonly osType: "Windows" | "Linux";
  readonly generation: "V1" | "V2";
  readonly securityType: "Standard" | "TrustedLaunch";
  readonly secureBoot: boolean;
  readonly vTpm: boolean;
  readonly licenseType: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
}

export type PlanNoticeCode =
  | "public-ip-not-kept"
  | "network-security-group-not-kept"
  | "secondary-address-not-kept"
  | "ipv6-not-kept"
  | "address-changes"
  | "address-given-again"
  | "size-changes"
  | "zone-not-kept"
  | "vtpm-state-not-kept"
  | "accelerated-networking-not-kept"
  | "disk-sku-changes"
  | "test-in-failover-network";

export interface PlanNotice {
  readonly code: PlanNoticeCode;
  /** Name of the source resource that it is about. */
  readonly subject: string;
  readonly message: string;
}

/** Every reason why there is no plan, with what the operator can do. */
export const PLAN_REFUSALS = {
  "target-region-is-source": "Choose a target region other than the source's.",
  "inventory-invalid": "The VM cannot be read as one VM with its disks and network; look at what the message names.",
  "option-invalid": "Correct the option that the message names.",
  "disk-kind-unsupported":
    "Exclude the disk, or change its type; Ultra, Premium v2, shared, ephemeral and write-accelerated disks are not replicated.",
  "disk-size-unsupported": "A disk has 1 GiB to 8 TiB - 1 MiB, in multiples of 512 bytes.",
  "too-many-disks": "A VM has at most 64 data disks.",
  "encryption-set-needed": "Name the disk encryption set of the target region for this disk.",
  "security-type-unsupported": "Confidential VMs cannot be replicated.",
  "name-invalid": "Choose a name that Azure takes.",
  "name-taken": "Choose another name, or remove what has it.",
  "resource-in-other-region": "Choose a resource of the target region, or another name.",
  "resource-unknown": "Choose a resource that exists in the target subscription.",
  "address-space-clash": "Choose address prefixes that do not overlap, and subnets inside them.",
  "subnet-unknown": "Choose a subnet of the target network.",
  "no-subnet": "The target network has no subnet that VMs may use; add one.",
  "no-free-address": "Free an address of the subnet, or choose another subnet.",
  "address-invalid": "Choose an address inside the subnet that Azure does not keep for itself.",
  "address-taken": "Choose another address; this one is in use or planned for another item.",
  "size-unavailable":
    "Choose a size that the target region offers to this subscription and that takes the disks and NICs.",
  "quota-short": "Ask for more quota in the target region, or choose a smaller size.",
} as const;

export type PlanRefusalCode = keyof typeof PLAN_REFUSALS;

export interface PlanRefusal {
  readonly code: PlanRefusalCode;
  /** Name of the source resource, or of the option, that it is about. */
  readonly subject: string;
  readonly message: string;
}

/**
 * SHA-256 of the plan, independent of key order: a plan shown in a dry run is executed exactly, or refused when the
 * facts have changed.
 */
export function planDigest(plan: TargetPlan): string {
  return canonicalDigest(plan);
}
