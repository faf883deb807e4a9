import { ArmError, notSupported } from "./arm-error.ts";
import { keyOf, lastName, parseId, sameId } from "./ids.ts";
import type { JsonObject } from "./json.ts";
import type { Reference, ResourceRecord, ResourceType, World } from "./resource-type.ts";
import { referencesOf } from "./world.ts";

/**
 * Everything the draft names must exist, be ready, in the same region and free. Sources are checked only on creation.
 */
export function checkReferences(type: ResourceType, draft: ResourceRecord, world: World, isNew: boolean): void {
  const references = referencesOf(type, draft);
  refuseStrays(draft.body.properties, "properties", new Set(references.map(({ id }) => keyOf(id))), draft);
  for (const reference of references) {
    const { rule } = reference;
    if (rule.isSource === true && !isNew) continue;
    const parsed = parseId(reference.id);
    if (parsed === undefined || !rule.types.some((name) => sameId(name, parsed.type))) {
      throw new ArmError(
        400,
        "LinkedInvalidPropertyId",
        `Property id '${reference.id}' at path '${reference.path ?? ""}' is invalid.`,
      );
    }
    const target = world.named(reference.id);
    if (target === undefined || target.location !== draft.location) throw notFound(draft, reference);
    if (target.provisioningState !== "Succeeded") throw notReady(draft, target);
    if (rule.exclusive === true) refuseSecondUser(draft, target, world);
  }
}

/** Throws the type's error when another resource names this one or its children, which go with it. */
export function checkUnused(record: ResourceRecord, world: World): void {
  for (const held of [record, ...world.children(record.id)]) {
    const user = [...world.usersOf(held.id), ...world.formerUsersOf(held.id)].find(
      ({ reference }) => reference.rule.isSource !== true,
    )?.record;
    if (user === undefined || user.key === record.key || user.parentKey === record.key) continue;
    const type = world.typeOf(held.type);
    throw type.inUse?.(held, user) ?? new ArmError(409, "Conflict", `The resource ${held.id} is used by ${user.id}.`);
  }
}

function refuseSecondUser(draft: ResourceRecord, target: ResourceRecord, world: World): void {
  const users = [...world.usersOf(target.id), ...world.formerUsersOf(target.id)];
  const holder = users.find(
    ({ record, reference }) => reference.rule.exclusive === true && record.key !== draft.key,
  )?.record;
  if (holder === undefined) return;
  throw (
    world.typeOf(target.type).inUse?.(target, holder) ??
    new ArmError(409, "Conflict", `The resource ${target.id} is used by ${holder.id}.`)
  );
}

/** An id the type does not know would dangle: its effect in Azure is missing here. */
function refuseStrays(value: unknown, path: string, known: ReadonlySet<string>, draft: ResourceRecord): void {
  if (typeof value === "object" && value !== null) {
    for (const [name, inner] of Object.entries(value)) refuseStrays(inner, `${path}.${name}`, known, draft);
    return;
  }
  const isId = /id$/i.test(path) && typeof value === "string" && (parseId(value)?.type ?? "") !== "";
  if (!isId || known.has(keyOf(value)) || keyOf(value).startsWith(`${draft.key}/`)) return;
  throw notSupported(`the reference ${path} of ${draft.type}`);
}

/** Each provider words a missing resource its own way. */
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
    `The entity '${lastName(reference.id)}' of type ${reference.rule.types.join(" or ")} was not found in resource group '${group}' and region '${draft.location}'.`,
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

/** The properties that show the resource's users, as the users' types declare them. */
export function shownUsers(record: ResourceRecord, world: World): JsonObject {
  if (world.shownOn(record.type).length === 0) return {};
  const shown: Record<string, unknown> = {};
  for (const { record: user, reference } of world.usersOf(record.id)) {
    const { shownAs, exclusive, isShownInUpperCase } = reference.rule;
    if (shownAs === undefined) continue;
    const id = reference.path === undefined ? user.id : `${user.id}/${reference.path}`;
    const one = { id: isShownInUpperCase === true ? id.toUpperCase() : id };
    const before = shown[shownAs];
    shown[shownAs] = exclusive === true ? one : [...(Array.isArray(before) ? (before as unknown[]) : []), one];
  }
  return shown;
}

/** Drops the shown users from what a client read and sends again. */
export function withoutShownUsers<Properties extends JsonObject>(
  type: string,
  properties: Properties,
  world: World,
): Properties {
  const shown = world.shownOn(type);
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !shown.includes(name))) as Properties;
}
