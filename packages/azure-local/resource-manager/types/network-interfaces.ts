import { z } from "zod";
import { ArmError, invalidParameter } from "../engine/arm-error.ts";
import { sameId } from "../engine/ids.ts";
import type { ResourceRecord, ResourceType, World } from "../engine/resource-type.ts";
import { formatAddress, isReserved, parseAddress } from "./addresses.ts";
import { COMMON_NAME, ID, NETWORK_DELETE, NETWORK_PUT, NETWORK_VERSION, TAGS } from "./shapes.ts";
import { subnetBlock } from "./virtual-networks.ts";

const CONFIGURATION = z.looseObject({
  name: z.string(),
  properties: z.looseObject({
    subnet: ID,
    privateIPAddress: z.string().optional(),
    privateIPAddressVersion: z.literal("IPv4").optional(),
    privateIPAllocationMethod: z.enum(["Static", "Dynamic"]).optional(),
    publicIPAddress: ID.optional(),
    primary: z.boolean().optional(),
  }),
});
const BODY = z.looseObject({
  ...TAGS,
  properties: z.looseObject({
    ipConfigurations: z.array(CONFIGURATION).min(1),
    networkSecurityGroup: ID.optional(),
    enableAcceleratedNetworking: z.boolean().optional(),
    enableIPForwarding: z.boolean().optional(),
  }),
});
type Body = z.infer<typeof BODY>;
type Configuration = z.infer<typeof CONFIGURATION>;

const TYPE = "Microsoft.Network/networkInterfaces";

export const networkInterfaces: ResourceType<Body> = {
  name: TYPE,
  apiVersion: NETWORK_VERSION,
  naming: COMMON_NAME,
  schema: BODY,
  members: [],
  etagInBody: true,
  // Azure creates an interface at once, but other networks by an operation.
  put: { ...NETWORK_PUT, form: "none" },
  delete: NETWORK_DELETE,
  actions: {},
  references: [
    {
      types: ["Microsoft.Network/virtualNetworks/subnets"],
      shownAs: "ipConfigurations",
      find: ({ properties }) =>
        properties.ipConfigurations.map(({ name, properties: { subnet } }) => ({
          id: subnet.id,
          path: `ipConfigurations/${name}`,
        })),
    },
    {
      types: ["Microsoft.Network/publicIPAddresses"],
      shownAs: "ipConfiguration",
      exclusive: true,
      find: ({ properties }) =>
        properties.ipConfigurations.flatMap(({ name, properties: { publicIPAddress } }) =>
          publicIPAddress === undefined ? [] : [{ id: publicIPAddress.id, path: `ipConfigurations/${name}` }],
        ),
    },
    {
      types: ["Microsoft.Network/networkSecurityGroups"],
      shownAs: "networkInterfaces",
      find: ({ properties: { networkSecurityGroup } }) =>
        networkSecurityGroup === undefined ? [] : [{ id: networkSecurityGroup.id }],
    },
  ],
  inUse: (nic, user) =>
    new ArmError(
      400,
      "NicInUse",
      `Network Interface ${nic.id} is used by existing resource ${user.id}. In order to delete the network interface, it must be dissociated from the resource.`,
    ),
  admit: (draft, world, previous) => {
    const { ipConfigurations, primary: _, ...properties } = draft.body.properties;
    if (new Set(ipConfigurations.map(({ name }) => name)).size < ipConfigurations.length) {
      throw new ArmError(400, "DuplicateResourceName", `Two IP configurations of ${draft.name} have the same name.`);
    }
    if (ipConfigurations.filter((each) => each.properties.primary === true).length > 1) {
      throw new ArmError(
        400,
        "MultiplePrimaryIpConfigurations",
        `Network interface ${draft.name} has more than one primary IP configuration.`,
      );
    }
    const mine = new Set<string>();
    const placed = ipConfigurations.map((configuration, at) =>
      place(configuration, at === 0, { draft, previous, world, mine }),
    );
    const defaults = { enableAcceleratedNetworking: false, enableIPForwarding: false };
    const resourceGuid = previous?.body.properties["resourceGuid"] ?? world.newGuid();
    return {
      ...draft,
      body: { ...draft.body, properties: { ...defaults, ...properties, resourceGuid, ipConfigurations: placed } },
    };
  },
};

