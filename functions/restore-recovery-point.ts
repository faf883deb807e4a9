import type { HttpFunctionOptions } from "@azure/functions";
import { requireRoomForRestore, startRestore } from "../replication/restore/start.ts";
import { httpHandler, itemOf, requestIdOf } from "./http-edge.ts";
import { restorePath, restoreStartView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * Begins a restore: 202, and `location` names the place to ask. The same `x-ms-client-request-id` again gives the same
 * restore.
 */
export const restoreRecoveryPoint = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/recoveryPoints/{point}/restore",
  handler: httpHandler(async (request) => {
    const app = application();
    const itemId = itemOf(request);
    await requireRoomForRestore(app, itemId, requestIdOf(request));
    const restore = await startRestore(app, itemId, request.params["point"] ?? "", requestIdOf(request));
    // Should this be lost, the sweep finds a restore that nobody works on.
    await app.queue.send({ kind: "restore", itemId, restoreId: restore.restoreId }, 0);
    return {
      status: 202,
      headers: { location: restorePath(itemId, restore.restoreId) },
      body: restoreStartView(restore),
    };
  }),
});
