import { invariant } from "../replication/errors.ts";
import { LIST_PAGES_MAX_COUNT } from "../replication/limits.ts";

/**
 * The first `limit` items of a listing, in the store's order. A page may be short or empty although more follow, so
 * pages are read until there are enough items. It ends: every page advances the store's marker, and
 * LIST_PAGES_MAX_COUNT bounds the pages.
 */
export async function firstItems<Page, Item>(
  pages: AsyncIterable<Page>,
  itemsOf: (page: Page) => readonly Item[],
  limit: number,
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let pageCount = 0;
  for await (const page of pages) {
    items.push(...itemsOf(page).slice(0, limit - items.length));
    if (items.length >= limit) break;
    pageCount += 1;
    invariant(pageCount < LIST_PAGES_MAX_COUNT, "a listing ends within its page limit", { pageCount });
  }
  return items;
}
