import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import type { BodyOf } from "../../api/operation.ts";
import {
  type GivenAlertRule,
  readAlertRecord,
  removeAlertRule,
  setAlertRule,
} from "../../replication/alerts/alert-record.ts";
import { itemOf, serve } from "../serving/http-edge.ts";
import { alertRecordView, ruleView } from "../views/alert-views.ts";
import type { ApplicationSource } from "../wiring.ts";

export const showAlertRule = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.showAlertRule, application, async ({ params }) => {
    const itemId = itemOf(params);
    return { status: 200, body: alertRecordView(itemId, await readAlertRecord(application().stores, itemId)) };
  });

export const putAlertRule = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.putAlertRule, application, async ({ params, body }) => {
    const itemId = itemOf(params);
    const given = givenRule(await body());
    return { status: 200, body: ruleView(await setAlertRule(application(), itemId, given)) };
  });

export const deleteAlertRule = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.deleteAlertRule, application, async ({ params }) => {
    // The next rule still knows the decisions.
    await removeAlertRule(application(), itemOf(params));
    return { status: 204, body: undefined };
  });

function givenRule(body: BodyOf<typeof CONTRACT.putAlertRule>): GivenAlertRule {
  const { coolDownInMinutes, recoveryPointType, sourceSiteOperations, targetIds, ...rule } = body;
  return {
    ...rule,
    targetIds,
    coolDownMs: coolDownInMinutes === undefined ? undefined : Math.round(coolDownInMinutes * 60_000),
    point: { kind: recoveryPointType },
    shutDownSource: sourceSiteOperations === "Required",
  };
}
