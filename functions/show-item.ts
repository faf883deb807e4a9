import type { HttpFunctionOptions } from "@azure/functions";
import { findItem } from "../replication/items/item-record.ts";
import { situationNow } from "../replication/items/situation.ts";
import { readItemStatus } from "../replication/items/status.ts";
import { findManaged } from "../replication/jobs/managed-item.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import { itemView, managedView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** The status of one item: positions, lag, heartbeat, health, why it stands still if it does, and what may be asked of it. */
export const showItem = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}",
  handler: httpHandler(async (request) => {
    const app = application();
    const itemId = itemOf(request);
    const managed = await findManaged(app.stores, itemId);
    if (managed === undefined) return { status: 200, body: itemView(await readItemStatus(app, itemId)) };
    const view = managedView(managed, await situationNow(app, managed));
    // Before its disks are known, and after it was disabled, the item does not replicate.
    const replicates = (await findItem(app.stores, itemId)) !== undefined;
    return { status: 200, body: replicates ? { ...itemView(await readItemStatus(app, itemId)), ...view } : view };
  }),
});
