import type { InvocationContext } from "@azure/functions";
import { ITEMS_PAGE_MAX_COUNT, TIMER_RUN_MS } from "../../replication/limits.ts";
import { describeError, logLine } from "./log.ts";
import type { Clock, ItemStores } from "../../replication/ports.ts";

interface WalkContext {
  readonly stores: ItemStores;
  readonly clock: Clock;
  /** Where the last run of a timer stopped, by its name: the next one goes on behind that item. */
  readonly cursors: Map<string, string>;
}

/**
 * Visits the items of a timer's run, page by page. It ends behind the last item or after TIMER_RUN_MS; then the next
 * run of that name goes on where this one stopped. An item that fails does not keep the others waiting: the rest is
 * visited first, then the first failure is thrown.
 */
export async function walkItems(
  app: WalkContext,
  name: string,
  context: InvocationContext,
  visit: (itemId: string) => Promise<void>,
): Promise<void> {
  const deadlineMs = app.clock.now() + TIMER_RUN_MS;
  const failures: unknown[] = [];
  let after = app.cursors.get(name);
  app.cursors.delete(name);
  for (;;) {
    const page = await app.stores.listItems(ITEMS_PAGE_MAX_COUNT, after);
    for (const itemId of page) {
      if (app.clock.now() >= deadlineMs) {
        if (after !== undefined) app.cursors.set(name, after);
        context.warn(logLine("timer-goes-on-later", { timer: name, after }));
        return throwFirst(failures);
      }
      await visit(itemId).catch((error: unknown) => {
        failures.push(error);
        context.error(logLine("item-failed", { timer: name, itemId, ...describeError(error) }));
      });
      after = itemId;
    }
    // Ids only grow from page to page, so that the walk ends.
    if (page.length < ITEMS_PAGE_MAX_COUNT) return throwFirst(failures);
  }
}

function throwFirst(failures: readonly unknown[]): void {
  if (failures.length > 0) throw failures[0];
}
