import { keyOf } from "./ids.ts";
import type { CloudFacts, Reference, ResourceRecord, ResourceType, World } from "./resource-type.ts";
import type { ArmStore } from "./store.ts";
import { typeNamed } from "./target.ts";

export interface WorldParts {
  readonly store: ArmStore;
  readonly types: readonly ResourceType[];
  readonly facts: CloudFacts;
  readonly newGuid: () => string;
}

export function worldAt(nowMs: number, { store, types, facts, newGuid }: WorldParts): World {
  const filtered = (keep: (record: ResourceRecord) => boolean): readonly ResourceRecord[] => store.resources().filter(keep);
  return {
    nowMs,
    facts,
    newGuid,
    find: (id) => store.resource(keyOf(id)),
    children: (id) => filtered((record) => record.parentKey === keyOf(id)),
    ofType: (name) => filtered((record) => record.type === name),
    inGroup: (groupKey) => filtered((record) => record.groupKey === groupKey && record.key !== groupKey),
    usersOf: (id) => {
      const uses = (reference: Reference): boolean => keyOf(reference.id) === keyOf(id);
      return store
        .resources()
        .flatMap((record) =>
          referencesOf(typeNamed(types, record.type), record).flatMap((found) => (uses(found) ? [{ record, reference: found }] : [])),
        );
    },
    put: (record) => store.putResource(record),
    remove: (key) => store.removeResource(key),
    typeOf: (name) => typeNamed(types, name),
  };
}

export function referencesOf(type: ResourceType, record: ResourceRecord): readonly Reference[] {
  return type.references?.(record.body) ?? [];
}
