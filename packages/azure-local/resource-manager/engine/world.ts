import { keyOf } from "./ids.ts";
import type { Past } from "./past.ts";
import type { CloudFacts, Reference, ResourceRecord, ResourceType, World } from "./resource-type.ts";
import type { ArmStore } from "./store.ts";
import { typeNamed } from "./target.ts";

export interface WorldParts {
  readonly store: ArmStore;
  readonly types: readonly ResourceType[];
  readonly facts: CloudFacts;
  readonly newGuid: () => string;
  readonly past: Past;
}

export function worldAt(nowMs: number, { store, types, facts, newGuid, past }: WorldParts): World {
  const note = (key: string, next: ResourceRecord | undefined): void => {
    if (!past.isNoted()) return;
    const previous = store.resource(key);
    const still = new Set(
      next === undefined ? [] : referencesOf(typeNamed(types, next.type), next).map(({ id }) => keyOf(id)),
    );
    const before = previous === undefined ? [] : referencesOf(typeNamed(types, previous.type), previous);
    past.note(
      previous,
      next,
      before.filter(({ id, rule }) => rule.isSource !== true && !still.has(keyOf(id))),
      nowMs,
    );
  };
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
    named: (id) => {
      const record = store.resource(keyOf(id));
      return record !== undefined && past.isTooNew(record, nowMs) ? undefined : record;
    },
    seen: (id) => {
      const record = store.resource(keyOf(id));
      if (record === undefined) return past.ghost(id, nowMs);
      return past.isTooNew(record, nowMs) ? undefined : record;
    },
    formerUsersOf: (id) => past.formerUsersOf(id, nowMs),
    put: (record) => {
      note(record.key, record);
      store.putResource(record);
    },
    remove: (key) => {
      note(key, undefined);
      store.removeResource(key);
    },
    typeOf: (name) => typeNamed(types, name),
    shownOn: (type) => shownOn(types, type),
  };
}

export function referencesOf(type: ResourceType, record: ResourceRecord): readonly Reference[] {
  return (type.references ?? []).flatMap((rule) => rule.find(record.body).map((named) => ({ ...named, rule })));
}

function shownOn(types: readonly ResourceType[], type: string): readonly string[] {
  const rules = types.flatMap(({ references = [] }) => references);
  return rules.flatMap(({ types: named, shownAs }) =>
    shownAs !== undefined && named.some((name) => keyOf(name) === keyOf(type)) ? [shownAs] : [],
  );
}

/** For the store's index: what a record names. */
export function namesOf(types: readonly ResourceType[]): (record: ResourceRecord) => readonly string[] {
  return (record) => referencesOf(typeNamed(types, record.type), record).map(({ id }) => keyOf(id));
}
