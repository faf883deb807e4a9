import { announceNow } from "../events/announce.ts";
import { failoverStateChanged, jobStateChanged } from "../events/event.ts";
import type { JobRecord } from "../jobs/job.ts";
import type { Situation } from "../states/decide.ts";
import type { FlowContext } from "./context.ts";

/** The parts of a flow's context that publishing needs. */
export type PublishContext = Pick<FlowContext, "stores" | "clock" | "ids" | "events">;

/** Publishes the state of a job, if there is a topic. Repeating it is harmless: subscribers recognise it by its id. */
export async function publishJob({ events, ...context }: PublishContext, job: JobRecord): Promise<void> {
  if (events !== undefined)
    await announceNow({ ...context, events }, job.itemId, jobStateChanged(job, job.endedMs ?? job.startedMs));
}

/** Publishes a change of the item's state. `cause`: as in `failoverStateChanged`. */
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
