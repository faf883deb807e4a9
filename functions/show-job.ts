import type { HttpFunctionOptions } from "@azure/functions";
import { findJob } from "../replication/jobs/job-record.ts";
import { httpHandler } from "./http-edge.ts";
import { jobUnknown, jobView, parseJobName } from "./job-views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** One job with its tasks and errors. */
export const showJob = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationJobs/{job}",
  handler: httpHandler(async (request) => {
    const name = request.params["job"] ?? "";
    const { itemId, jobId } = parseJobName(name);
    const job = await findJob(application().stores, itemId, jobId);
    if (job === undefined) throw jobUnknown(name);
    return { status: 200, body: jobView(job) };
  }),
});
