import { isErrorCode, isRetryable } from "../errors.ts";
import type { ManagedItem } from "../jobs/managed-item.ts";
import type { ItemContext } from "../points/context.ts";
import type { ItemStores } from "../ports.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { findItem } from "../records/item-record.ts";
import type { HeartbeatRecord, Progress } from "../records/item.ts";
import { readProgress } from "../records/progress.ts";
import { readHeartbeat } from "../service/heartbeat.ts";
import { decideFact, type Situation } from "../states/decide.ts";
import type { ReplicationFact } from "../states/states.ts";

/** What replication reports now; undefined while there is nothing to report. */
function factOf(progress: Progress, heartbeat: HeartbeatRecord | undefined): ReplicationFact | undefined {
  const code = progress.stopped?.code;
  // The operator need not handle a stop that ends by itself.
  if (code !== undefined && !(isErrorCode(code) && isRetryable(code))) return "ResyncNeeded";
  if (progress.seeding) return "SeedingUnderWay";
  if (heartbeat?.resynchronization?.state === "running") return "SeedingUnderWay";
  return progress.lastPoint === undefined ? undefined : "SeedingComplete";
}

/** The current situation, with what replication reports now. Nothing is stored. Unreadable progress needs a repair. */
export async function situationNow(
  { stores }: Pick<ItemContext, "stores">,
  { itemId, situation }: ManagedItem,
): Promise<Situation> {
  const progress = await progressOf(stores, itemId);
  if (progress === undefined) return situation;
  const fact = progress === "damaged" ? "ResyncNeeded" : factOf(progress, await readHeartbeat(stores, itemId));
  return fact === undefined ? situation : decideFact(situation, fact);
}

/**
 * The same for an operator who wants to repair: a stop that may end by itself counts too, and so does an item without a
 * valid service token.
 */
export async function situationToRepair(
  context: Pick<ItemContext, "stores">,
  managed: ManagedItem,
): Promise<Situation> {
  const progress = await progressOf(context.stores, managed.itemId);
  const stopped = progress !== undefined && progress !== "damaged" && progress.stopped !== undefined;
  return stopped || (await isSilent(context.stores, managed.itemId))
    ? decideFact(managed.situation, "ResyncNeeded")
    : situationNow(context, managed);
}

/** Its record is damaged, or was rebuilt and no service has registered since. */
function isSilent(stores: ItemStores, itemId: string): Promise<boolean> {
  return unlessDamaged(
    async () => {
      const item = (await findItem(stores, itemId))?.item;
      return item !== undefined && item.tokenHash === undefined && item.nextTokenHash === undefined;
    },
    () => true,
  );
}

function progressOf(stores: ItemStores, itemId: string): Promise<Progress | "damaged" | undefined> {
  return unlessDamaged(
    async () => (await readProgress(stores.records(itemId)))?.progress,
    () => "damaged" as const,
  );
}
