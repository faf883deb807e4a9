import { readFileSync } from "node:fs";
import { HttpRequest } from "@azure/functions";
import { beforeEach, describe, expect, it } from "vitest";
import { commonAlert } from "../../api/alerts.ts";
import { encodeMessage } from "../../azure/work-queue.ts";
import { decideAlertsWith } from "../../functions/queues/decide-alerts.ts";
import { receiveAlert } from "../../functions/routes/alerts.ts";
import { alertOf } from "../../functions/serving/alert-message.ts";
import { bodyOf } from "../../functions/serving/http-edge.ts";
import {
  type AlertFailover,
  changeAlertRecord,
  findAlertRecord,
  removeAlertRule,
  setAlertRule,
} from "../../replication/alerts/alert-record.ts";
import type { Alert, AlertRule } from "../../replication/alerts/decide-alert.ts";
import { type AlertContext, handleAlert, resumeAlert } from "../../replication/alerts/handle-alert.ts";
import { LeewardError } from "../../replication/errors.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { ensureManaged } from "../../replication/jobs/managed-item.ts";
import { POINT_READS_IN_FLIGHT } from "../../replication/limits.ts";
import type { ItemStores } from "../../replication/ports.ts";
import { UNPROTECTED } from "../../replication/states/decide.ts";
import { appInMemory, call, deliver } from "../functions/app-under-test.ts";
import { DISKS, ITEM, type World, createWorld } from "../items/world.ts";
import { damages } from "../memory/damages.ts";

const NOW = Date.UTC(2026, 0, 15, 12);
const MINUTE_MS = 60_000;
const SUBSCRIPTION = "/subscriptions/11111111-2222-4333-8444-555555555555";
const vm = (name: string): string =>
  `${SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/${name}`;
const sampleText = (name: string): string => readFileSync(`test/alerts/samples/${name}.json`, "utf8");
const sample = (name: string): Alert => alertOf(commonAlert.parse(JSON.parse(sampleText(name))));
const RULE: AlertRule = {
  enabled: true,
  mode: "failover",
  targetIds: [vm("web-1"), SUBSCRIPTION],
  severities: ["Sev0", "Sev1", "Sev4"],
  coolDownMs: undefined,
};

interface Started {
  readonly itemId: string;
  readonly request: AlertFailover;
  readonly operationId: string;
}

/** What has a machine to fail over. */
const manage = (stores: ItemStores, itemId: string) =>
  ensureManaged(stores, {
    version: 1,
    itemId,
    situation: UNPROTECTED,
    running: undefined,
    sourceVmId: vm(itemId),
    options: { targetRegion: "northeurope" },
    policy: undefined,
    plan: undefined,
  });

