import type { TargetFacts } from "./facts.ts";
import type { SourceMachine } from "./inventory.ts";
import { sameName } from "./name-rules.ts";
import type { PlanPurpose } from "./plan.ts";

/**
 * The operator's choices; everything left out follows Site Recovery's defaults. Disks and NICs are named by their
 * source ids, in any case.
 */
export interface PlanOptions {
  readonly targetRegion: string;
  /** The source's subscription unless chosen. */
  readonly subscriptionId?: string;
  readonly resourceGroup?: string;
  readonly machineName?: string;
  readonly sizeName?: string;
  /** The network of a failover, or of a test failover when the plan is for one. */
  readonly network?: NetworkOption;
  readonly availability?:
    | { readonly kind: "none" }
    | { readonly kind: "availability-set"; readonly name: string }
    | { readonly kind: "zone"; readonly zone: string };
  readonly cacheAccountName?: string;
  readonly targetAccountName?: string;
  /** High churn: decided when protection is enabled. */
  readonly churn?: "Normal" | "High";
  readonly disks?: Readonly<Record<string, DiskOption>>;
  readonly nics?: Readonly<Record<string, NicOption>>;
}

export type NetworkOption =
  | { readonly kind: "existing"; readonly id: string }
  | {
      readonly kind: "new";
      readonly name?: string;
      /** The source's address space and subnets unless chosen. */
      readonly addressPrefixes?: readonly string[];
      readonly subnets?: readonly { readonly name: string; readonly addressPrefix: string }[];
      /** Networks that it will be peered with: their address space must not overlap. */
      readonly peerWith?: readonly string[];
    };

interface DiskOption {
  readonly name?: string;
  readonly replicaName?: string;
  /** SKU of the disk that a failover makes; the source's unless chosen. */
  readonly targetSku?: string;
  readonly diskEncryptionSetId?: string;
}

export interface NicOption {
  readonly name?: string;
  readonly subnetName?: string;
  /** Static; free in the subnet. */
  readonly address?: string;
  readonly publicIpId?: string;
  readonly networkSecurityGroupId?: string;
  readonly acceleratedNetworking?: boolean;
}

/** All inputs of a plan. The same input gives the same plan, to the byte. */
export interface PlanInput {
  readonly itemId: string;
  readonly purpose: PlanPurpose;
  readonly source: SourceMachine;
  readonly options: PlanOptions;
  readonly facts: TargetFacts;
}

/** The operator's choices for one disk or NIC. */
export function optionFor<Option>(
  options: Readonly<Record<string, Option>> | undefined,
  sourceId: string,
): Option | undefined {
  return Object.entries(options ?? {}).find(([id]) => sameName(id, sourceId))?.[1];
}
