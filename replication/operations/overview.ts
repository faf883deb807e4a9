import { mapConcurrently, present } from "../concurrency.ts";
import type { LeewardError } from "../errors.ts";
import { type KnownItem, findKnownItem, readKnownItem } from "../items/known-item.ts";
import { type ItemStatus, readItemStatus } from "../items/status.ts";
import type { ManagedItem } from "../jobs/managed-item.ts";
import { ITEMS_PAGE_MAX_COUNT, POINT_READS_IN_FLIGHT } from "../limits.ts";
import type { ItemContext } from "../points/context.ts";
import { unlessDamaged } from "../records/damaged.ts";
import type { Situation } from "../states/decide.ts";
import { situationNow } from "./situation.ts";

/** An item as operators see it. At least one of the three is set. */
export interface ItemOverview {
  readonly itemId: string;
  /** The replication: undefined before the machine's disks are known, and after it was disabled. */
  readonly status: ItemStatus | undefined;
  /** The machine that flows manage: undefined for an item that was protected by its disks. */
  readonly managed: { readonly item: ManagedItem; readonly situation: Situation } | undefined;
  /** A record of the item is unreadable: only its contents are missing here. */
  readonly damaged: LeewardError | undefined;
}

interface OverviewPage {
  readonly items: readonly ItemOverview[];
  /** Set when there may be more: `after` of the next page. */
  readonly next: string | undefined;
}

/** Errors: `item-unknown`. */
export async function readOverview(context: ItemContext, itemId: string): Promise<ItemOverview> {
  return overviewOf(context, itemId, await readKnownItem(context.stores, itemId));
}

/**
 * One page of items in the order of their ids, without items that are no longer protected and names without any record
 * yet.
 */
export async function listOverviews(
  context: ItemContext,
  { limit = ITEMS_PAGE_MAX_COUNT, after }: { readonly limit?: number; readonly after?: string | undefined } = {},
): Promise<OverviewPage> {
  const bounded = Math.min(Math.max(limit, 1), ITEMS_PAGE_MAX_COUNT);
  const itemIds = await context.stores.listItems(bounded, after);
  const found = await mapConcurrently(POINT_READS_IN_FLIGHT, itemIds, (itemId) => findOverview(context, itemId));
  return {
    items: present(found).filter((overview) => !isOver(overview)),
    next: itemIds.length < bounded ? undefined : itemIds.at(-1),
  };
}

async function findOverview(context: ItemContext, itemId: string): Promise<ItemOverview | undefined> {
  const known = await findKnownItem(context.stores, itemId);
  return known && overviewOf(context, itemId, known);
}

/** Damage to a record of one item hides neither its other records nor other items. */
async function overviewOf(context: ItemContext, itemId: string, known: KnownItem): Promise<ItemOverview> {
  const { item, managed } = known;
  let { damaged } = known;
  const note = (damage: LeewardError): undefined => {
    damaged ??= damage;
    return undefined;
  };
  const status = item && (await unlessDamaged(() => readItemStatus(context, itemId), note));
  const situation = managed && (await situationNow(context, managed));
  return { itemId, status, managed: managed && situation && { item: managed, situation }, damaged };
}

function isOver({ status, managed, damaged }: ItemOverview): boolean {
  return status === undefined && damaged === undefined && managed?.situation.state === "Unprotected";
}
