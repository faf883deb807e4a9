import type { HttpFunctionOptions } from "@azure/functions";
import { DEFAULT_POLICY, protectItem as protect } from "../replication/items/protect.ts";
import { bodyOf, httpHandler } from "./http-edge.ts";
import { protectBody } from "./request-shapes.ts";
import { policyOf, protectedView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** Enables replication: 201 with the registration token, shown this once; 200 without it for the same disks again. */
export const protectItem = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["PUT"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}",
  handler: httpHandler(async (request) => {
    const body = await bodyOf(request, protectBody);
    const { item, registrationToken } = await protect(application(), {
      itemId: request.params["item"] ?? "",
      disks: body.disks,
      policy: body.policy === undefined ? undefined : policyOf(body.policy, DEFAULT_POLICY),
    });
    return { status: registrationToken === undefined ? 200 : 201, body: { ...protectedView(item), registrationToken } };
  }),
});
