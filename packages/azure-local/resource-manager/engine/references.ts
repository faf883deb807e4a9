import { ArmError, notSupported } from "./arm-error.ts";
import { keyOf, lastName, parseId, sameId } from "./ids.ts";
import type { Reference, ResourceRecord, ResourceType, World } from "./resource-type.ts";
import { referencesOf } from "./world.ts";

/**
 * Everything that the draft names must be there, ready, in the same region and free. What a resource was made from is
 * looked at only then.
 */
export function checkReferences(type: ResourceType, draft: ResourceRecord, world: World, isNew: boolean): void {
  const references = referencesOf(type, draft);
  refuseStrays(draft.body.properties, "properties", new Set(references.map(({ id }) => keyOf(id))), draft);
  for (const reference of references) {
    if (!reference.holds && !isNew) continue;
    const parsed = parseId(reference.id);
    if (parsed === undefined || !reference.types.some((name) => sameId(name, parsed.type))) {
      throw new ArmError(
        400,
        "LinkedInvalidPropertyId",
        `Property id '${reference.id}' at path '${reference.path ?? ""}' is invalid.`,
      );
    }
    const target = world.named(reference.id);
    if (target === undefined || target.location !== draft.location) throw notFound(draft, reference);
    if (target.provisioningState !== "Succeeded") throw notReady(draft, target);
    if (reference.exclusive === true) checkFree(draft, target, world);
  }
}

/** Throws what the type says when somebody holds the resource or one of its children. Children go with it. */
export function checkUnused(record: ResourceRecord, world: World): void {
  for (const held of [record, ...world.children(record.id)]) {
    const user = [...world.usersOf(held.id), ...world.formerUsersOf(held.id)].find(
      ({ reference }) => reference.holds,
    )?.record;
    if (user === undefined || user.key === record.key || user.parentKey === record.key) continue;
    const type = world.typeOf(held.type);
    throw type.inUse?.(held, user) ?? new ArmError(409, "Conflict", `The resource ${held.id} is used by ${user.id}.`);
  }
}

function checkFree(draft: ResourceRecord, target: ResourceRecord, world: World): void {
  const users = [...world.usersOf(target.id), ...world.formerUsersOf(target.id)];
  const holder = users.find(
    ({ record, reference }) => reference.exclusive === true && record.key !== draft.key,
  )?.record;
  if (holder === undefined) return;
  throw (
    world.typeOf(target.type).inUse?.(target, holder) ??
    new ArmError(409, "Conflict", `The resource ${target.id} is used by ${holder.id}.`)
  );
}

/** An id that the type does not know would dangle: what it would do in Azure it cannot do here. */
function refuseStrays(value: unknown, path: string, known: ReadonlySet<string>, draft: ResourceRecord): void {
  if (typeof value === "object" && value !== null) {
    for (const [name, inner] of Object.entries(value)) refuseStrays(inner, `${path}.${name}`, known, draft);
    return;
  }
  const isId = /id$/i.test(path) && typeof value === "string" && (parseId(value)?.type ?? "") !== "";
  if (!isId || known.has(keyOf(value)) || keyOf(value).startsWith(`${draft.key}/`)) return;
  throw notSupported(`the reference ${path} of ${draft.type}`);
}

/** Each provider has its own words for a thing that is missing. */
function notFound(draft: ResourceRecord, reference: Reference): ArmError {
  if (draft.type.startsWith("Microsoft.Network/")) {
    return new ArmError(
      400,
      "InvalidResourceReference",
      `Resource ${reference.id} referenced by resource ${draft.id} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
    );
  }
  const group = parseId(reference.id)?.groupName ?? "";
  return new ArmError(
    404,
    "NotFound",
    `The entity '${lastName(reference.id)}' of type ${reference.types.join(" or ")} was not found in resource group '${group}' and region '${draft.location}'.`,
  );
}

function notReady(draft: ResourceRecord, target: ResourceRecord): ArmError {
  const message = `Cannot proceed with operation because resource ${target.id} used by resource ${draft.id} is not in Succeeded state. Resource is in ${target.provisioningState} state.`;
  if (draft.type.startsWith("Microsoft.Network/")) {
    return new ArmError(429, "RetryableError", "A retryable error occurred.", {
      details: [{ code: "ReferencedResourceNotProvisioned", message }],
      retryAfterSeconds: 1,
    });
  }
  return new ArmError(409, "OperationNotAllowed", message);
}

/** Back references, as `{ id }`: what is below the user where the reference says so. */
export function backReferences(
  record: ResourceRecord,
  world: World,
  userType: string,
): readonly { readonly id: string }[] {
  return world
    .usersOf(record.id)
    .filter(({ record: user }) => keyOf(user.type) === keyOf(userType))
    .map(({ record: user, reference }) => ({
      id: reference.path === undefined ? user.id : `${user.id}/${reference.path}`,
    }));
}