interface Placement {
  readonly draft: ResourceRecord<Body>;
  readonly previous: ResourceRecord<Body> | undefined;
  readonly world: World;
  /** Addresses of this interface's earlier configurations. */
  readonly mine: Set<string>;
}

/** Assigns the configuration's address: the requested, the previous, or the first free one. */
function place(
  configuration: Configuration,
  isFirst: boolean,
  { draft, previous, world, mine }: Placement,
): Configuration {
  const { properties } = configuration;
  const subnet = world.find(properties.subnet.id);
  // The reference check reports a missing subnet.
  if (subnet === undefined) return configuration;
  const block = subnetBlock(subnet);
  const taken = new Set([...mine, ...addressesIn(properties.subnet.id, draft.key, world)]);
  const method = properties.privateIPAllocationMethod ?? "Dynamic";
  const before = previous?.body.properties.ipConfigurations.find(({ name }) => name === configuration.name)?.properties;
  const kept =
    before !== undefined && sameId(before.subnet.id, properties.subnet.id) ? before.privateIPAddress : undefined;
  const wanted = method === "Static" ? properties.privateIPAddress : kept;
  if (method === "Static" && wanted === undefined)
    throw invalidParameter(`The static IP configuration ${configuration.name} has no privateIPAddress.`);
  const address = wanted ?? firstFree(block, taken);
  if (address === undefined)
    throw new ArmError(400, "SubnetIsFull", `Subnet ${subnet.name} does not have enough capacity for 1 IP addresses.`);
  checkAddress(address, block, taken, subnet);
  mine.add(address);
  return {
    ...configuration,
    id: `${draft.id}/ipConfigurations/${configuration.name}`,
    type: `${TYPE}/ipConfigurations`,
    properties: {
      primary: isFirst,
      privateIPAddressVersion: "IPv4",
      ...properties,
      privateIPAddress: address,
      privateIPAllocationMethod: method,
      provisioningState: "Succeeded",
    },
  };
}

function checkAddress(
  address: string,
  block: ReturnType<typeof subnetBlock>,
  taken: ReadonlySet<string>,
  subnet: ResourceRecord,
): void {
  const number = parseAddress(address);
  if (number === undefined)
    throw new ArmError(400, "InvalidIPAddressFormat", `The address ${address} is not formatted correctly.`);
  if (number < block.first || number > block.last) {
    throw new ArmError(
      400,
      "PrivateIPAddressNotInSubnet",
      `Private static IP address ${address} does not belong to the range of subnet ${subnet.name}.`,
    );
  }
  if (isReserved(block, number)) {
    throw new ArmError(
      400,
      "PrivateIPAddressInReservedRange",
      `Private static IP address ${address} falls within reserved IP range of subnet ${subnet.name}.`,
    );
  }
  if (taken.has(address)) {
    throw new ArmError(
      400,
      "PrivateIPAddressIsAllocated",
      `IP configuration is using the private IP address ${address} which is already allocated to another resource.`,
    );
  }
}

function addressesIn(subnetId: string, exceptKey: string, world: World): readonly string[] {
  const users = new Map(world.usersOf(subnetId).map(({ record }) => [record.key, record]));
  return [...users.values()]
    .filter((record) => record.type === TYPE && record.key !== exceptKey)
    .flatMap((record) => BODY.parse(record.body).properties.ipConfigurations)
    .flatMap(({ properties }) =>
      sameId(properties.subnet.id, subnetId) && properties.privateIPAddress !== undefined
        ? [properties.privateIPAddress]
        : [],
    );
}

function firstFree(block: ReturnType<typeof subnetBlock>, taken: ReadonlySet<string>): string | undefined {
  for (let address = block.first; address <= block.last; address++) {
    if (!isReserved(block, address) && !taken.has(formatAddress(address))) return formatAddress(address);
  }
  return undefined;
}
