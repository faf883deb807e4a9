import type { InvocationContext } from "@azure/functions";
import type { job } from "../../api/jobs.ts";
import type { Told } from "../../api/operation.ts";
import { type FlowHost, type OperationRequest, requestOperation } from "../../replication/operations/request.ts";
import { jobPath, jobView } from "../views/job-views.ts";

/** 202, with the job in `location`. Repeating the `x-ms-client-request-id` gives the same job. */
export async function operationReply(
  app: Parameters<typeof requestOperation>[0] & { readonly flows: (context: InvocationContext) => FlowHost },
  context: InvocationContext,
  asked: OperationRequest,
): Promise<{ readonly status: 202; readonly location: string; readonly body: Told<typeof job> }> {
  const accepted = await requestOperation(app, asked, app.flows(context).start);
  return { status: 202, location: jobPath(accepted), body: jobView(accepted) };
}
