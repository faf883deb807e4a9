import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import { requireItem } from "../../replication/records/item-record.ts";
import { requestAppPoint } from "../../replication/service/app-point.ts";
import { itemOf, serve } from "../serving/http-edge.ts";
import { itemPath } from "../views/item-views.ts";
import { damagedPointView, pointView } from "../views/point-views.ts";
import type { ApplicationSource } from "../wiring.ts";

export const listRecoveryPoints = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.listRecoveryPoints, application, async ({ params }) => {
    const { stores } = application();
    const itemId = itemOf(params);
    await requireItem(stores, itemId);
    const { points, damagedManifests } = await listPoints(stores.records(itemId));
    const damaged = [...damagedManifests].toReversed().map(([pointId, error]) => damagedPointView(pointId, error));
    return { status: 200, body: { value: [...points.toReversed().map(pointView), ...damaged] } };
  });

export const newRecoveryPoint = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.newRecoveryPoint, application, async ({ params, body, requestId }) => {
    const itemId = itemOf(params);
    const { recoveryPointType } = await body();
    const name = await requestAppPoint(application(), itemId, requestId);
    return { status: 202, location: itemPath(itemId), body: { name, recoveryPointType } };
  });
