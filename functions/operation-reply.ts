import type { InvocationContext } from "@azure/functions";
import { type OperationRequest, requestOperation } from "../replication/operations/request.ts";
import type { Reply } from "./http-edge.ts";
import { jobPath, jobView } from "./job-views.ts";
import type { Application } from "./wiring.ts";

/** 202, and `location` names the job. The same `x-ms-client-request-id` again gives the same job. */
export async function operationReply(
  app: Application,
  context: InvocationContext,
  asked: OperationRequest,
): Promise<Reply> {
  const job = await requestOperation(app, asked, app.flows(context).start);
  return { status: 202, headers: { location: jobPath(job) }, body: jobView(job) };
}
