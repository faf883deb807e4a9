import type { HttpFunctionOptions } from "@azure/functions";
import { requestAppPoint } from "../replication/service/app-point.ts";
import { bodyOf, httpHandler, itemOf, requestIdOf } from "./http-edge.ts";
import { newPointBody } from "./request-shapes.ts";
import { itemPath } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * An app-consistent point is wanted now: 202, and the status of the item tells what became of it. The same request id
 * asks once.
 */
export const newRecoveryPoint = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/recoveryPoints",
  handler: httpHandler(async (request) => {
    const itemId = itemOf(request);
    const { recoveryPointType } = await bodyOf(request, newPointBody);
    const name = await requestAppPoint(application(), itemId, requestIdOf(request));
    return { status: 202, headers: { location: itemPath(itemId) }, body: { name, recoveryPointType } };
  }),
});
