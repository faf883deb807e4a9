import { z } from "zod";
import { ArmError, invalidParameter } from "../engine/arm-error.ts";
import type { ResourceType } from "../engine/resource-type.ts";
import { COMMON_NAME, COMPUTE_VERSION, SKU, TAGS } from "./shapes.ts";

const BODY = z.looseObject({
  ...TAGS,
  sku: SKU.optional(),
  properties: z.looseObject({
    platformFaultDomainCount: z.number().int().min(1).max(3).optional(),
    platformUpdateDomainCount: z.number().int().min(1).max(20).optional(),
  }),
});

export const availabilitySets: ResourceType<z.infer<typeof BODY>> = {
  name: "Microsoft.Compute/availabilitySets",
  apiVersion: COMPUTE_VERSION,
  naming: COMMON_NAME,
  schema: BODY,
  members: ["sku"],
  etagInBody: false,
  hidesState: true,
  patch: "at-once",
  put: { form: "none", durationMs: 0, created: 200, updated: 200 },
  delete: { form: "none", durationMs: 0 },
  actions: {},
  inUse: (set) =>
    new ArmError(
      409,
      "OperationNotAllowed",
      `Availability Set '${set.name}' cannot be deleted. Before deleting an Availability Set please ensure that it does not contain any VM.`,
    ),
  admit: (draft, _world, previous) => {
    const properties = { platformFaultDomainCount: 2, platformUpdateDomainCount: 5, ...draft.body.properties };
    const before = previous?.body.properties;
    for (const name of ["platformFaultDomainCount", "platformUpdateDomainCount"] as const) {
      if (before === undefined || before[name] === properties[name]) continue;
      throw new ArmError(409, "PropertyChangeNotAllowed", `Changing property '${name}' is not allowed.`);
    }
    const sku = draft.body.sku ?? { name: "Classic" };
    if (!["Aligned", "Classic"].includes(sku.name))
      throw invalidParameter(`The sku ${sku.name} is neither Aligned nor Classic.`);
    return { ...draft, body: { ...draft.body, sku, properties } };
  },
  // A set without machines says so.
  project: () => ({ properties: { virtualMachines: [] } }),
};
