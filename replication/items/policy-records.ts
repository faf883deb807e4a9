import { mapConcurrently, present } from "../concurrency.ts";
import { LeewardError } from "../errors.ts";
import { POINT_READS_IN_FLIGHT, POLICIES_MAX_COUNT } from "../limits.ts";
import { POLICIES_PREFIX, isItemId, policyRecordName } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import type { ItemStores, RecordStore } from "../ports.ts";
import { allItems } from "../records/all-items.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { changeItem, findReadableItem } from "../records/item-record.ts";
import type { ProtectedItem, ReplicationPolicy } from "../records/item.ts";
import { DEFAULT_POLICY, type PolicyInMinutes, policyFromMinutes, samePolicy } from "../records/policy.ts";
import { type RecordAt, recordAt } from "../records/record.ts";
import { requireField } from "../records/request-rules.ts";
import { type ProtectAnswer, type ProtectRequest, protectItem } from "./protect.ts";

/** `policies/{name}.json` in the control container. Changed by compare-and-set only. */
export interface PolicyRecord {
  readonly version: 1;
  readonly name: string;
  readonly policy: ReplicationPolicy;
}

/** For operations on records that belong to no single item. */
export interface ControlContext {
  /** The control container of the target account. */
  readonly control: RecordStore;
  readonly stores: ItemStores;
}

/** Errors: `policy-unknown`, `record-corrupt`. */
export async function readPolicy({ control }: ControlContext, name: string): Promise<PolicyRecord> {
  const found = await findPolicy(control, name);
  if (found === undefined)
    throw new LeewardError("policy-unknown", `There is no replication policy named "${name}".`, { policy: name });
  return found;
}

export interface PolicyList {
  /** In the order of their names. */
  readonly policies: readonly PolicyRecord[];
  /** Names of those with an unreadable record: store them again, or delete them. */
  readonly damaged: readonly string[];
}

export async function listPolicies({ control }: ControlContext): Promise<PolicyList> {
  const listed = await control.list(POLICIES_PREFIX, POLICIES_MAX_COUNT);
  const names = listed.flatMap(({ name }) => /^policies\/(.+)\.json$/.exec(name)?.[1] ?? []);
  const damaged: string[] = [];
  const found = await mapConcurrently(POINT_READS_IN_FLIGHT, names, (name) =>
    unlessDamaged(
      () => findPolicy(control, name),
      () => {
        damaged.push(name);
        return undefined;
      },
    ),
  );
  return { policies: present(found), damaged: damaged.toSorted() };
}

/**
 * Makes or changes a policy; omitted values stay as they are, or are Site Recovery's defaults. A change affects all
 * items that have the policy: the record comes first, so that repeating the request after a crash updates every item.
 * Errors: `invalid-request` that names the field, `conflict`.
 */
export async function putPolicy(
  context: ControlContext,
  name: string,
  given: PolicyInMinutes,
): Promise<{ readonly record: PolicyRecord; readonly isNew: boolean }> {
  requireField(
    isItemId(name),
    "policy",
    "lower-case letters, digits and single hyphens between them, at most 36 characters",
  );
  const { control } = context;
  let isNew = false;
  const record = await policyRecord(control, name).upsert(
    async (before): Promise<PolicyRecord> => {
      isNew = before === undefined;
      if (isNew) await requireRoom(control);
      return { version: 1, name, policy: policyFromMinutes(given, before?.policy) };
    },
    // Rebuilds a damaged one.
    () => ({ version: 1, name, policy: DEFAULT_POLICY }),
  );
  if (!isNew) for (const itemId of await itemsWith(context, name)) await applyPolicy(context, itemId, record);
  return { record, isNew };
}

async function requireRoom(control: RecordStore): Promise<void> {
  const count = (await control.list(POLICIES_PREFIX, POLICIES_MAX_COUNT)).length;
  requireField(
    count < POLICIES_MAX_COUNT,
    "policy",
    `at most ${POLICIES_MAX_COUNT} policies; change or delete another one`,
  );
}

/**
 * Enables replication as `protectItem` does, by a policy of its own or by a stored one, which the item then follows. A
 * concurrent change of the policy does not find the item, so the policy is read again. Errors: `policy-unknown`, and
 * those of `protectItem`.
 */
export async function protectByPolicy(
  context: ControlContext & ItemContext,
  request: ProtectRequest,
): Promise<ProtectAnswer> {
  const { policyName } = request;
  if (policyName === undefined) return protectItem(context, request);
  const { policy } = await readPolicy(context, policyName);
  const { registrationToken } = await protectItem(context, { ...request, policy });
  const record = (await findPolicy(context.control, policyName)) ?? { version: 1, name: policyName, policy };
  return { item: await applyPolicy(context, request.itemId, record), registrationToken };
}

/**
 * Deleting a missing policy succeeds. Errors: `in-use` while items have it. An item that adopts it at the same time
 * keeps its values.
 */
export async function deletePolicy(context: ControlContext, name: string): Promise<void> {
  if (!isItemId(name)) return;
  const [itemId, ...others] = await itemsWith(context, name);
  if (itemId !== undefined) {
    throw new LeewardError(
      "in-use",
      `${others.length + 1} protected items have the policy "${name}", "${itemId}" among them.`,
      {
        policy: name,
        itemId,
        items: others.length + 1,
      },
    );
  }
  await context.control.remove(policyRecordName(name));
}

async function findPolicy(control: RecordStore, name: string): Promise<PolicyRecord | undefined> {
  return isItemId(name) ? (await policyRecord(control, name).find())?.body : undefined;
}

function policyRecord(control: RecordStore, name: string): RecordAt<PolicyRecord> {
  return recordAt<PolicyRecord>(control, { name: policyRecordName(name), version: 1, owner: { name } });
}

async function itemsWith({ stores }: ControlContext, policyName: string): Promise<readonly string[]> {
  const having = await mapConcurrently(POINT_READS_IN_FLIGHT, allItems(stores), async (itemId) =>
    (await findReadableItem(stores, itemId))?.policyName === policyName ? itemId : undefined,
  );
  return present(having);
}

async function applyPolicy(
  { stores }: ControlContext,
  itemId: string,
  { name, policy }: PolicyRecord,
): Promise<ProtectedItem> {
  return changeItem(stores, itemId, (item) =>
    item.policyName !== name || samePolicy(policy, item.policy) ? item : { ...item, policy },
  );
}
