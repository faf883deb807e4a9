import { createProgress, initialProgress, readProgress } from "../apply/progress.ts";
import { LeewardError, hasCode } from "../errors.ts";
import { DEFAULT_POLICY, samePolicy } from "../policies/policy.ts";
import { type DiskDescription, samePosition, startPosition } from "../position.ts";
import type { ItemContext } from "./context.ts";
import type { ProtectedItem, ReplicationPolicy } from "./item.ts";
import { changeItem, findItem } from "./item-record.ts";
import { ITEM_RECORD } from "./names.ts";
import { encodeRecord } from "./records.ts";
import { orderedDisks, requireItemId, requirePolicy, sameDisks } from "./request-rules.ts";
import { newToken, tokenHash } from "./tokens.ts";
import { targetBlobBytes, vhdDataBytes, vhdFooter, vhdUniqueId } from "./vhd-footer.ts";

export interface ProtectRequest {
  readonly itemId: string;
  readonly disks: readonly DiskDescription[];
  /** Undefined: Site Recovery's defaults for a new item, no change for one that exists. */
  readonly policy: ReplicationPolicy | undefined;
  /** The stored policy that `policy` was read from, which the item follows; undefined for one of its own. */
  readonly policyName?: string | undefined;
}

export interface ProtectAnswer {
  readonly item: ProtectedItem;
  /** Shown this once; undefined when the item existed already. */
  readonly registrationToken: string | undefined;
}

/** The stream that enabling replication opens. */
const FIRST_STREAM = 1;
/** Below every worker's generation: what protect writes is fenced as soon as the first worker has claimed the disks. */
const PROTECT_GENERATION = 0;

/**
 * Enables replication: containers, empty target disks with their footers, progress, and at last `item.json`. The item exists when that record does;
 * everything before it can be done twice, so that repeating the request repairs a crash anywhere. The same disks again give the existing item
 * (with the policy of the request, if it has one). Errors: `invalid-request`, `disk-invalid`, `item-exists`, and those of the ports.
 */
export async function protectItem(context: ItemContext, request: ProtectRequest): Promise<ProtectAnswer> {
  requireItemId(request.itemId);
  const disks = orderedDisks(request.disks);
  if (request.policy !== undefined) requirePolicy(request.policy);
  const { stores, clock, ids } = context;
  const existing = await findItem(stores, request.itemId);
  if (existing !== undefined) return repeated(context, request, disks);

  const registrationToken = newToken(ids);
  const item: ProtectedItem = {
    version: 1,
    itemId: request.itemId,
    stream: FIRST_STREAM,
    disks,
    policy: request.policy ?? DEFAULT_POLICY,
    policyName: request.policyName,
    createdMs: clock.now(),
    registrationHash: tokenHash(registrationToken),
    tokenHash: undefined,
  };
  await stores.createContainers(item.itemId, item.stream);
  // Progress comes first: it binds the disk table, so that of two requests with different disks only one goes on.
  await prepareProgress(context, item);
  for (const disk of item.disks) await prepareDisk(context, item, disk);
  const created = await stores.records(item.itemId).create(ITEM_RECORD, encodeRecord(item));
  return created === undefined ? repeated(context, request, disks) : { item, registrationToken };
}

/** Mints a new one-time token. The service's present token works until the new one is used. Errors: `item-unknown`, `conflict`. */
export async function newRegistrationToken(context: ItemContext, itemId: string): Promise<string> {
  const registrationToken = newToken(context.ids);
  const registrationHash = tokenHash(registrationToken);
  await changeItem(context.stores, itemId, (item) => ({ ...item, registrationHash }));
  return registrationToken;
}

async function repeated(
  context: ItemContext,
  { itemId, policy, policyName }: ProtectRequest,
  disks: readonly DiskDescription[],
): Promise<ProtectAnswer> {
  const item = await changeItem(context.stores, itemId, (found) => {
    if (!sameDisks(found.disks, disks)) throw otherDisks(itemId);
    if (policy === undefined || (samePolicy(policy, found.policy) && policyName === found.policyName)) return found;
    return { ...found, policy, policyName };
  });
  return { item, registrationToken: undefined };
}

async function prepareProgress({ stores }: ItemContext, item: ProtectedItem): Promise<void> {
  const records = stores.records(item.itemId);
  if ((await createProgress(records, initialProgress(item))) !== undefined) return;
  const found = await readProgress(records);
  const start = startPosition(item.itemId, item.stream, item.disks);
  const ours = found === undefined || found.progress.applied.epoch > 0 || samePosition(found.progress.applied, start);
  if (!ours) throw otherDisks(item.itemId);
}

/** A blob of zeros with the footer at its end, so that every later point is a complete fixed VHD (DESIGN 7). */
async function prepareDisk({ stores }: ItemContext, item: ProtectedItem, disk: DiskDescription): Promise<void> {
  const target = { itemId: item.itemId, stream: item.stream, diskId: disk.id };
  const footer = vhdFooter({
    sizeBytes: vhdDataBytes(disk.sizeBytes),
    uniqueId: vhdUniqueId(item.itemId, item.stream, disk.id),
    createdMs: item.createdMs,
  });
  try {
    await stores.disks.create(target, targetBlobBytes(disk.sizeBytes));
    await stores.disks.writePages(target, vhdDataBytes(disk.sizeBytes), footer, PROTECT_GENERATION);
  } catch (error) {
    if (hasCode(error, "conflict")) throw otherDisks(item.itemId, error);
    // A worker claims only what `item.json` announces: another request has finished meanwhile, footer included.
    if (!hasCode(error, "fenced")) throw error;
  }
}

function otherDisks(itemId: string, cause?: unknown): LeewardError {
  return new LeewardError("item-exists", `The item "${itemId}" was protected, or began to be, with other disks.`, { itemId }, { cause });
}
