import { ITEMS_PAGE_MAX_COUNT } from "../limits.ts";
import type { ItemStores } from "../ports.ts";

/** The ids of all items after `after`, in their order, read page by page on demand. */
export async function* allItems(stores: Pick<ItemStores, "listItems">, after?: string): AsyncGenerator<string> {
  for (let last = after; ;) {
    const page = await stores.listItems(ITEMS_PAGE_MAX_COUNT, last);
    yield* page;
    // Ids only increase from page to page, so this ends.
    if (page.length < ITEMS_PAGE_MAX_COUNT) return;
    last = page.at(-1);
  }
}
