import type { HttpFunctionOptions } from "@azure/functions";
import { listJobs as jobsOf } from "../replication/jobs/job-record.ts";
import { ITEMS_PAGE_MAX_COUNT } from "../replication/limits.ts";
import { httpHandler } from "./http-edge.ts";
import { jobName, jobView } from "./job-views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * The jobs of a page of items, of those that are no longer protected too, newest first, and the names of those whose
 * record is damaged; `after` is the `next` of the page before.
 */
export const listJobs = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationJobs",
  handler: httpHandler(async (request) => {
    const { stores } = application();
    const items = await stores.listItems(ITEMS_PAGE_MAX_COUNT, request.query.get("after") ?? undefined);
    const jobs = [];
    const damaged = [];
    for (const itemId of items) {
      const found = await jobsOf(stores, itemId);
      jobs.push(...found.jobs);
      damaged.push(...found.damaged.map((jobId) => jobName({ itemId, jobId })));
    }
    const next = items.length < ITEMS_PAGE_MAX_COUNT ? undefined : items.at(-1);
    const value = jobs.toSorted((one, other) => other.startedMs - one.startedMs).map(jobView);
    return { status: 200, body: { value, next, ...(damaged.length === 0 ? {} : { damaged }) } };
  }),
});
