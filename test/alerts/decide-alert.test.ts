import { it as property } from "@fast-check/vitest";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ALERT_REASONS,
  type Alert,
  type AlertHistory,
  type AlertRule,
  NO_ALERTS,
  decideAlert,
  rememberAlert,
} from "../../replication/alerts/decide-alert.ts";

const VM = "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1";
const NOW = 1_800_000_000_000;
const MINUTE_MS = 60_000;
const alert = (change: Partial<Alert> = {}): Alert => ({
  alertId: "/alerts/1",
  severity: "Sev1",
  signalType: "Activity Log",
  monitorCondition: "Fired",
  monitoringService: "Resource Health",
  targetIds: [VM.toLowerCase()],
  firedMs: NOW - MINUTE_MS,
  resourceHealth: { currentHealthStatus: "Unavailable", cause: "PlatformInitiated" },
  ...change,
});
const rule = (change: Partial<AlertRule> = {}): AlertRule => ({
  enabled: true,
  mode: "failover",
  targetIds: [VM],
  severities: ["Sev0", "Sev1"],
  coolDownMs: undefined,
  ...change,
});
const reason = (
  change: Partial<Alert> = {},
  given: Partial<AlertRule> = {},
  history: AlertHistory = NO_ALERTS,
  allowed = true,
) => decideAlert(alert(change), rule(given), history, allowed, NOW).reason;
const health = (currentHealthStatus: string, cause: string | undefined) => ({
  resourceHealth: { currentHealthStatus, cause },
});
const metric = { signalType: "Metric", monitoringService: "Platform", resourceHealth: undefined } as const;

describe("an alert", () => {
  it("of an outage that nobody wanted fires", () => {
    expect(decideAlert(alert(), rule(), NO_ALERTS, true, NOW)).toEqual({ failOver: true, reason: "fire" });
    expect(reason(metric)).toBe("fire");
  });

  it("in a dry run decides the same and starts nothing", () => {
    expect(decideAlert(alert(), rule({ mode: "dry-run" }), NO_ALERTS, true, NOW)).toEqual({
      failOver: false,
      reason: "dry-run",
    });
  });

  it.each([
    ["rule-disabled", {}, { enabled: false }],
    ["not-fired", { monitorCondition: "Resolved" }, {}],
    ["other-target", { targetIds: ["/another"] }, {}],
    ["other-target", { targetIds: [] }, {}],
    ["fire", { targetIds: ["/another", VM.toUpperCase()] }, {}],
    ["severity-not-chosen", { severity: "Sev3" }, {}],
    ["severity-not-chosen", {}, { severities: [] }],
    ["user-initiated", health("Unavailable", "UserInitiated"), {}],
    ["user-initiated", health("Unavailable", "User Initiated"), {}],
    ["user-initiated", { monitoringService: "Activity Log - Administrative", resourceHealth: undefined }, {}],
    ["cause-not-known", health("Unavailable", undefined), {}],
    ["cause-not-known", health("Unavailable", "Unknown"), {}],
    ["cause-not-known", { resourceHealth: undefined }, {}],
    ["not-unavailable", health("Available", "PlatformInitiated"), {}],
    ["not-unavailable", health("Degraded", "PlatformInitiated"), {}],
    ["too-old", { firedMs: NOW - 31 * MINUTE_MS }, {}],
    ["from-the-future", { firedMs: NOW + 6 * MINUTE_MS }, {}],
  ] as const)("%s: %o %o", (expected, change, given) => {
    expect(reason(change, given)).toBe(expected);
    expect(ALERT_REASONS[expected]).toMatch(/\.$/);
  });

  it("is ignored when the item cannot fail over", () => {
    expect(reason({}, {}, NO_ALERTS, false)).toBe("failover-not-allowed");
  });

  it("is decided once, however often it is delivered, and its end is another delivery", () => {
    const first = decideAlert(alert(), rule(), NO_ALERTS, true, NOW);
    const history = rememberAlert(NO_ALERTS, alert(), first, NOW);
    expect(reason({ alertId: "/ALERTS/1" }, {}, history)).toBe("duplicate");
    expect(rememberAlert(history, alert(), { failOver: false, reason: "duplicate" }, NOW)).toBe(history);
    expect(reason({ monitorCondition: "Resolved" }, {}, history)).toBe("not-fired");
  });

  it("of the same outage under another id cools down", () => {
    const history = (agoMs: number) =>
      rememberAlert(NO_ALERTS, alert({ alertId: "other" }), { failOver: true, reason: "fire" }, NOW - agoMs);
    expect(reason({}, {}, history(59 * MINUTE_MS))).toBe("cooling-down");
    expect(reason({}, {}, history(60 * MINUTE_MS))).toBe("fire");
    expect(reason({}, { coolDownMs: MINUTE_MS }, history(2 * MINUTE_MS))).toBe("fire");
    const ignored = rememberAlert(
      NO_ALERTS,
      alert({ alertId: "other" }),
      { failOver: false, reason: "severity-not-chosen" },
      NOW,
    );
    expect(reason({}, {}, ignored)).toBe("fire");
  });

  const any = fc.record({
    alertId: fc.constantFrom("a", "b", "c"),
    severity: fc.constantFrom<Alert["severity"]>("Sev0", "Sev2"),
    monitorCondition: fc.constantFrom<Alert["monitorCondition"]>("Fired", "Resolved"),
    resourceHealth: fc.constantFrom(
      { currentHealthStatus: "Unavailable", cause: "PlatformInitiated" },
      { currentHealthStatus: "Unavailable", cause: "UserInitiated" },
    ),
    laterMs: fc.nat(40 * MINUTE_MS),
  });
  property.prop([fc.array(any, { maxLength: 40 })])(
    "whatever comes in: never twice within the cool-down, never for one alert twice, never on a user's own stop",
    (given) => {
      let nowMs = NOW;
      let history = NO_ALERTS;
      const fired: { readonly id: string; readonly atMs: number }[] = [];
      for (const { laterMs, ...change } of given) {
        nowMs += laterMs;
        const one = alert({ ...change, firedMs: nowMs });
        const decision = decideAlert(one, rule(), history, true, nowMs);
        history = rememberAlert(history, one, decision, nowMs);
        const last = fired.at(-1);
        expect(decision.failOver && last !== undefined && nowMs - last.atMs < 60 * MINUTE_MS).toBe(false);
        expect(
          decision.failOver && (one.resourceHealth?.cause === "UserInitiated" || one.monitorCondition === "Resolved"),
        ).toBe(false);
        expect(decision.failOver && fired.some(({ id }) => id === one.alertId)).toBe(false);
        if (decision.failOver) fired.push({ id: one.alertId, atMs: nowMs });
      }
    },
  );

  it("leaves a bounded history", () => {
    let history = NO_ALERTS;
    for (let count = 0; count < 300; count += 1)
      history = rememberAlert(
        history,
        alert({ alertId: String(count) }),
        { failOver: false, reason: "other-target" },
        NOW,
      );
    expect(history.decisions).toHaveLength(256);
    expect(history.decisions[0]?.key).toBe("299 Fired");
  });
});
