import type { TargetFacts } from "../planning/facts.ts";
import { type NameKind, regionName } from "../planning/name-rules.ts";
import { parsePath, sameId } from "./ids.ts";
import { listOf, numberOf, textOf, textsOf } from "./json.ts";
import type { ResourceJson } from "./resource-manager.ts";
import { maxFaultDomainsOf, sizesOf, zonesOf } from "./sizes.ts";
import { subnetsOf } from "./source-machine.ts";
import { itemOf, PURPOSE_TAG, tagOf } from "./tags.ts";

/**
 * The contents of the target subscription, as Resource Manager lists them: all resource groups, networks, ... of the
 * subscription.
 */
export interface TargetResources {
  readonly resourceGroups: readonly ResourceJson[];
  readonly networks: readonly ResourceJson[];
  readonly nics: readonly ResourceJson[];
  readonly availabilitySets: readonly ResourceJson[];
  readonly storageAccounts: readonly ResourceJson[];
  readonly disks: readonly ResourceJson[];
  readonly machines: readonly ResourceJson[];
  /** Of the target region. */
  readonly skus: readonly ResourceJson[];
  readonly computeUsages: readonly ResourceJson[];
  readonly networkUsages: readonly ResourceJson[];
}

/** Leeward's own knowledge. */
export interface KnownFacts {
  readonly targetRegion: string;
  readonly controlResourceGroup: string;
  readonly mappings: TargetFacts["mappings"];
  /** Names and addresses that the plans of other items have reserved. */
  readonly reservedNames: TargetFacts["namesTaken"];
  readonly reservedAddresses: readonly { readonly subnetId: string; readonly address: string }[];
}

/** Converts Azure's answers to the input of planning. Where Azure sets no limit, there is always capacity. */
export function targetFactsOf(resources: TargetResources, known: KnownFacts): TargetFacts {
  const { targetRegion } = known;
  const sizes = sizesOf(resources.skus, targetRegion);
  const taken = [...known.reservedAddresses, ...addressesOf(resources.nics)];
  const { cores, families } = coresLeft(resources.computeUsages);
  return {
    controlResourceGroup: known.controlResourceGroup,
    zones: zonesOf(sizes),
    maxFaultDomains: maxFaultDomainsOf(resources.skus, targetRegion),
    resourceGroups: resources.resourceGroups.map((group) => ({
      name: textOf(group, "name") ?? "",
      region: regionOf(group),
    })),
    networks: resources.networks.map((network) => networkOf(network, taken)),
    mappings: known.mappings,
    availabilitySets: resources.availabilitySets.map(placeOf),
    storageAccounts: resources.storageAccounts.map(accountOf),
    sizes,
    quota: {
      coresLeft: cores,
      familyCoresLeft: families,
      nicsLeft: leftOf(resources.networkUsages, "NetworkInterfaces"),
    },
    namesTaken: [
      ...known.reservedNames,
      ...namesOf("virtual-network", resources.networks),
      ...namesOf("network-interface", resources.nics),
      ...namesOf("availability-set", resources.availabilitySets),
      ...namesOf("disk", resources.disks),
      ...namesOf("virtual-machine", resources.machines),
      ...namesOf("storage-account", resources.storageAccounts),
    ],
  };
}

const regionOf = (resource: ResourceJson): string => regionName(textOf(resource, "location") ?? "");

function placeOf(resource: ResourceJson): TargetFacts["availabilitySets"][number] {
  const id = textOf(resource, "id") ?? "";
  const path = parsePath(id);
  return {
    id,
    name: textOf(resource, "name") ?? path?.name ?? "",
    resourceGroup: path?.resourceGroup ?? "",
    region: regionOf(resource),
  };
}

function networkOf(network: ResourceJson, taken: KnownFacts["reservedAddresses"]): TargetFacts["networks"][number] {
  const takenIn = (subnetId: string): readonly string[] =>
    taken.filter((used) => sameId(used.subnetId, subnetId)).map(({ address }) => address);
  return {
    ...placeOf(network),
    addressPrefixes: textsOf(network, "properties", "addressSpace", "addressPrefixes"),
    subnets: subnetsOf(network).map(({ id, name, addressPrefix, json }) => ({
      name,
      addressPrefix,
      takenAddresses: takenIn(id),
      delegated: listOf(json, "properties", "delegations").length > 0,
    })),
  };
}

/**
 * Addresses in use are those of NICs, private endpoints included. Azure itself refuses the address of a load balancer.
 */
function addressesOf(nics: readonly ResourceJson[]): KnownFacts["reservedAddresses"] {
  return nics
    .flatMap((nic) => listOf(nic, "properties", "ipConfigurations"))
    .flatMap((part) => {
      const subnetId = textOf(part, "properties", "subnet", "id");
      const address = textOf(part, "properties", "privateIPAddress");
      return subnetId === undefined || address === undefined ? [] : [{ subnetId, address }];
    });
}

function accountOf(account: ResourceJson): TargetFacts["storageAccounts"][number] {
  const purpose = tagOf(account, PURPOSE_TAG);
  return {
    ...placeOf(account),
    purpose: purpose === "cache" || purpose === "target" ? purpose : undefined,
    churn: textOf(account, "kind") === "BlockBlobStorage" ? "High" : "Normal",
  };
}

function namesOf(kind: NameKind, resources: readonly ResourceJson[]): TargetFacts["namesTaken"] {
  return resources.map((resource) => {
    const { name, resourceGroup } = placeOf(resource);
    return {
      kind,
      name,
      resourceGroup: kind === "storage-account" ? undefined : resourceGroup,
      itemId: itemOf(resource),
    };
  });
}

function coresLeft(usages: readonly ResourceJson[]): {
  readonly cores: number;
  readonly families: Readonly<Record<string, number>>;
} {
  const families = usages
    .flatMap((usage) => textOf(usage, "name", "value") ?? [])
    .filter((name) => /Family$/i.test(name))
    .map((name) => [name, leftOf(usages, name)] as const);
  return { cores: leftOf(usages, "cores"), families: Object.fromEntries(families) };
}

function leftOf(usages: readonly ResourceJson[], name: string): number {
  const usage = usages.find((candidate) => textOf(candidate, "name", "value") === name);
  const [limit, current] = [numberOf(usage, "limit"), numberOf(usage, "currentValue")];
  return limit === undefined || current === undefined ? Number.MAX_SAFE_INTEGER : Math.max(0, limit - current);
}
