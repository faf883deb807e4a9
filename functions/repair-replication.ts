import type { HttpFunctionOptions } from "@azure/functions";
import { repairItem } from "../orchestrations/repair-item.ts";
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
    const repair = await repairItem(application(), itemId, requestIdOf(request));
    return { status: 202, headers: { location: itemPath(itemId) }, body: repairView(repair) };
  }),
});
