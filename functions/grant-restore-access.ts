import type { HttpFunctionOptions } from "@azure/functions";
import { restoredDisks } from "../replication/restore/status.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import { timeView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * `{ value: [{ id, url, expires }] }`: addresses that read the restored disks for an hour. They are credentials:
 * answered here and kept nowhere.
 */
export const grantRestoreAccess = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/restores/{restore}/grantAccess",
  handler: httpHandler(async (request) => {
    const app = application();
    const disks = await restoredDisks(app, itemOf(request), request.params["restore"] ?? "");
    const value = await Promise.all(
      disks.map(async (disk) => {
        const { url, expiresMs } = await app.restoreAccess.grantRead(disk);
        return { id: disk.diskId, url, expires: timeView(expiresMs) };
      }),
    );
    return { status: 200, body: { value } };
  }),
});
