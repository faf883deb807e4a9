import { LeewardError } from "../errors.ts";
import { changeItem, findReadableItem } from "../records/item-record.ts";
import { POLICIES_PREFIX, isItemId, policyRecordName } from "../names.ts";
import { decodeOwn } from "../records/change-record.ts";
import { nothing, unlessDamaged } from "../records/damaged.ts";
import { encodeRecord } from "../records/envelope.ts";
import { requireField } from "../records/request-rules.ts";
import {
  ITEMS_PAGE_MAX_COUNT,
  POINT_READS_IN_FLIGHT,
  POLICIES_MAX_COUNT,
  RECORD_CHANGES_MAX_TRIES,
} from "../limits.ts";
import { inLanes } from "../lanes.ts";
import type { ItemContext } from "../points/context.ts";
import type { ProtectedItem, ReplicationPolicy } from "../records/item.ts";
import { type ProtectAnswer, type ProtectRequest, protectItem } from "./protect.ts";
import type { ItemStores, RecordStore } from "../ports.ts";
import { type PolicyInMinutes, policyFromMinutes, samePolicy } from "../records/policy.ts";

/** `policies/{name}.json` in the control container. Changed by compare-and-set only. */
export interface PolicyRecord {
  readonly version: 1;
  readonly name: string;
  readonly policy: ReplicationPolicy;
}

/** What acts on records that belong to no single item need. */
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
  return found.record;
}

export interface PolicyList {
  /** In the order of their names. */
  readonly policies: readonly PolicyRecord[];
  /** Names of those whose record cannot be read: give them anew, or delete them. */
  readonly damaged: readonly string[];
}

export async function listPolicies({ control }: ControlContext): Promise<PolicyList> {
  const listed = await control.list(POLICIES_PREFIX, POLICIES_MAX_COUNT);
  const names = listed.flatMap(({ name }) => /^policies\/(.+)\.json$/.exec(name)?.[1] ?? []);
  const found = new Map<string, PolicyRecord>();
  const damaged: string[] = [];
  await inLanes(POINT_READS_IN_FLIGHT, names, async (name) => {
    const stored = await unlessDamaged(
      () => findPolicy(control, name),
      () => void damaged.push(name),
    );
    if (stored !== undefined) found.set(name, stored.record);
  });
  return { policies: names.flatMap((name) => found.get(name) ?? []), damaged: damaged.toSorted() };
}

/**
 * Makes a policy, or changes one; what is left out stays as it is, or is Site Recovery's default. A change acts on all
 * items that have the policy: the record comes first, so that repeating the request after a crash brings every item to
 * it. Errors: `invalid-request` that names the field, `conflict`.
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
  for (let tries = 0; tries < RECORD_CHANGES_MAX_TRIES; tries += 1) {
    const stored = await control.read(policyRecordName(name));
    // A damaged one is made anew.
    const before = await unlessDamaged(() => findPolicy(control, name), nothing);
    const record: PolicyRecord = { version: 1, name, policy: policyFromMinutes(given, before?.record.policy) };
    if (stored === undefined) {
      const count = (await control.list(POLICIES_PREFIX, POLICIES_MAX_COUNT)).length;
      requireField(
        count < POLICIES_MAX_COUNT,
        "policy",
        `at most ${POLICIES_MAX_COUNT} policies; change or delete another one`,
      );
      if ((await control.create(policyRecordName(name), encodeRecord(record))) === undefined) continue;
      return { record, isNew: true };
    }
    if ((await control.replace(policyRecordName(name), encodeRecord(record), stored.etag)) === undefined) continue;
    for (const itemId of await itemsWith(context, name)) await applyPolicy(context, itemId, record);
    return { record, isNew: false };
  }
  throw new LeewardError("conflict", "The policy was changed by others all the time.", { policy: name });
}

/**
 * Enables replication as `protectItem` does, by a policy of its own or by a stored one, which the item then follows. A
 * change of the policy that comes in between does not find the item, so that it is looked for again. Errors:
 * `policy-unknown`, and those of `protectItem`.
 */
export async function protectByPolicy(
  context: ControlContext & ItemContext,
  request: ProtectRequest,
): Promise<ProtectAnswer> {
  const { policyName } = request;
  if (policyName === undefined) return protectItem(context, request);
  const { policy } = await readPolicy(context, policyName);
  const { registrationToken } = await protectItem(context, { ...request, policy });
  const { record } = (await findPolicy(context.control, policyName)) ?? {
    record: { version: 1, name: policyName, policy },
  };
  return { item: await applyPolicy(context, request.itemId, record), registrationToken };
}

/**
 * Deleting one that is not there succeeds. Errors: `in-use` while items have it. An item that takes it at this moment
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

async function findPolicy(
  control: RecordStore,
  name: string,
): Promise<{ readonly record: PolicyRecord; readonly etag: string } | undefined> {
  const stored = isItemId(name) ? await control.read(policyRecordName(name)) : undefined;
  return (
    stored && { record: decodeOwn<PolicyRecord>(policyRecordName(name), 1, stored.bytes, { name }), etag: stored.etag }
  );
}

async function itemsWith({ stores }: ControlContext, policyName: string): Promise<readonly string[]> {
  const having: string[] = [];
  for (let after: string | undefined; ;) {
    const page: readonly string[] = await stores.listItems(ITEMS_PAGE_MAX_COUNT, after);
    await inLanes(POINT_READS_IN_FLIGHT, page, async (itemId) => {
      if ((await findReadableItem(stores, itemId))?.policyName === policyName) having.push(itemId);
    });
    after = page.at(-1);
    if (page.length < ITEMS_PAGE_MAX_COUNT) return having.toSorted();
  }
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
