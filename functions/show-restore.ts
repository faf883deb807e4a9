import type { HttpFunctionOptions } from "@azure/functions";
import { restoreStatus } from "../replication/restore/status.ts";
import { httpHandler, itemOf } from "./http-edge.ts";
import { restoreView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** State, progress and, once it succeeded, the plain addresses of the restored disks. */
export const showRestore = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}/restores/{restore}",
  handler: httpHandler(async (request) => {
    const status = await restoreStatus(application(), itemOf(request), request.params["restore"] ?? "");
    return { status: 200, body: restoreView(status) };
  }),
});
