import { describe, expect, it } from "vitest";
import { findAlertRecord, setAlertRule } from "../../replication/alerts/alert-record.ts";
import type { Alert, AlertRule } from "../../replication/alerts/decide-alert.ts";
import { type AlertContext, handleAlert } from "../../replication/alerts/handle-alert.ts";
import { findJob } from "../../replication/jobs/job-record.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import { alertFailovers } from "../../replication/operations/alert-failovers.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { type FlowWorld, SOURCE_VM, enable, flowWorld, protectedWorld } from "./world.ts";

const RULE: AlertRule = {
  enabled: true,
  mode: "failover",
  targetIds: [SOURCE_VM],
  severities: ["Sev4"],
  coolDownMs: 0,
  point: { kind: "LatestCrashConsistent" },
  shutDownSource: true,
};

const alertOf = (world: FlowWorld, alertId: string): Alert => ({
  alertId,
  severity: "Sev4",
  signalType: "Activity Log",
  monitorCondition: "Fired",
  monitoringService: "Resource Health",
  targetIds: [SOURCE_VM.toLowerCase()],
  firedMs: world.context.clock.now(),
  resourceHealth: { currentHealthStatus: "Unavailable", cause: "PlatformInitiated" },
});

function alerts(world: FlowWorld): { readonly context: AlertContext; readonly started: FlowRun[] } {
  const started: FlowRun[] = [];
  const failovers = alertFailovers(world.context, async (run) => void started.push(run));
  return { context: { ...world.context, failovers }, started };
}

describe("a failover by alert", () => {
  it("is the item's own flow: by the rule's point, and its job names the alert and the point", async () => {
    const world = await protectedWorld();
    await setAlertRule(world.context, "web-1", RULE);
    const { context, started } = alerts(world);
    const [result] = await handleAlert(context, alertOf(world, "one"));
    expect(result).toMatchObject({ itemId: "web-1", reason: "fire", failover: { state: "started" } });
    const [run] = started;
    if (run === undefined) throw new Error("a flow was started");
    const job = await world.finish(run);
    expect(job).toMatchObject({ state: "Succeeded", errors: [], alertId: "one", pointId: expect.stringMatching(/.+/) });
    expect((await readManaged(world.stores, "web-1")).situation.state).toBe("FailoverCommitPending");
    expect((await findAlertRecord(world.stores, "web-1"))?.pending).toBeUndefined();
  });

  it("starts nothing while another operation holds the item, and nothing after it", async () => {
    const world = await protectedWorld();
    await setAlertRule(world.context, "web-1", RULE);
    const { context, started } = alerts(world);
    await handleAlert(context, alertOf(world, "one"));
    expect(await handleAlert(context, alertOf(world, "two"))).toMatchObject([{ reason: "failover-not-allowed" }]);
    const [run] = started;
    if (run === undefined) throw new Error("a flow was started");
    await world.finish(run);
    expect(await handleAlert(context, alertOf(world, "three"))).toMatchObject([{ reason: "failover-not-allowed" }]);
    expect(started).toHaveLength(1);
  });

  it("delivered again while it runs finds its own job", async () => {
    const world = await protectedWorld();
    await setAlertRule(world.context, "web-1", RULE);
    const { context, started } = alerts(world);
    const dying = alertFailovers(world.context, async () => {
      throw new Error("the host died before the flow was started");
    });
    await expect(handleAlert({ ...context, failovers: dying }, alertOf(world, "one"))).rejects.toThrow("died");
    expect(await handleAlert(context, alertOf(world, "one"))).toMatchObject([
      { reason: "duplicate", failover: { state: "started" } },
    ]);
    const [run] = started;
    expect(run === undefined ? undefined : await findJob(world.stores, "web-1", run.jobId)).toMatchObject({
      alertId: "one",
    });
  });

  it("needs an item that is protected, in an app that makes resources", async () => {
    const world = flowWorld();
    await world.ask(enable());
    await setAlertRule(world.context, "web-1", RULE);
    expect(await handleAlert(alerts(world).context, alertOf(world, "one"))).toMatchObject([
      { reason: "failover-not-allowed" },
    ]);
    const other = await protectedWorld();
    const withoutManagement = alertFailovers({ ...other.context, management: undefined }, async () =>
      expect.unreachable(),
    );
    expect(await withoutManagement.isFailoverAllowed("web-1")).toBe(false);
    expect(await withoutManagement.isFailoverAllowed("nobody")).toBe(false);
  });
});
