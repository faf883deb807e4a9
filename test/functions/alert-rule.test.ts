import { beforeEach, describe, expect, it } from "vitest";
import { deleteAlertRule, putAlertRule, showAlertRule } from "../../functions/routes/alert-rules.ts";
import { changeAlertRecord } from "../../replication/alerts/alert-record.ts";
import { alertOperationId } from "../../replication/alerts/handle-alert.ts";
import { jobIdOf } from "../../replication/jobs/job.ts";
import { ensureManaged } from "../../replication/jobs/managed-item.ts";
import { UNPROTECTED } from "../../replication/states/decide.ts";
import { type Answer, type AppInMemory, appInMemory, call } from "./app-under-test.ts";

const VM = "/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1";
const RULE = { mode: "failover", targetIds: [VM], severities: ["Sev0", "Sev4"] };
const params = { item: "web-1" };

let app: AppInMemory;
beforeEach(async () => {
  app = appInMemory();
  await ensureManaged(app.stores, {
    version: 1,
    itemId: "web-1",
    situation: UNPROTECTED,
    running: undefined,
    sourceVmId: VM,
    options: { targetRegion: "northeurope" },
    policy: undefined,
    plan: undefined,
  });
});
const put = (body: object, item = "web-1"): Promise<Answer> =>
  call(putAlertRule(app.source), { params: { item }, body });
const show = (): Promise<Answer> => call(showAlertRule(app.source), { params });
const errorOf = ({ status, body }: Answer): readonly [number, string] => [
  status,
  (body as { error: { code: string } }).error.code,
];

describe("the alert rule of an item", () => {
  it("is given with careful defaults, shown with its decisions, and taken away", async () => {
    expect(errorOf(await show())).toEqual([404, "alert-rule-unknown"]);
    const shown = {
      ...RULE,
      enabled: true,
      coolDownInMinutes: 60,
      recoveryPointType: "LatestProcessed",
      sourceSiteOperations: "NotRequired",
    };
    const { targetIds: _own, ...short } = RULE;
    expect(await put(short)).toMatchObject({ status: 200, body: shown });
    expect(await put(RULE)).toMatchObject({ status: 200, body: shown });
    await changeAlertRecord(app.stores, "web-1", (record) => ({
      ...record,
      history: {
        lastFiredMs: 0,
        decisions: [
          { key: "two Fired", decision: { failOver: false, reason: "cooling-down" }, atMs: 1000 },
          { key: "one Fired", decision: { failOver: true, reason: "fire" }, atMs: 0 },
        ],
      },
    }));
    const changed = {
      ...RULE,
      mode: "dry-run",
      coolDownInMinutes: 5,
      recoveryPointType: "Latest",
      sourceSiteOperations: "Required",
    };
    expect(await put(changed)).toMatchObject({ status: 200, body: changed });
    expect((await show()).body).toEqual({
      ...changed,
      enabled: true,
      decisions: [
        {
          alert: "two Fired",
          decided: "1970-01-01T00:00:01.000Z",
          reason: "cooling-down",
          message: "An alert started a failover a short time ago.",
        },
        {
          alert: "one Fired",
          decided: "1970-01-01T00:00:00.000Z",
          reason: "fire",
          message: "The alert starts a failover.",
          job: `web-1.${jobIdOf("web-1", alertOperationId("web-1", "one Fired"))}`,
        },
      ],
    });
    const remove = (): Promise<Answer> => call(deleteAlertRule(app.source), { params });
    expect(await remove()).toMatchObject({ status: 204 });
    expect(await remove()).toMatchObject({ status: 204 });
    expect(errorOf(await show())).toEqual([404, "alert-rule-unknown"]);
  });

  it("is refused where it could mean nothing, or something else than its writer thinks", async () => {
    expect(errorOf(await put({ ...RULE, severities: ["Sev9"] }))).toEqual([400, "invalid-request"]);
    expect(errorOf(await put({ ...RULE, severities: [] }))).toEqual([400, "invalid-request"]);
    expect(errorOf(await put({ ...RULE, targetIds: ["web-1"] }))).toEqual([400, "invalid-request"]);
    expect(errorOf(await put({ ...RULE, coolDownInMinuts: 5 }))).toEqual([400, "invalid-request"]);
    expect(errorOf(await put({ ...RULE, mode: undefined }))).toEqual([400, "invalid-request"]);
    expect(errorOf(await put({ ...RULE, recoveryPointType: "Custom" }))).toEqual([400, "invalid-request"]);
    expect(errorOf(await put(RULE, "web-2"))).toEqual([404, "item-unknown"]);
    expect(errorOf(await show())).toEqual([404, "alert-rule-unknown"]);
  });
});
