import type { HttpFunctionOptions } from "@azure/functions";
import { readOverview } from "../replication/operations/overview.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import { overviewView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * The status of one item: positions, lag, heartbeat, health, why it stands still if it does, and what may be asked of
 * it.
 */
export const showItem = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}",
  handler: httpHandler(async (request) => ({
    status: 200,
    body: overviewView(await readOverview(application(), itemOf(request))),
  })),
});
