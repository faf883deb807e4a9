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
  return {
    nowMs,
    facts,
    newGuid,
    find: (id) => store.resource(keyOf(id)),
    children: (id) => store.children(keyOf(id)),
    ofType: (type) => store.page({ kind: "type", type }, "", -1),
    inGroup: (groupKey) => store.inGroup(groupKey),
    usersOf: (id) => {
      const key = keyOf(id);
      return store.usersOf(key).flatMap((record) =>
        referencesOf(typeNamed(types, record.type), record)
          .filter((reference) => keyOf(reference.id) === key)
          .map((reference) => ({ record, reference })),
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

/** For the store's index: what a record names. */
export function namesOf(types: readonly ResourceType[]): (record: ResourceRecord) => readonly string[] {
  return (record) => referencesOf(typeNamed(types, record.type), record).map(({ id }) => keyOf(id));
}
