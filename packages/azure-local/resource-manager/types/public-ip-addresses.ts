import { z } from "zod";
import { ArmError } from "../engine/arm-error.ts";
import type { ResourceType, World } from "../engine/resource-type.ts";
import { formatAddress, parseBlock, type Block } from "./addresses.ts";
import { COMMON_NAME, NETWORK_DELETE, NETWORK_PUT, NETWORK_VERSION, SKU, TAGS, ZONES } from "./shapes.ts";

const BODY = z.looseObject({
  ...TAGS,
  ...ZONES,
  sku: SKU.optional(),
  properties: z.looseObject({
    publicIPAllocationMethod: z.enum(["Static", "Dynamic"]).optional(),
    publicIPAddressVersion: z.literal("IPv4").optional(),
  }),
});

const TYPE = "Microsoft.Network/publicIPAddresses";
/** For benchmarks, never routed (RFC 2544): cannot be mistaken for real addresses. */
const POOL: Block = parseBlock("198.18.0.0/15") ?? { first: 0, last: 0 };

export const publicIpAddresses: ResourceType<z.infer<typeof BODY>> = {
  name: TYPE,
  apiVersion: NETWORK_VERSION,
  naming: COMMON_NAME,
  schema: BODY,
  members: ["sku", "zones"],
  etagInBody: true,
  put: {
    ...NETWORK_PUT,
    settle: (record, world) => {
      const { publicIPAllocationMethod, ipAddress } = record.body.properties;
      if (publicIPAllocationMethod !== "Static" || ipAddress !== undefined) return record;
      return {
        ...record,
        body: { ...record.body, properties: { ...record.body.properties, ipAddress: freeAddress(world) } },
      };
    },
  },
  delete: NETWORK_DELETE,
  actions: {},
  inUse: (address, user) =>
    new ArmError(
      400,
      "PublicIPAddressCannotBeDeleted",
      `Public IP address ${address.id} can not be deleted since it is still allocated to resource ${user.id}. In order to delete the public IP, disassociate/detach the Public IP address from the resource.`,
    ),
  admit: (draft, world, previous) => {
    const sku = draft.body.sku ?? { name: "Standard", tier: "Regional" };
    const method = draft.body.properties.publicIPAllocationMethod ?? (sku.name === "Standard" ? "Static" : "Dynamic");
    if (sku.name === "Standard" && method === "Dynamic") {
      const message = `Standard sku publicIp ${draft.id} must have AllocationMethod set to Static.`;
      throw new ArmError(400, "StandardSkuPublicIPAddressMustBeStatic", message);
    }
    const kept = previous?.body.properties["ipAddress"];
    const resourceGuid = previous?.body.properties["resourceGuid"] ?? world.newGuid();
    const { ipAddress: _, ...given } = draft.body.properties;
    const properties = {
      publicIPAddressVersion: "IPv4" as const,
      idleTimeoutInMinutes: 4,
      ...given,
      publicIPAllocationMethod: method,
      resourceGuid,
    };
    return {
      ...draft,
      body: { ...draft.body, sku, properties: kept === undefined ? properties : { ...properties, ipAddress: kept } },
    };
  },
};

function freeAddress(world: World): string {
  const taken = new Set(world.ofType(TYPE).map((record) => record.body.properties["ipAddress"]));
  for (let address = POOL.first + 1; address < POOL.last; address++) {
    if (!taken.has(formatAddress(address))) return formatAddress(address);
  }
  throw new ArmError(409, "PublicIPAddressesExhausted", "There is no public address left.");
}
