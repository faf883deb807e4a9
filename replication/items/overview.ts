import { inLanes } from "../apply/lanes.ts";
import { type ManagedItem, findManaged } from "../jobs/managed-item.ts";
import { ITEMS_PAGE_MAX_COUNT, POINT_READS_IN_FLIGHT } from "../limits.ts";
import type { Situation } from "../states/decide.ts";
import type { ItemContext } from "./context.ts";
import { findItem } from "./item-record.ts";
import { situationNow } from "./situation.ts";
import { type ItemStatus, readItemStatus } from "./status.ts";

/** An item as operators see it. At least one of the two is there. */
export interface ItemOverview {
  /** What replicates: undefined before the disks of the machine are known, and after it was disabled. */
  readonly status: ItemStatus | undefined;
  /** The machine that flows care for: undefined for an item that was protected by its disks. */
  readonly managed: { readonly item: ManagedItem; readonly situation: Situation } | undefined;
}

interface OverviewPage {
  readonly items: readonly ItemOverview[];
  /** Set when there may be more: `after` of the next page. */
  readonly next: string | undefined;
}

/** Errors: `item-unknown`, `record-corrupt`. */
export async function readOverview(context: ItemContext, itemId: string): Promise<ItemOverview> {
  const found = await findOverview(context, itemId);
  // Nobody knows it: the reader of the item says so in its own words.
  return found ?? { status: await readItemStatus(context, itemId), managed: undefined };
}

/** One page of items in the order of their ids. Those that are not protected any more are left out, and names of which nothing stands yet. */
export async function listOverviews(
  context: ItemContext,
  { limit = ITEMS_PAGE_MAX_COUNT, after }: { readonly limit?: number; readonly after?: string | undefined } = {},
): Promise<OverviewPage> {
  const bounded = Math.min(Math.max(limit, 1), ITEMS_PAGE_MAX_COUNT);
  const itemIds = await context.stores.listItems(bounded, after);
  const found = new Map<string, ItemOverview>();
  await inLanes(POINT_READS_IN_FLIGHT, itemIds, async (itemId) => {
    const overview = await findOverview(context, itemId);
    if (overview !== undefined && !isOver(overview)) found.set(itemId, overview);
  });
  return {
    items: itemIds.flatMap((itemId) => found.get(itemId) ?? []),
    next: itemIds.length < bounded ? undefined : itemIds.at(-1),
  };
}

async function findOverview(context: ItemContext, itemId: string): Promise<ItemOverview | undefined> {
  const managed = await findManaged(context.stores, itemId);
  const status = (await findItem(context.stores, itemId)) === undefined ? undefined : await readItemStatus(context, itemId);
  if (managed === undefined) return status && { status, managed: undefined };
  return { status, managed: { item: managed, situation: await situationNow(context, managed) } };
}

const isOver = ({ status, managed }: ItemOverview): boolean => status === undefined && managed?.situation.state === "Unprotected";
