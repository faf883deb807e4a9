import type { InvocationContext } from "@azure/functions";
import { TIMER_RUN_MS } from "../../replication/limits.ts";
import type { Clock, ItemStores } from "../../replication/ports.ts";
import { allItems } from "../../replication/records/all-items.ts";
import { describeError, logLine } from "./log.ts";

interface WalkContext {
  readonly stores: ItemStores;
  readonly clock: Clock;
  /** Where the last run of a timer stopped, by the timer's name: the next run continues after that item. */
  readonly cursors: Map<string, string>;
}

/**
 * Visits the items for a timer's run, page by page. It ends after the last item or after TIMER_RUN_MS; the next run of
 * that name continues where this one stopped. A failing item does not delay the others: the rest is visited first, then
 * the first failure is thrown.
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
  for await (const itemId of allItems(app.stores, after)) {
    if (app.clock.now() >= deadlineMs) {
      if (after !== undefined) app.cursors.set(name, after);
      context.warn(logLine("timer-goes-on-later", { timer: name, after }));
      break;
    }
    await visit(itemId).catch((error: unknown) => {
      failures.push(error);
      context.error(logLine("item-failed", { timer: name, itemId, ...describeError(error) }));
    });
    after = itemId;
  }
  throwFirst(failures);
}

function throwFirst(failures: readonly unknown[]): void {
  if (failures.length > 0) throw failures[0];
}
