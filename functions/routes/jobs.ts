import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import { findJob, listJobs as jobsOf } from "../../replication/jobs/job-record.ts";
import { ITEMS_PAGE_MAX_COUNT } from "../../replication/limits.ts";
import { serve } from "../serving/http-edge.ts";
import { jobName, jobUnknown, jobView, parseJobName } from "../views/job-views.ts";
import type { ApplicationSource } from "../wiring.ts";

export const listJobs = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.listJobs, application, async ({ after }) => {
    const { stores } = application();
    const items = await stores.listItems(ITEMS_PAGE_MAX_COUNT, after);
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
  });

export const showJob = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.showJob, application, async ({ params }) => {
    const { itemId, jobId } = parseJobName(params.job);
    const job = await findJob(application().stores, itemId, jobId);
    if (job === undefined) throw jobUnknown(params.job);
    return { status: 200, body: jobView(job) };
  });
