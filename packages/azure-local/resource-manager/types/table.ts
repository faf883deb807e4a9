import type { ResourceType } from "../engine/resource-type.ts";
import { availabilitySets } from "./availability-sets.ts";
import { disks, snapshots } from "./disks.ts";
import { extensions } from "./extensions.ts";
import { networkInterfaces } from "./network-interfaces.ts";
import { networkSecurityGroups } from "./network-security-groups.ts";
import { publicIpAddresses } from "./public-ip-addresses.ts";
import { resourceGroups } from "./resource-groups.ts";
import { storageAccounts } from "./storage-accounts.ts";
import { virtualMachines } from "./virtual-machines.ts";
import { subnets, virtualNetworks } from "./virtual-networks.ts";

/** Every resource type of the local Resource Manager. */
export const TYPES: readonly ResourceType[] = [
  resourceGroups,
  virtualNetworks,
  subnets,
  networkSecurityGroups,
  publicIpAddresses,
  networkInterfaces,
  availabilitySets,
  storageAccounts,
  disks,
  snapshots,
  virtualMachines,
  extensions,
];
