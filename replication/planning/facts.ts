import type { Subnet, TargetSize } from "./inventory.ts";
import type { NameKind } from "./name-rules.ts";
import type { NetworkMapping } from "./network-mapping.ts";

/** What exists in the target subscription and region when the plan is made. */
export interface TargetFacts {
  /** The resource group of the function app: accounts that many items share live there (Site Recovery: the vault's). */
  readonly controlResourceGroup: string;
  /** The availability zones of the target region; empty when it has none. */
  readonly zones: readonly string[];
  /** Fault domains that an availability set of the region may have (2 or 3). */
  readonly maxFaultDomains: number;
  readonly resourceGroups: readonly { readonly name: string; readonly region: string }[];
  readonly networks: readonly TargetNetwork[];
  readonly mappings: readonly NetworkMapping[];
  readonly availabilitySets: readonly ExistingResource[];
  readonly storageAccounts: readonly ExistingStorageAccount[];
  readonly sizes: readonly TargetSize[];
  readonly quota: TargetQuota;
  /**
   * Names in use, or reserved by the plan of another item. Plans share resource groups, so those are never listed here.
   */
  readonly namesTaken: readonly TakenName[];
}

interface ExistingResource {
  readonly id: string;
  readonly name: string;
  readonly resourceGroup: string;
  readonly region: string;
}

export interface ExistingStorageAccount extends ExistingResource {
  /** What Leeward uses it for, by its tag; undefined for accounts of others, which are never a default. */
  readonly purpose: "cache" | "target" | undefined;
  readonly churn: "Normal" | "High";
}

export interface TargetNetwork extends ExistingResource {
  readonly addressPrefixes: readonly string[];
  readonly subnets: readonly TargetSubnet[];
}

export interface TargetSubnet extends Subnet {
  /** Addresses in use, or planned for another item. */
  readonly takenAddresses: readonly string[];
  /** Delegated to a service, which then has it exclusively. */
  readonly delegated: boolean;
}

interface TargetQuota {
  readonly coresLeft: number;
  /** By size family; a family that is not named has no limit of its own. */
  readonly familyCoresLeft: Readonly<Record<string, number>>;
  readonly nicsLeft: number;
}

interface TakenName {
  readonly kind: NameKind;
  /** The group, for kinds whose names are unique within one; else undefined. */
  readonly resourceGroup: string | undefined;
  readonly name: string;
  /** The item that it was made or reserved for: its own plan may take the name again. */
  readonly itemId: string | undefined;
}