describe("an alert of Azure Monitor", () => {
  let world: World;
  let context: AlertContext;
  let flows: { allowed: boolean; failure: LeewardError | undefined; readonly started: Started[] };
  beforeEach(async () => {
    world = createWorld();
    world.pass(NOW - world.context.clock.now());
    flows = { allowed: true, failure: undefined, started: [] };
    const failovers = {
      isFailoverAllowed: async () => flows.allowed,
      startFailover: async (itemId: string, request: AlertFailover, operationId: string) => {
        if (flows.failure !== undefined) throw flows.failure;
        flows.started.push({ itemId, request, operationId });
      },
    };
    context = { ...world.context, failovers };
    await watch(ITEM, RULE);
  });
  const watch = async (itemId: string, rule: AlertRule): Promise<void> => {
    await protectItem(world.context, { itemId, disks: DISKS, policy: undefined });
    await manage(world.stores, itemId);
    await setAlertRule(world.context, itemId, rule);
  };
  let alerts = 0;
  /** What an alert that nobody has seen yet is decided for this item. */
  const decideFor = async (itemId: string): Promise<string | undefined> => {
    const results = await handleAlert(context, { ...sample("metric"), alertId: `alert-${(alerts += 1)}` });
    return results.find((result) => result.itemId === itemId)?.reason;
  };
  const reasons = async (alert: Alert): Promise<readonly string[]> =>
    (await handleAlert(context, alert)).map(({ reason }) => reason);

  it.each([
    ["metric", "fire"],
    ["metric-resolved", "not-fired"],
    ["metric-two-targets", "fire"],
    ["log", "fire"],
    ["administrative", "user-initiated"],
    ["resource-health", "fire"],
    ["resource-health-by-user", "user-initiated"],
    ["service-health", "fire"],
  ])("%s: %s", async (name, expected) => {
    expect(await reasons(sample(name))).toEqual([expected]);
    expect(flows.started.map(({ itemId }) => itemId)).toEqual(expected === "fire" ? [ITEM] : []);
    expect(
      (await findAlertRecord(world.stores, ITEM))?.history.decisions.map(({ decision }) => decision.reason),
    ).toEqual([expected]);
  });

  it("of a severity that the rule leaves out, or that the state forbids, starts nothing", async () => {
    await setAlertRule(world.context, ITEM, { ...RULE, severities: ["Sev0"] });
    expect(await reasons(sample("metric"))).toEqual(["severity-not-chosen"]);
    flows.allowed = false;
    await setAlertRule(world.context, ITEM, RULE);
    expect(await reasons(sample("log"))).toEqual(["failover-not-allowed"]);
    expect(flows.started).toEqual([]);
  });

  it("about a resource that nobody watches is decided for nobody and pushes nothing out", async () => {
    expect(await handleAlert(context, { ...sample("metric"), targetIds: [vm("db-1")] })).toEqual([]);
    expect((await findAlertRecord(world.stores, ITEM))?.history.decisions).toEqual([]);
  });

  it("with two targets fails each of their items over, once", async () => {
    await watch("vm-2", { ...RULE, targetIds: [vm("web-2")] });
    await watch("vm-3", { ...RULE, targetIds: [vm("web-3")] });
    expect(await handleAlert(context, sample("metric-two-targets"))).toEqual(
      [ITEM, "vm-2"].map((itemId) => expect.objectContaining({ itemId, reason: "fire" })),
    );
    expect(await reasons(sample("metric-two-targets"))).toEqual(["duplicate", "duplicate"]);
    expect(flows.started.map(({ itemId }) => itemId).toSorted()).toEqual([ITEM, "vm-2"]);
    expect(new Set(flows.started.map(({ operationId }) => operationId)).size).toBe(2);
  });

  it("of the same outage cools down, and counts again afterwards", async () => {
    await reasons(sample("metric"));
    expect(await reasons(sample("log"))).toEqual(["cooling-down"]);
    world.pass(61 * MINUTE_MS);
    const later = { ...sample("log"), alertId: "later", firedMs: world.context.clock.now() };
    expect(await reasons(later)).toEqual(["fire"]);
    expect(new Set(flows.started.map(({ operationId }) => operationId)).size).toBe(2);
  });

  it("on trial tells what it would do", async () => {
    await setAlertRule(world.context, ITEM, { ...RULE, mode: "dry-run" });
    expect(await reasons(sample("metric"))).toEqual(["dry-run"]);
    expect(flows.started).toEqual([]);
  });

  it("whose failover could not be started is started by the next delivery, under the same operation id", async () => {
    flows.failure = new LeewardError("store-unavailable", "away");
    await expect(handleAlert(context, sample("metric"))).rejects.toBe(flows.failure);
    const pending = (await findAlertRecord(world.stores, ITEM))?.pending;
    flows.failure = undefined;
    expect(await handleAlert(context, sample("log"))).toMatchObject([{ reason: "cooling-down", failover: undefined }]);
    expect(await handleAlert(context, sample("metric"))).toMatchObject([
      { reason: "duplicate", failover: { state: "started" } },
    ]);
    expect(flows.started.map(({ operationId }) => operationId)).toEqual([pending?.operationId]);
    expect(flows.started[0]?.request).toEqual({
      operation: "UnplannedFailover",
      point: { kind: "LatestProcessed" },
      shutDownSource: false,
      alertId: sample("metric").alertId,
    });
    expect(await handleAlert(context, sample("metric"))).toMatchObject([{ reason: "duplicate", failover: undefined }]);
  });

  it("whose message does not come again is started by the sweep, as it was decided", async () => {
    flows.failure = new LeewardError("store-unavailable", "away");
    await expect(handleAlert(context, sample("metric"))).rejects.toBe(flows.failure);
    flows.failure = undefined;
    await setAlertRule(world.context, ITEM, { ...RULE, point: { kind: "Latest" } });
    expect(await resumeAlert(context, ITEM)).toMatchObject({ state: "started" });
    expect(flows.started.map(({ request }) => request.point)).toEqual([{ kind: "LatestProcessed" }]);
    expect(await resumeAlert(context, ITEM)).toBeUndefined();
    expect(await resumeAlert(context, "nobody")).toBeUndefined();
  });

  it.each([
    ["after half an hour", async () => world.pass(31 * MINUTE_MS)],
    ["once its rule is switched off", () => setAlertRule(world.context, ITEM, { ...RULE, enabled: false })],
  ])("is not made up for %s", async (_when, change) => {
    flows.failure = new LeewardError("store-unavailable", "away");
    await expect(handleAlert(context, sample("metric"))).rejects.toBe(flows.failure);
    flows.failure = undefined;
    await change();
    expect(await handleAlert(context, sample("metric"))).toMatchObject([{ reason: "duplicate", failover: undefined }]);
    expect(await resumeAlert(context, ITEM)).toBeUndefined();
    expect(flows.started).toEqual([]);
  });

  it("that comes again after its rule was taken away and given anew starts nothing, nor does another while that one cools down", async () => {
    expect(await reasons(sample("metric"))).toEqual(["fire"]);
    await removeAlertRule(world.context, ITEM);
    expect(await reasons(sample("metric"))).toEqual([]);
    expect(await findAlertRecord(world.stores, ITEM)).toBeUndefined();
    await removeAlertRule(world.context, ITEM);
    await setAlertRule(world.context, ITEM, RULE);
    expect(await reasons(sample("metric"))).toEqual(["duplicate"]);
    expect(await reasons({ ...sample("metric"), alertId: "another" })).toEqual(["cooling-down"]);
    expect(flows.started).toHaveLength(1);
  });

  it("that was decided and not begun when its rule was taken away is not begun by the next one", async () => {
    flows.failure = new LeewardError("store-unavailable", "away");
    await expect(handleAlert(context, sample("metric"))).rejects.toBe(flows.failure);
    flows.failure = undefined;
    await removeAlertRule(world.context, ITEM);
    await setAlertRule(world.context, ITEM, RULE);
    expect(await resumeAlert(context, ITEM)).toBeUndefined();
    expect(await reasons(sample("metric"))).toEqual(["duplicate"]);
    expect(flows.started).toEqual([]);
  });

  it("of an item whose record is damaged starts nothing, in whatever way it is damaged; a rule given anew begins with the cool-down", async () => {
    await reasons({ ...sample("metric"), alertId: "before" });
    flows.started.splice(0);
    const records = world.stores.records(ITEM);
    const whole = (await records.read("alerts.json"))?.bytes ?? new Uint8Array();
    await watch("vm-2", RULE);
    const anothers = (await world.stores.records("vm-2").read("alerts.json"))?.bytes ?? new Uint8Array();
    for (const bytes of [...damages(whole), anothers]) {
      await records.put("alerts.json", bytes);
      await expect(findAlertRecord(world.stores, ITEM)).rejects.toMatchObject({ code: "record-corrupt" });
      await expect(resumeAlert(context, ITEM)).rejects.toMatchObject({ code: "record-corrupt" });
      await setAlertRule(world.context, ITEM, RULE);
      expect(await decideFor(ITEM)).toBe("cooling-down");
      await records.put("alerts.json", bytes);
      await removeAlertRule(world.context, ITEM);
      expect(await findAlertRecord(world.stores, ITEM)).toBeUndefined();
    }
    expect(flows.started.filter(({ itemId }) => itemId === ITEM)).toEqual([]);
  });

  it("that comes behind somebody else's operation is refused for good", async () => {
    flows.failure = new LeewardError("operation-not-allowed", "no");
    expect(await handleAlert(context, sample("metric"))).toMatchObject([
      { reason: "fire", failover: { state: "refused" } },
    ]);
    flows.failure = undefined;
    expect(await handleAlert(context, sample("metric"))).toMatchObject([{ reason: "duplicate", failover: undefined }]);
  });

  it("delivered twice at the same time is one operation", async () => {
    await Promise.all([handleAlert(context, sample("metric")), handleAlert(context, sample("metric"))]);
    expect(new Set(flows.started.map(({ operationId }) => operationId)).size).toBe(1);
  });

  it("of one item that fails does not keep the others waiting", async () => {
    // More than are looked at at once: none of the last has begun when the first fails.
    const others = Array.from(
      { length: 2 * POINT_READS_IN_FLIGHT },
      (_, index) => `vm-2${String(index).padStart(2, "0")}`,
    );
    for (const itemId of others) await watch(itemId, RULE);
    await world.stores.records(ITEM).put("alerts.json", new TextEncoder().encode("damaged"));
    await expect(handleAlert(context, sample("metric"))).rejects.toMatchObject({ code: "record-corrupt" });
    expect(flows.started.map(({ itemId }) => itemId).toSorted()).toEqual(others);
  });

  it("needs a rule that can mean something", async () => {
    for (const [field, value] of [
      ["targetIds", []],
      ["targetIds", ["web-1"]],
      ["severities", []],
      ["coolDownMs", -1],
    ] as const) {
      const set = setAlertRule(world.context, ITEM, { ...RULE, [field]: value });
      await expect(set).rejects.toMatchObject({ code: "invalid-request", facts: { field } });
    }
    await expect(setAlertRule(world.context, "nobody", RULE)).rejects.toMatchObject({ code: "item-unknown" });
    expect(await changeAlertRecord(world.stores, "nobody", (record) => record)).toBeUndefined();
  });
});

