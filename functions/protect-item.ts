import type { HttpFunctionOptions } from "@azure/functions";
import { flowClient } from "../orchestrations/durable.ts";
import { LeewardError } from "../replication/errors.ts";
import { findManaged } from "../replication/jobs/managed-item.ts";
import { policyFromMinutes } from "../replication/records/policy.ts";
import { protectByPolicy } from "../replication/items/policy-records.ts";
import { bodyOfEither, httpHandler, requestIdOf } from "./http-edge.ts";
import { operationReply } from "./operation-reply.ts";
import { protectBody, protectMachineBody } from "./request-shapes.ts";
import { protectedView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * Enables replication. By disks: 201 with the registration token, shown this once; 200 without it for the same disks
 * again. By `sourceVmId`: 202, and a job that makes everything.
 */
export const protectItem = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["PUT"],
  authLevel: "function",
  route: "replicationProtectedItems/{item}",
  extraInputs: [flowClient],
  handler: httpHandler(async (request, context) => {
    const app = application();
    const itemId = request.params["item"] ?? "";
    const given = await bodyOfEither(request, "sourceVmId", protectMachineBody, protectBody);
    const { policyName } = given.body;
    const policy = given.body.policy === undefined ? undefined : policyFromMinutes(given.body.policy);
    if (given.kind === "with") {
      const { sourceVmId, targetRegion, options } = given.body;
      const asked = {
        operation: "EnableProtection",
        sourceVmId,
        options: { ...options, targetRegion },
        policy,
        policyName,
      } as const;
      return operationReply(app, context, { ...asked, itemId, requestId: requestIdOf(request) });
    }
    if ((await findManaged(app.stores, itemId)) !== undefined) throw isManaged(itemId);
    const { item, registrationToken: secret } = await protectByPolicy(app, {
      itemId,
      disks: given.body.disks,
      policy,
      policyName,
    });
    if (secret === undefined) return { status: 200, body: protectedView(item) };
    return {
      status: 201,
      body: { ...protectedView(item), registrationToken: await app.tickets.issue(itemId, secret) },
    };
  }),
});

function isManaged(itemId: string): LeewardError {
  return new LeewardError("item-exists", `The item "${itemId}" is, or was, protected as a virtual machine.`, {
    itemId,
  });
}
