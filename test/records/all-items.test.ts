import { describe, expect, it } from "vitest";
import { ITEMS_PAGE_MAX_COUNT } from "../../replication/limits.ts";
import { allItems } from "../../replication/records/all-items.ts";

const idsOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, number) => `item-${String(number).padStart(5, "0")}`);

/** A store of these items that counts the pages it was asked for. */
function storeOf(ids: readonly string[]) {
  let pages = 0;
  const listItems = async (limit: number, after = ""): Promise<readonly string[]> => {
    pages += 1;
    return ids.filter((id) => id > after).slice(0, limit);
  };
  return { stores: { listItems }, pages: () => pages };
}

describe("all items", () => {
  it.each([0, 1, ITEMS_PAGE_MAX_COUNT, ITEMS_PAGE_MAX_COUNT + 1])("come once each, in order: %s", async (count) => {
    const ids = idsOf(count);
    const found: string[] = [];
    for await (const id of allItems(storeOf(ids).stores)) found.push(id);
    expect(found).toEqual(ids);
  });

  it("go on behind a given one, and read no page that nobody asks for", async () => {
    const ids = idsOf(2 * ITEMS_PAGE_MAX_COUNT + 1);
    const { stores, pages } = storeOf(ids);
    const found: string[] = [];
    for await (const id of allItems(stores, ids[1])) {
      found.push(id);
      if (found.length === ITEMS_PAGE_MAX_COUNT) break;
    }
    expect(found).toEqual(ids.slice(2, ITEMS_PAGE_MAX_COUNT + 2));
    expect(pages()).toBe(1);
  });
});
