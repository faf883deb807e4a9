import type { HttpFunctionOptions } from "@azure/functions";
import { RESTORE_SETTLE_MS } from "../replication/limits.ts";
import { deleteRestore as removeByOperator } from "../replication/restore/remove.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * Removes a restore with its blobs: 202 while its record stays for the last look, 204 when nothing is left, or nothing
 * was there.
 */
export const deleteRestore = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["DELETE"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/restores/{restore}",
  handler: httpHandler(async (request) => {
    const app = application();
    const itemId = itemOf(request);
    const restoreId = request.params["restore"] ?? "";
    const { gone } = await removeByOperator(app, itemId, restoreId);
    if (gone) return { status: 204, body: undefined };
    // Should this be lost, the sweep looks once more.
    await app.queue.send({ kind: "restore", itemId, restoreId }, RESTORE_SETTLE_MS);
    return { status: 202, body: { name: restoreId, state: "Removing" } };
  }),
});
