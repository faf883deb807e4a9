import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import { protectBody, protectMachineBody } from "../../api/protected-items.ts";
import { flowClient } from "../../orchestrations/durable.ts";
import { repairItem } from "../../orchestrations/repair-item.ts";
import { LeewardError } from "../../replication/errors.ts";
import { protectByPolicy } from "../../replication/items/policy-records.ts";
import { newRegistrationToken as mintToken } from "../../replication/items/protect.ts";
import { findManaged } from "../../replication/jobs/managed-item.ts";
import { listOverviews, readOverview } from "../../replication/operations/overview.ts";
import { policyFromMinutes } from "../../replication/records/policy.ts";
import { requestTokenRotation } from "../../replication/service/rotation.ts";
import { bodyOfEither, itemOf, serve } from "../serving/http-edge.ts";
import { operationReply } from "../serving/operation-reply.ts";
import { itemPath, overviewView, protectedView, repairView } from "../views/item-views.ts";
import type { ApplicationSource } from "../wiring.ts";

/** `sourceVmId` in the body shows which of the two bodies was meant, so that a refusal refers to that one. */
export const protectItem = (application: ApplicationSource): HttpFunctionOptions => ({
  ...serve(CONTRACT.protectItem, application, async ({ params, request, requestId, context }) => {
    const app = application();
    const itemId = params.item;
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
      return operationReply(app, context, { ...asked, itemId, requestId });
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
  extraInputs: [flowClient],
});

export const listItems = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.listItems, application, async ({ after }) => {
    const { items, next } = await listOverviews(application(), { after });
    return { status: 200, body: { value: items.map(overviewView), next } };
  });

export const showItem = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.showItem, application, async ({ params }) => ({
    status: 200,
    body: overviewView(await readOverview(application(), itemOf(params))),
  }));

export const disableProtection = (application: ApplicationSource): HttpFunctionOptions => ({
  ...serve(CONTRACT.disableProtection, application, async ({ params, requestId, context }) =>
    operationReply(application(), context, { operation: "DisableProtection", itemId: itemOf(params), requestId }),
  ),
  extraInputs: [flowClient],
});

export const newRegistrationToken = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.newRegistrationToken, application, async ({ params }) => {
    const [app, itemId] = [application(), itemOf(params)];
    const registrationToken = await app.tickets.issue(itemId, await mintToken(app, itemId));
    return { status: 201, body: { registrationToken } };
  });

export const rotateToken = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.rotateToken, application, async ({ params }) => {
    const itemId = itemOf(params);
    await requestTokenRotation(application(), itemId);
    return { status: 202, location: itemPath(itemId), body: { name: itemId } };
  });

export const repairReplication = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.repairReplication, application, async ({ params, requestId }) => {
    const itemId = itemOf(params);
    const repair = await repairItem(application(), itemId, requestId);
    return { status: 202, location: itemPath(itemId), body: repairView(repair) };
  });

function isManaged(itemId: string): LeewardError {
  return new LeewardError("item-exists", `The item "${itemId}" is, or was, protected as a virtual machine.`, {
    itemId,
  });
}
