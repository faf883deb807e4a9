import type { HttpFunctionOptions } from "@azure/functions";
import { readItem } from "../replication/items/item-record.ts";
import { listPoints } from "../replication/points/manifest.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import { pointView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** `{ value: [...] }`: the recovery points of an item, newest first. */
export const listRecoveryPoints = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/recoveryPoints",
  handler: httpHandler(async (request) => {
    const { stores } = application();
    const { item } = await readItem(stores, itemOf(request));
    const points = await listPoints(stores.records(item.itemId));
    return { status: 200, body: { value: points.toReversed().map(pointView) } };
  }),
});
