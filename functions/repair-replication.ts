import type { HttpFunctionOptions } from "@azure/functions";
import { requireRepairable } from "../replication/operations/request.ts";
import { requestRepair } from "../replication/service/repair.ts";
import { httpHandler, itemOf, requestIdOf } from "./http-edge.ts";
import { itemPath, repairView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * Everything is to be read from the source again: 202, and the status of the item tells how it goes. The same request
 * id gives the same repair.
 */
export const repairReplication = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/repairReplication",
  handler: httpHandler(async (request) => {
    const itemId = itemOf(request);
    await requireRepairable(application(), itemId);
    const repair = await requestRepair(application(), itemId, requestIdOf(request));
    return { status: 202, headers: { location: itemPath(itemId) }, body: repairView(repair) };
  }),
});
