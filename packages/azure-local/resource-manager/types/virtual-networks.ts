import { z } from "zod";
import { ArmError, invalidParameter, notSupported } from "../engine/arm-error.ts";
import { keyOf } from "../engine/ids.ts";
import { isObject } from "../engine/json.ts";
import { present } from "../engine/present.ts";
import { checkReferences, checkUnused, withoutShownUsers } from "../engine/references.ts";
import type { ResourceRecord, ResourceType, World } from "../engine/resource-type.ts";
import { contains, overlap, parseBlock } from "./addresses.ts";
import { COMMON_NAME, ID, NETWORK_DELETE, NETWORK_PUT, NETWORK_VERSION, TAGS } from "./shapes.ts";

const SUBNET_PROPERTIES = z.looseObject({
  addressPrefix: z.string().optional(),
  addressPrefixes: z.array(z.string()).optional(),
  networkSecurityGroup: ID.optional(),
});
const SUBNET = z.looseObject({ ...TAGS, properties: SUBNET_PROPERTIES });
type Subnet = z.infer<typeof SUBNET>;

const NETWORK = z.looseObject({
  ...TAGS,
  properties: z.looseObject({
    addressSpace: z.looseObject({ addressPrefixes: z.array(z.string()).min(1) }),
    subnets: z.array(z.looseObject({ name: z.string(), properties: SUBNET_PROPERTIES })).optional(),
    virtualNetworkPeerings: z.array(z.unknown()).optional(),
  }),
});
type Network = z.infer<typeof NETWORK>;

const SUBNET_TYPE = "Microsoft.Network/virtualNetworks/subnets";

export const virtualNetworks: ResourceType<Network> = {
  name: "Microsoft.Network/virtualNetworks",
  apiVersion: NETWORK_VERSION,
  naming: COMMON_NAME,
  schema: NETWORK,
  members: [],
  etagInBody: true,
  put: NETWORK_PUT,
  delete: NETWORK_DELETE,
  actions: {},
  admit: (draft, world, previous) => {
    const { subnets = [], ...properties } = draft.body.properties;
    if ((properties.virtualNetworkPeerings ?? []).length > 0) throw notSupported("peerings of virtual networks");
    const blocks = properties.addressSpace.addressPrefixes.map((prefix) => blockOf(prefix, draft.name));
    if (blocks.some((block, at) => blocks.some((other, before) => before < at && overlap(block, other)))) {
      throw new ArmError(400, "NetcfgInvalidVirtualNetworkSite", `The address space of ${draft.name} overlaps itself.`);
    }
    const resourceGuid = previous?.body.properties["resourceGuid"] ?? world.newGuid();
    const network = {
      ...draft,
      body: {
        ...draft.body,
        properties: { ...properties, resourceGuid, enableDdosProtection: false, virtualNetworkPeerings: [] },
      },
    };
    replaceSubnets(network, subnets, world);
    return network;
  },
  project: (record, world) => ({
    properties: { subnets: world.children(record.id).map((subnet) => present(subnet, subnets, world)) },
  }),
};

export const subnets: ResourceType<Subnet> = {
  name: SUBNET_TYPE,
  apiVersion: NETWORK_VERSION,
  naming: COMMON_NAME,
  schema: SUBNET,
  members: [],
  etagInBody: true,
  patch: "never",
  put: NETWORK_PUT,
  delete: NETWORK_DELETE,
  actions: {},
  references: [
    {
      types: ["Microsoft.Network/networkSecurityGroups"],
      shownAs: "subnets",
      find: ({ properties: { networkSecurityGroup } }) =>
        networkSecurityGroup === undefined ? [] : [{ id: networkSecurityGroup.id }],
    },
  ],
  inUse: (subnet, user) =>
    new ArmError(
      400,
      "InUseSubnetCannotBeDeleted",
      `Subnet ${subnet.name} is in use by ${user.id} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet.`,
    ),
  admit: (draft, world) => {
    const network = world.find(draft.parentKey ?? "");
    if (network === undefined) throw invalidParameter(`The subnet ${draft.id} has no virtual network.`);
    const siblings = world.children(network.id).filter((other) => other.key !== draft.key);
    checkSubnets(network, [draft, ...siblings]);
    return completed(draft);
  },
};

