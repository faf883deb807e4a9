import { LeewardError } from "../../replication/errors.ts";
import { findManaged } from "../../replication/jobs/managed-item.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { lastStreamOf } from "../../replication/records/streams.ts";

/**
 * The last stream of the life that the job ends. Errors: `conflict` when the job no longer holds the item: streams of
 * later lives are minted only after it let go.
 */
export async function lastStreamOfRun(stores: ItemStores, { itemId, jobId }: FlowRun): Promise<number> {
  const lastStream = await lastStreamOf(stores, itemId);
  if ((await findManaged(stores, itemId))?.situation.job?.jobId === jobId) return lastStream;
  throw new LeewardError("conflict", "The job no longer holds the item.", { itemId });
}
