import { ArmError, resourceNotFound } from "./arm-error.ts";
import { lastName } from "./ids.ts";
import type { ResourceRecord, World } from "./resource-type.ts";
import { GROUP_TYPE, type Place } from "./target.ts";

/** For reads: as Azure shows it, possibly a moment behind. */
export function existing(at: Place, world: World): ResourceRecord {
  const record = world.seen(at.id);
  if (record !== undefined) return record;
  if (at.type.name === GROUP_TYPE) throw groupNotFound(at.name);
  existingGroup(at.groupName, at, world);
  throw resourceNotFound(at.type.name, at.name, at.groupName);
}

export function existingGroup(
  groupName: string,
  parts: { readonly subscriptionId: string },
  world: World,
): ResourceRecord {
  const group = world.named(`/subscriptions/${parts.subscriptionId}/resourceGroups/${groupName}`);
  if (group === undefined) throw groupNotFound(groupName);
  return group;
}

export function parentNotFound(id: string): ArmError {
  const message = `Can not perform requested operation on nested resource. Parent resource '${lastName(id)}' not found.`;
  return new ArmError(404, "ParentResourceNotFound", message);
}

export function groupNotFound(name: string): ArmError {
  return new ArmError(404, "ResourceGroupNotFound", `Resource group '${name}' could not be found.`);
}
