import type { HttpFunctionOptions } from "@azure/functions";
import { requireItem } from "../replication/records/item-record.ts";
import { listPoints } from "../replication/points/catalog.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import { damagedPointView, pointView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * `{ value: [...] }`: the recovery points of an item, newest first; behind them those that cannot be used, because
 * their record is damaged.
 */
export const listRecoveryPoints = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/recoveryPoints",
  handler: httpHandler(async (request) => {
    const { stores } = application();
    const itemId = itemOf(request);
    await requireItem(stores, itemId);
    const { points, damagedManifests } = await listPoints(stores.records(itemId));
    const damaged = [...damagedManifests].toReversed().map(([pointId, error]) => damagedPointView(pointId, error));
    return { status: 200, body: { value: [...points.toReversed().map(pointView), ...damaged] } };
  }),
});
