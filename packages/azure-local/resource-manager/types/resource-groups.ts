import { z } from "zod";
import { ArmError } from "../engine/arm-error.ts";
import type { ResourceRecord, ResourceType, Verb } from "../engine/resource-type.ts";
import { GROUP_TYPE } from "../engine/target.ts";
import { TAGS } from "./shapes.ts";

const BODY = z.looseObject({ ...TAGS, managedBy: z.string().optional(), properties: z.looseObject({}) });

const remove: Verb = {
  form: "location",
  durationMs: 30_000,
  state: "Deleting",
  work: async (group, runtime) => {
    const world = runtime.world();
    const leaving = world.inGroup(group.key);
    for (const record of leaving) {
      const user = world
        .usersOf(record.id)
        .find((use) => use.reference.rule.isSource !== true && use.record.groupKey !== group.key)?.record;
      if (user === undefined) continue;
      const message = `Deletion of resource group '${group.name}' failed as the resource ${record.id} is used by ${user.id}.`;
      throw new ArmError(409, "ResourceGroupDeletionBlocked", message);
    }
    // Machines first: they hold disks.
    for (const record of leaving.toSorted(machinesFirst))
      await world.typeOf(record.type).delete.work?.(record, runtime, {});
  },
  settle: (group, world) => {
    for (const record of world.inGroup(group.key)) world.remove(record.key);
    return group;
  },
};

function machinesFirst(one: ResourceRecord, other: ResourceRecord): number {
  const rank = (record: ResourceRecord): number =>
    record.type.startsWith("Microsoft.Compute/virtualMachines") ? 0 : 1;
  return rank(one) - rank(other);
}

export const resourceGroups: ResourceType = {
  name: GROUP_TYPE,
  apiVersion: "2025-04-01",
  naming: /^[\p{L}\p{N}_().-]{0,89}[\p{L}\p{N}_()-]$/u,
  schema: BODY,
  members: ["managedBy"],
  etagInBody: false,
  put: { form: "none", durationMs: 0, created: 201, updated: 200 },
  patch: "at-once",
  delete: remove,
  actions: {},
};
