import type { HttpFunctionOptions } from "@azure/functions";
import { listOverviews } from "../replication/operations/overview.ts";
import { httpHandler } from "./http-edge.ts";
import { overviewView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** `{ value: [...], next? }`: one page of items; `?after={next}` gives the one behind it. */
export const listItems = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems",
  handler: httpHandler(async (request) => {
    const { items, next } = await listOverviews(application(), { after: request.query.get("after") ?? undefined });
    return { status: 200, body: { value: items.map(overviewView), next } };
  }),
});
