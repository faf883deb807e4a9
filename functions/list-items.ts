import type { HttpFunctionOptions } from "@azure/functions";
import { listItemStatuses } from "../replication/items/status.ts";
import { httpHandler } from "./http-edge.ts";
import { itemView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** `{ value: [...], next? }`: one page of items; `?after={next}` gives the one behind it. */
export const listItems = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems",
  handler: httpHandler(async (request) => {
    const { statuses, next } = await listItemStatuses(application(), { after: request.query.get("after") ?? undefined });
    return { status: 200, body: { value: statuses.map(itemView), next } };
  }),
});
