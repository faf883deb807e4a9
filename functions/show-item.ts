import type { HttpFunctionOptions } from "@azure/functions";
import { readItemStatus } from "../replication/items/status.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import { itemView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** The status of one item: positions, lag, heartbeat, health, and why it stands still if it does. */
export const showItem = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}",
  handler: httpHandler(async (request) => ({ status: 200, body: itemView(await readItemStatus(application(), itemOf(request))) })),
});