describe("the functions that take alerts", () => {
  const source = () => {
    const app = appInMemory();
    const started: string[] = [];
    const startFailover = async (itemId: string): Promise<void> => void started.push(itemId);
    const failovers = { isFailoverAllowed: async () => true, startFailover };
    return { app, started, failovers: () => failovers };
  };

  it("answer at once, decide by message, and say why in the log", async () => {
    const { app, started, failovers } = source();
    await protectItem(app.source(), { itemId: ITEM, disks: DISKS, policy: undefined });
    await manage(app.stores, ITEM);
    await setAlertRule(app.source(), ITEM, RULE);
    const payload = JSON.parse(sampleText("resource-health")) as { data: { essentials: { firedDateTime: string } } };
    payload.data.essentials.firedDateTime = new Date(app.source().clock.now()).toISOString();
    const answer = await call(receiveAlert(app.source), { body: payload });
    expect(answer).toMatchObject({ status: 202, body: { alertId: sample("resource-health").alertId } });
    expect(started).toEqual([]);
    const [sent] = app.sent;
    const lines = await deliver(
      decideAlertsWith(app.source, failovers),
      sent === undefined ? "" : encodeMessage(sent.message),
    );
    expect(started).toEqual([ITEM]);
    expect(lines).toEqual([expect.stringContaining('"event":"alert-decided"')]);
    expect(lines[0]).toContain('"reason":"fire","message":"The alert starts a failover."');
    await expect(deliver(decideAlertsWith(app.source, failovers), "{}")).rejects.toMatchObject({
      code: "invalid-request",
    });
  });

  it("refuse what is not in the common alert schema, naming the field", async () => {
    const { app } = source();
    const given = JSON.parse(sampleText("metric")) as {
      readonly schemaId: string;
      readonly data: { readonly essentials: object };
    };
    expect(await call(receiveAlert(app.source), { body: { ...given, schemaId: "other" } })).toMatchObject({
      status: 400,
    });
    const odd = { ...given, data: { ...given.data, essentials: { ...given.data.essentials, signalType: "Smoke" } } };
    const answer = await call(receiveAlert(app.source), { body: odd });
    expect(JSON.stringify(answer.body)).toContain("data.essentials.signalType");
  });

  it("take a resource health alert that says too little, which then starts nothing", () => {
    const given = JSON.parse(sampleText("resource-health")) as { readonly data: object };
    expect(
      alertOf(commonAlert.parse({ ...given, data: { ...given.data, alertContext: null } })).resourceHealth,
    ).toBeUndefined();
  });

  it("read bodies up to Azure's 256 kB and no further", async () => {
    const request = (bytes: number) =>
      new HttpRequest({
        method: "POST",
        url: "http://localhost/api",
        body: { string: JSON.stringify("x".repeat(bytes)) },
      });
    await expect(bodyOf(request(200_000), commonAlert, 256 * 1024)).rejects.toMatchObject({
      message: expect.stringContaining("not what this route takes"),
    });
    await expect(bodyOf(request(300_000), commonAlert, 256 * 1024)).rejects.toMatchObject({
      message: expect.stringContaining("at most 262144"),
    });
  });
});
