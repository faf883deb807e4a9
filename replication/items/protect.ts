import { LeewardError, hasCode } from "../errors.ts";
import { ITEM_RECORD } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import type { ItemStores } from "../ports.ts";
import type { DiskDescription } from "../position.ts";
import { changeItem, findReadableItem, itemRecord, itemUnknown } from "../records/item-record.ts";
import type { ProtectedItem, ReplicationPolicy } from "../records/item.ts";
import { DEFAULT_POLICY, samePolicy } from "../records/policy.ts";
import { untilWritten } from "../records/record.ts";
import { orderedDisks, requireItemId, requirePolicy, sameDisks } from "../records/request-rules.ts";
import { mintStream } from "../records/streams.ts";
import { ensureProgress, prepareStream } from "../service/open-stream.ts";
import { newToken, tokenHash } from "../service/tokens.ts";

export interface ProtectRequest {
  readonly itemId: string;
  readonly disks: readonly DiskDescription[];
  /** Undefined: Site Recovery's defaults for a new item, no change for an existing one. */
  readonly policy: ReplicationPolicy | undefined;
  /** The stored policy that `policy` was read from, which the item follows; undefined for its own policy. */
  readonly policyName?: string | undefined;
  /** Only in the place of the damaged record that has this etag. */
  readonly replaces?: string | undefined;
}

export interface ProtectAnswer {
  readonly item: ProtectedItem;
  /** Shown only once; undefined when the item existed already. */
  readonly registrationToken: string | undefined;
}

/**
 * Enables replication: a stream with its own number, its containers and empty target disks with their footers, then
 * `item.json`, which decides between two requests, and the progress record. Repeating the request repairs a crash
 * anywhere; the sweep removes the stream left behind. The same disks again give the existing item (with the policy of
 * the request, if any). An item with a damaged record is rebuilt in a new stream; its points stay. So is one without
 * target disks: its record landed after its life had been disabled. Errors: `invalid-request`, `disk-invalid`,
 * `item-exists`, `conflict`, `item-unknown` when the record that it `replaces` is gone, and those of the ports.
 */
export async function protectItem(context: ItemContext, request: ProtectRequest): Promise<ProtectAnswer> {
  requireItemId(request.itemId);
  const disks = orderedDisks(request.disks);
  if (request.policy !== undefined) requirePolicy(request.policy);
  return untilWritten(ITEM_RECORD, async () => {
    const stored = await itemRecord(context.stores, request.itemId).inspect();
    if (request.replaces !== undefined && stored?.etag !== request.replaces)
      throw stored === undefined ? itemUnknown(request.itemId) : otherRecord(request.itemId);
    const isThere = stored !== undefined && (await isWhole(context.stores, request.itemId));
    const made = await (isThere ? takeUp(context, request, disks) : makeItem(context, request, disks, stored?.etag));
    return made && { result: made };
  });
}

/** Replaces the record with this etag, or none. Undefined when another call was faster. */
async function makeItem(
  context: ItemContext,
  request: ProtectRequest,
  disks: readonly DiskDescription[],
  replacedEtag: string | undefined,
): Promise<ProtectAnswer | undefined> {
  const { stores, clock, ids } = context;
  const registrationToken = newToken(ids);
  const nowMs = clock.now();
  const item: ProtectedItem = {
    version: 1,
    itemId: request.itemId,
    stream: await mintStream(stores, request.itemId),
    nonce: ids.next(),
    openedMs: nowMs,
    disks,
    policy: request.policy ?? DEFAULT_POLICY,
    policyName: request.policyName,
    createdMs: nowMs,
    registrationHash: tokenHash(registrationToken),
    tokenHash: undefined,
  };
  await prepareStream(context, item);
  if ((await itemRecord(stores, item.itemId).replace(item, replacedEtag)) === undefined) return undefined;
  await ensureProgress(stores, item);
  return { item, registrationToken };
}

/**
 * The record is readable, and the disks of its stream exist, which were made before it. A closed stream has none to
 * check.
 */
async function isWhole(stores: ItemStores, itemId: string): Promise<boolean> {
  const item = await findReadableItem(stores, itemId);
  const [first] = item?.disks ?? [];
  if (item === undefined || first === undefined) return false;
  return (
    item.nonce === undefined ||
    (await stores.disks.properties({ itemId, stream: item.stream, diskId: first.id })) !== undefined
  );
}

/**
 * Mints a new one-time token. The service's current token works until the new one is used. Errors: `item-unknown`,
 * `conflict`.
 */
export async function newRegistrationToken(context: ItemContext, itemId: string): Promise<string> {
  const registrationToken = newToken(context.ids);
  const registrationHash = tokenHash(registrationToken);
  await changeItem(context.stores, itemId, (item) => ({ ...item, registrationHash }));
  return registrationToken;
}

/**
 * The record is written even when unchanged: a sweep that has just mistaken the item for leftovers of a disabled one
 * removes only what it saw. Undefined when the sweep was faster.
 */
async function takeUp(
  context: ItemContext,
  { itemId, policy, policyName }: ProtectRequest,
  disks: readonly DiskDescription[],
): Promise<ProtectAnswer | undefined> {
  const taken = changeItem(context.stores, itemId, (found) => {
    if (!sameDisks(found.disks, disks)) throw otherDisks(itemId);
    if (policy === undefined || (samePolicy(policy, found.policy) && policyName === found.policyName))
      return { ...found };
    return { ...found, policy, policyName };
  });
  const item = await taken.catch((error: unknown) => {
    if (hasCode(error, "item-unknown")) return undefined;
    throw error;
  });
  if (item === undefined) return undefined;
  if (item.nonce !== undefined) await ensureProgress(context.stores, item);
  return { item, registrationToken: undefined };
}

function otherRecord(itemId: string): LeewardError {
  return new LeewardError("conflict", `The record of the item "${itemId}" was replaced meanwhile.`, { itemId });
}

function otherDisks(itemId: string): LeewardError {
  return new LeewardError("item-exists", `The item "${itemId}" was protected with other disks.`, { itemId });
}