/** A subnet's first prefix; only one is supported. */
export function subnetBlock(subnet: ResourceRecord): ReturnType<typeof blockOf> {
  return blockOf(prefixOf(SUBNET.parse(subnet.body).properties, subnet.name), subnet.name);
}

/** A PUT of the network lists its subnets: an unlisted one is deleted, whoever made it. */
function replaceSubnets(
  network: ResourceRecord<Network>,
  listed: NonNullable<Network["properties"]["subnets"]>,
  world: World,
): void {
  const records = listed.map((subnet) => subnetRecord(network, subnet, world));
  const keys = new Set(records.map((record) => record.key));
  if (keys.size < records.length)
    throw new ArmError(400, "DuplicateResourceName", `Two subnets of ${network.name} have the same name.`);
  checkSubnets(network, records);
  for (const gone of world.children(network.id).filter((subnet) => !keys.has(subnet.key))) {
    checkUnused(gone, world);
    world.remove(gone.key);
  }
  for (const record of records) {
    checkReferences(subnets, record, world, true);
    world.put(record);
  }
}

function subnetRecord(
  network: ResourceRecord,
  subnet: { readonly name: string; readonly properties: Subnet["properties"] },
  world: World,
): ResourceRecord {
  if (!COMMON_NAME.test(subnet.name))
    throw new ArmError(400, "InvalidResourceName", `Resource name ${subnet.name} is invalid.`);
  const id = `${network.id}/subnets/${subnet.name}`;
  const previous = world.find(id);
  // What a client read earlier and sends again is not stored.
  const { provisioningState: _, ...properties } = withoutShownUsers(SUBNET_TYPE, subnet.properties, world);
  return completed({
    id: previous?.id ?? id,
    key: keyOf(id),
    type: SUBNET_TYPE,
    name: previous?.name ?? subnet.name,
    groupKey: network.groupKey,
    parentKey: network.key,
    location: network.location,
    body: { properties },
    hidden: {},
    provisioningState: "Updating",
    etag: world.newGuid(),
  });
}

function completed<Body extends Subnet>(subnet: ResourceRecord<Body>): ResourceRecord<Body> {
  const defaults = {
    delegations: [],
    privateEndpointNetworkPolicies: "Disabled",
    privateLinkServiceNetworkPolicies: "Enabled",
  };
  return { ...subnet, body: { ...subnet.body, properties: { ...defaults, ...subnet.body.properties } } };
}

function checkSubnets(network: ResourceRecord, all: readonly ResourceRecord[]): void {
  const space = NETWORK.parse(network.body).properties.addressSpace.addressPrefixes.map((prefix) =>
    blockOf(prefix, network.name),
  );
  const blocks = all.map((subnet) => ({ name: subnet.name, block: subnetBlock(subnet) }));
  for (const { name, block } of blocks) {
    if (!space.some((outer) => contains(outer, block))) {
      const message = `Subnet '${name}' is not valid because its IP address range is outside the IP address range of virtual network '${network.name}'.`;
      throw new ArmError(400, "NetcfgSubnetRangeOutsideVnet", message);
    }
    const other = blocks.find((candidate) => candidate.name !== name && overlap(candidate.block, block));
    if (other !== undefined) {
      throw new ArmError(
        400,
        "NetcfgSubnetRangesOverlap",
        `Subnet '${name}' is not valid because its IP address range overlaps with that of an existing subnet in virtual network '${network.name}'.`,
      );
    }
  }
}

function prefixOf(properties: unknown, name: string): string {
  const { addressPrefix, addressPrefixes } = (isObject(properties) ? properties : {}) as Subnet["properties"];
  const prefixes = addressPrefixes ?? (addressPrefix === undefined ? [] : [addressPrefix]);
  if (prefixes.length === 1 && prefixes[0] !== undefined) return prefixes[0];
  throw invalidParameter(`The subnet ${name} must have one address prefix.`);
}

function blockOf(prefix: string, name: string): NonNullable<ReturnType<typeof parseBlock>> {
  const block = parseBlock(prefix);
  if (block !== undefined) return block;
  throw new ArmError(
    400,
    "InvalidAddressPrefixFormat",
    `Address prefix ${prefix} of resource ${name} is not formatted correctly. It should follow CIDR notation, for example 10.0.0.0/24.`,
  );
}
