import { describe, expect, it } from "vitest";
import { createDurableFunctions } from "../../functions-host/durable/functions.ts";
import type { HostFunction } from "../../functions-host/host-function.ts";
import { parseHostConfiguration } from "../../functions-host/host-json.ts";
import { createRoutes } from "../../functions-host/http/routes.ts";
import type { Outcome } from "../../functions-host/invocation.ts";
import type { HostEvent } from "../../functions-host/log.ts";
import { NOT_KEPT } from "../../functions-host/queue/in-work.ts";
import { parseSchedule } from "../../functions-host/timer/schedule.ts";
import type { TimerStatusBlob } from "../../functions-host/timer/status-blob.ts";
import type { TimerStatus } from "../../functions-host/timer/status.ts";
import { createTimer } from "../../functions-host/timer/trigger.ts";
import type { TriggerListener } from "../../functions-host/trigger.ts";
import { type FakeClock, fakeClock, settle } from "./fake-clock.ts";

const MINUTE_MS = 60_000;
const NOON_MS = Date.parse("2026-01-01T12:00:00Z");
const TRIGGER = { type: "timerTrigger", direction: "in" };
const TICK: HostFunction = {
  id: "tick",
  name: "tick",
  metadata: { name: "tick", bindings: { t: TRIGGER } },
  callback: () => undefined,
  triggerKey: "t",
  trigger: TRIGGER,
};
const DONE: Outcome = { kind: "succeeded", response: { invocationId: "" } };

interface TimerWorld {
  readonly clock: FakeClock;
  readonly timer: TriggerListener;
  /** What each run was told, and when. */
  readonly runs: { readonly atMs: number; readonly info: Readonly<Record<string, unknown>> }[];
  readonly events: HostEvent[];
}

interface WorldOptions {
  readonly blob?: TimerStatusBlob;
  readonly runOnStartup?: boolean;
  readonly startMs?: number;
  readonly invoke?: () => Promise<Outcome>;
}

function makeWorld({
  blob,
  runOnStartup = false,
  startMs = NOON_MS + 1,
  invoke = () => Promise.resolve(DONE),
}: WorldOptions): TimerWorld {
  const clock = fakeClock(startMs);
  const runs: TimerWorld["runs"] = [];
  const events: HostEvent[] = [];
  const timer = createTimer({
    hostFunction: TICK,
    schedule: parseSchedule("0 */5 * * * *", "tick"),
    runOnStartup,
    blob,
    context: {
      hostId: "test",
      configuration: parseHostConfiguration({ version: "2.0" }),
      settings: {},
      clock,
      random: () => 0.5,
      log: (event) => events.push(event),
      durableFunctions: createDurableFunctions(),
      inWork: NOT_KEPT,
      routes: createRoutes("api"),
      invoke: (_hostFunction, { data }) => {
        runs.push({ atMs: clock.nowMs(), info: JSON.parse(data.json ?? "") as Readonly<Record<string, unknown>> });
        return invoke();
      },
    },
  });
  return { clock, timer, runs, events };
}

function memoryStatus(stored?: TimerStatus): TimerStatusBlob & { status: TimerStatus | undefined } {
  return {
    status: stored,
    read() {
      return Promise.resolve(this.status);
    },
    write(status) {
      this.status = status;
      return Promise.resolve();
    },
  };
}

describe("a timer", () => {
  it("fires at each occurrence and keeps its status", async () => {
    const blob = memoryStatus();
    const { clock, timer, runs } = makeWorld({ blob });
    await timer.start();
    await clock.advance(12 * MINUTE_MS);
    expect(runs.map(({ atMs }) => atMs)).toEqual([NOON_MS + 5 * MINUTE_MS, NOON_MS + 10 * MINUTE_MS]);
    expect(runs[1]?.info).toEqual({
      Schedule: { AdjustForDST: true },
      ScheduleStatus: {
        Last: "2026-01-01T12:05:00.000+00:00",
        Next: "2026-01-01T12:10:00.000+00:00",
        LastUpdated: "2026-01-01T12:05:00.000+00:00",
      },
      IsPastDue: false,
    });
    expect(blob.status).toEqual({
      lastMs: NOON_MS + 10 * MINUTE_MS,
      nextMs: NOON_MS + 15 * MINUTE_MS,
      lastUpdatedMs: NOON_MS + 10 * MINUTE_MS,
    });
    await timer.stop();
  });

  it("runs at once, past due, after a restart that missed an occurrence, and then keeps to its schedule", async () => {
    const blob = memoryStatus({ lastMs: NOON_MS, nextMs: NOON_MS + 5 * MINUTE_MS, lastUpdatedMs: NOON_MS });
    const { clock, timer, runs } = makeWorld({ blob, startMs: NOON_MS + 17 * MINUTE_MS });
    await timer.start();
    await clock.advance(4 * MINUTE_MS);
    expect(runs.map(({ atMs, info }) => [atMs - NOON_MS, info["IsPastDue"]])).toEqual([
      [17 * MINUTE_MS, true],
      [20 * MINUTE_MS, false],
    ]);
    await timer.stop();
  });

  it("runs on startup when it is told to, once", async () => {
    const { clock, timer, runs } = makeWorld({ runOnStartup: true });
    await timer.start();
    await clock.advance(MINUTE_MS);
    expect(runs.map(({ info }) => [info["IsPastDue"], info["ScheduleStatus"]])).toEqual([[false, null]]);
    await timer.stop();
  });

  it("never runs twice at the same time; an occurrence that passed meanwhile follows the run", async () => {
    let finish = (): void => undefined;
    const { clock, timer, runs } = makeWorld({
      invoke: () =>
        new Promise((resolve) => {
          finish = () => resolve(DONE);
        }),
    });
    await timer.start();
    await clock.advance(12 * MINUTE_MS);
    expect(runs).toHaveLength(1);
    finish();
    await settle();
    expect(runs.map(({ atMs }) => atMs - NOON_MS)).toEqual([5 * MINUTE_MS, 12 * MINUTE_MS + 1]);
    finish();
    await settle();
    await timer.stop();
  });

  it("goes on after a failed run", async () => {
    const { clock, timer, runs } = makeWorld({
      invoke: () => Promise.resolve({ kind: "failed", error: new Error("no") }),
    });
    await timer.start();
    await clock.advance(11 * MINUTE_MS);
    expect(runs).toHaveLength(2);
    await timer.stop();
  });

  it("fires although its status store is unavailable, and logs that", async () => {
    const away = (): Promise<never> => Promise.reject(new Error("away"));
    const { clock, timer, runs, events } = makeWorld({ blob: { read: away, write: away } });
    await timer.start();
    await clock.advance(6 * MINUTE_MS);
    expect(runs).toHaveLength(1);
    expect(events.map(({ message }) => message)).toContainEqual(expect.stringContaining("away"));
    await timer.stop();
  });

  it("stops after the run that is under way and starts no other", async () => {
    let finish = (): void => undefined;
    const { clock, timer, runs } = makeWorld({
      invoke: () =>
        new Promise((resolve) => {
          finish = () => resolve(DONE);
        }),
    });
    await timer.start();
    await clock.advance(6 * MINUTE_MS);
    let isStopped = false;
    const stopped = timer.stop().then(() => {
      isStopped = true;
    });
    await settle();
    expect(isStopped).toBe(false);
    finish();
    await stopped;
    await clock.advance(60 * MINUTE_MS);
    expect(runs).toHaveLength(1);
  });
});
