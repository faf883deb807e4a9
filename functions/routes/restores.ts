import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import { RESTORE_SETTLE_MS } from "../../replication/limits.ts";
import { deleteRestore as removeByOperator } from "../../replication/restore/remove.ts";
import { requireRoomForRestore, startRestore } from "../../replication/restore/start.ts";
import { restoreStatus, restoredDisks } from "../../replication/restore/status.ts";
import { itemOf, serve } from "../serving/http-edge.ts";
import { restorePath, restoreStartView, restoreView } from "../views/point-views.ts";
import { timeView } from "../views/time-view.ts";
import type { ApplicationSource } from "../wiring.ts";

export const restoreRecoveryPoint = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.restoreRecoveryPoint, application, async ({ params, requestId }) => {
    const app = application();
    const itemId = itemOf(params);
    await requireRoomForRestore(app, itemId, requestId);
    const restore = await startRestore(app, itemId, params.point, requestId);
    // If this is lost, the sweep finds the abandoned restore.
    await app.queue.send({ kind: "restore", itemId, restoreId: restore.restoreId }, 0);
    return { status: 202, location: restorePath(itemId, restore.restoreId), body: restoreStartView(restore) };
  });

export const showRestore = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.showRestore, application, async ({ params }) => ({
    status: 200,
    body: restoreView(await restoreStatus(application(), itemOf(params), params.restore)),
  }));

export const deleteRestore = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.deleteRestore, application, async ({ params }) => {
    const app = application();
    const itemId = itemOf(params);
    const restoreId = params.restore;
    const { gone } = await removeByOperator(app, itemId, restoreId);
    if (gone) return { status: 204, body: undefined };
    // If this is lost, the sweep polls again.
    await app.queue.send({ kind: "restore", itemId, restoreId }, RESTORE_SETTLE_MS);
    return { status: 202, body: { name: restoreId, state: "Removing" } };
  });

/** The addresses are credentials: returned here and never stored. */
export const grantRestoreAccess = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.grantRestoreAccess, application, async ({ params }) => {
    const app = application();
    const disks = await restoredDisks(app, itemOf(params), params.restore);
    const value = await Promise.all(
      disks.map(async (disk) => {
        const { url, expiresMs } = await app.restoreAccess.grantRead(disk);
        return { id: disk.diskId, url, expires: timeView(expiresMs) };
      }),
    );
    return { status: 200, body: { value } };
  });
