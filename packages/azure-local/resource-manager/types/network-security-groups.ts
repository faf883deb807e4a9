import { z } from "zod";
import { ArmError } from "../engine/arm-error.ts";
import type { ResourceType } from "../engine/resource-type.ts";
import { COMMON_NAME, NETWORK_DELETE, NETWORK_PUT, NETWORK_VERSION, TAGS } from "./shapes.ts";

const RULE = z.looseObject({
  name: z.string(),
  properties: z.looseObject({
    protocol: z.string(),
    access: z.enum(["Allow", "Deny"]),
    direction: z.enum(["Inbound", "Outbound"]),
    priority: z.number().int().min(100).max(4096),
  }),
});
const BODY = z.looseObject({ ...TAGS, properties: z.looseObject({ securityRules: z.array(RULE).optional() }) });

export const networkSecurityGroups: ResourceType<z.infer<typeof BODY>> = {
  name: "Microsoft.Network/networkSecurityGroups",
  apiVersion: NETWORK_VERSION,
  naming: COMMON_NAME,
  schema: BODY,
  members: [],
  etagInBody: true,
  put: NETWORK_PUT,
  delete: NETWORK_DELETE,
  actions: {},
  inUse: (group, user) =>
    new ArmError(
      400,
      "InUseNetworkSecurityGroupCannotBeDeleted",
      `Network security group ${group.id} cannot be deleted because it is in use by the following resources: ${user.id}.`,
    ),
  admit: (draft, world, previous) => {
    const { securityRules = [], ...properties } = draft.body.properties;
    const places = securityRules.map((rule) => `${rule.properties.direction}/${rule.properties.priority}`);
    if (new Set(places).size < places.length) {
      throw new ArmError(
        400,
        "SecurityRuleConflict",
        `Two security rules of ${draft.name} have the same priority and direction.`,
      );
    }
    const rules = securityRules.map((rule) => ({
      ...rule,
      id: `${draft.id}/securityRules/${rule.name}`,
      type: "Microsoft.Network/networkSecurityGroups/securityRules",
      properties: { ...rule.properties, provisioningState: "Succeeded" },
    }));
    const resourceGuid = previous?.body.properties["resourceGuid"] ?? world.newGuid();
    return { ...draft, body: { ...draft.body, properties: { ...properties, resourceGuid, securityRules: rules } } };
  },
};
