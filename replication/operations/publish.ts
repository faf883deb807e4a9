import { announceNow } from "../events/announce.ts";
import { failoverStateChanged, jobStateChanged } from "../events/event.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { Situation } from "../states/decide.ts";
import type { FlowContext } from "./context.ts";

/** What telling needs of a flow's context. */
export type PublishContext = Pick<FlowContext, "stores" | "clock" | "ids" | "events">;

/**
 * Tells the topic, if there is one, how a job stands. Telling the same again is harmless: subscribers know it by its
 * id.
 */
export async function publishJob({ events, ...context }: PublishContext, job: JobRecord): Promise<void> {
  if (events !== undefined)
    await announceNow({ ...context, events }, job.itemId, jobStateChanged(job, job.endedMs ?? job.startedMs));
}

/** Tells that the item is in another state. `cause`: as in `failoverStateChanged`. */
export async function publishState(
  { events, ...context }: PublishContext,
  itemId: string,
  before: Situation,
  after: Situation,
  cause: string,
): Promise<void> {
  const event = failoverStateChanged(itemId, before, after, cause, context.clock.now());
  if (events !== undefined && event !== undefined) await announceNow({ ...context, events }, itemId, event);
}
