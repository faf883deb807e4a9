import type { JsonObject } from "./json.ts";
import { shownUsers } from "./references.ts";
import type { ResourceRecord, ResourceType, World } from "./resource-type.ts";

/** The resource as answered: a fresh object without hidden members. */
export function present(
  record: ResourceRecord,
  type: ResourceType,
  world: World,
  query = new URLSearchParams(),
): JsonObject {
  const projected = type.project?.(record, world, query) ?? {};
  const kept: JsonObject = Object.fromEntries(
    Object.entries(record.body).filter(([name]) => type.members.includes(name)),
  );
  const { tags } = record.body;
  return structuredClone({
    id: record.id,
    name: record.name,
    type: record.type,
    ...(record.parentKey === undefined || record.type.startsWith("Microsoft.Compute/")
      ? { location: record.location }
      : {}),
    ...(tags === undefined ? {} : { tags }),
    ...(type.etagInBody ? { etag: etagOf(record) } : {}),
    ...kept,
    ...projected.members,
    properties: {
      ...record.body.properties,
      ...projected.properties,
      ...shownUsers(record, world),
      ...(type.hidesState === true ? {} : { provisioningState: record.provisioningState }),
    },
  });
}

/** Microsoft.Network answers weak validators. */
export function etagOf(record: ResourceRecord): string {
  return record.type.startsWith("Microsoft.Network/") ? `W/"${record.etag}"` : `"${record.etag}"`;
}
