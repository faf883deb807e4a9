import type { HttpFunctionOptions } from "@azure/functions";
import { readAlertRecord } from "../replication/alerts/alert-record.ts";
import { alertRecordView } from "./alert-views.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import type { ApplicationSource } from "./wiring.ts";

/** The rule, and what was decided by it: the newest first. */
export const showAlertRule = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/alertRule",
  handler: httpHandler(async (request) => {
    const itemId = itemOf(request);
    return { status: 200, body: alertRecordView(itemId, await readAlertRecord(application().stores, itemId)) };
  }),
});
