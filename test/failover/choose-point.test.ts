import { it as property } from "@fast-check/vitest";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import {
  type ApplyProgress,
  type ChoosablePoint,
  type LatestTarget,
  type PointChoice,
  type PointRequest,
  choosePoint,
  latestTarget,
  pointRequest,
} from "../../replication/points/choose-point.ts";
import type { Position } from "../../replication/position.ts";

const at = (epoch: number, stream = 1): Position => ({ stream, epoch, checksum: "00".repeat(32) });
const point = (pointId: string, epoch: number, change: Partial<ChoosablePoint> = {}): ChoosablePoint => ({
  pointId,
  position: at(epoch),
  targetTimeMs: epoch * 1000,
  consistency: "crash",
  deleting: false,
  ...change,
});
const progress = (epoch: number, change: Partial<ApplyProgress> = {}): ApplyProgress => ({
  applied: at(epoch),
  boundary: true,
  seeding: false,
  stopped: false,
  ...change,
});
const POINTS = [point("new", 30), point("app", 20, { consistency: "application" }), point("old", 10)];
const TARGET: LatestTarget = { position: at(40), deadlineMs: 1000 };
/** What was decided, with the error's code instead of the error. */
function decide(
  request: PointRequest,
  points: readonly ChoosablePoint[],
  now: ApplyProgress,
  target = TARGET,
  nowMs = 0,
): unknown {
  const choice: PointChoice = choosePoint(request, points, now, target, nowMs);
  return choice.kind === "refused"
    ? `refused ${choice.error.code}`
    : choice.kind === "point"
      ? `${choice.pointId} ${choice.why}`
      : choice.kind;
}
const LATEST: PointRequest = { kind: "Latest" };

describe("the recovery point of a failover", () => {
  it("is the one of the latest content, whatever the clock of the day said", () => {
    const ahead = [point("ahead", 10, { targetTimeMs: 99_000_000 }), point("right", 20), point("next", 30)];
    for (const request of [LATEST, { kind: "LatestProcessed" }, { kind: "LatestCrashConsistent" }] as const) {
      expect(decide(request, ahead, progress(30), { position: at(30), deadlineMs: 1000 })).toMatch(/^next /);
    }
    // That of a later stream goes before all of an earlier one.
    const streams = [point("second", 1, { position: at(1, 2) }), ...ahead];
    expect(decide({ kind: "LatestProcessed" }, streams, progress(30))).toMatch(/^second /);
  });

  it("is never one whose record is damaged, unless it is asked for: then its damage is the answer", () => {
    const damaged = new LeewardError("record-corrupt", "damaged");
    const points = [point("good", 10), point("bad", 20, { damaged })];
    expect(decide({ kind: "LatestProcessed" }, points, progress(20))).toMatch(/^good /);
    expect(decide({ kind: "Custom", pointId: "bad" }, points, progress(20))).toBe("refused record-corrupt");
    expect(decide({ kind: "Custom", pointId: "good" }, points, progress(20))).toMatch(/^good /);
  });

  it("is the latest that is there when nobody can read how far the target is", () => {
    const target = latestTarget(undefined, at(40), 5);
    expect(choosePoint(LATEST, POINTS, undefined, target, 5)).toEqual({
      kind: "point",
      pointId: "new",
      why: "fallback-stopped",
    });
    expect(choosePoint(LATEST, [], undefined, latestTarget(undefined, undefined, 5), 5)).toMatchObject({
      kind: "refused",
    });
  });

  it("no point id means the latest", () => {
    expect([pointRequest(undefined), pointRequest(null), pointRequest("")]).toEqual([LATEST, LATEST, LATEST]);
    expect(pointRequest("p")).toEqual({ kind: "Custom", pointId: "p" });
  });

  it.each([
    [{ kind: "LatestProcessed" }, "new latest-processed"],
    [{ kind: "LatestApplicationConsistent" }, "app asked-for"],
    [{ kind: "LatestCrashConsistent" }, "new asked-for"],
    [{ kind: "Custom", pointId: "old" }, "old asked-for"],
    [{ kind: "Custom", pointId: "none" }, "refused point-unknown"],
  ] as const)("%o: %s", (request, outcome) => {
    expect(decide(request, POINTS, progress(30))).toBe(outcome);
  });

  it("points that retention is removing are never chosen", () => {
    const going = POINTS.map((one) => (one.pointId === "old" ? one : { ...one, deleting: true }));
    expect(decide({ kind: "LatestProcessed" }, going, progress(30))).toBe("old latest-processed");
    expect(decide({ kind: "Custom", pointId: "new" }, going, progress(30))).toBe("refused point-pruned");
    expect(decide({ kind: "LatestApplicationConsistent" }, going, progress(30))).toBe("refused point-unknown");
    expect(decide({ kind: "LatestProcessed" }, [], progress(30))).toBe("refused point-unknown");
  });
});

describe("failing over to the latest state", () => {
  it("fixes its target when it starts: what is known to be uploaded then", () => {
    expect(latestTarget(progress(5), at(9), 100, 50)).toEqual({ position: at(9), deadlineMs: 150 });
    expect(latestTarget(progress(5), undefined, 100, 50).position).toEqual(at(5));
    expect(latestTarget(progress(5), at(4), 100, 50).position).toEqual(at(5));
    expect(latestTarget(progress(5), at(9, 2), 100, 50).position).toEqual(at(5));
  });

  it("waits for the backlog, then has a point taken, then uses it", () => {
    expect(decide(LATEST, POINTS, progress(30))).toBe("wait");
    expect(decide(LATEST, POINTS, progress(40, { boundary: false }))).toBe("wait");
    expect(decide(LATEST, POINTS, progress(40))).toBe("take-point");
    expect(decide(LATEST, [...POINTS, point("there", 41)], progress(45))).toBe("there latest");
  });

  it("falls back to the latest processed point when the time is over", () => {
    expect(decide(LATEST, POINTS, progress(30), TARGET, 999)).toBe("wait");
    expect(decide(LATEST, POINTS, progress(30), TARGET, 1000)).toBe("new fallback-deadline");
    expect(decide(LATEST, [], progress(30), TARGET, 1000)).toBe("refused point-unknown");
  });

  it("falls back at once when nothing more can come", () => {
    expect(decide(LATEST, POINTS, progress(30, { stopped: true }))).toBe("new fallback-stopped");
    expect(decide(LATEST, POINTS, progress(40, { stopped: true }))).toBe("take-point");
    expect(decide(LATEST, POINTS, progress(40, { seeding: true }))).toBe("new fallback-seeding");
    expect(decide(LATEST, POINTS, { ...progress(1), applied: at(1, 2) })).toBe("new fallback-stream-closed");
  });

  const points = fc.uniqueArray(fc.record({ epoch: fc.nat(60), deleting: fc.boolean() }), {
    maxLength: 8,
    selector: ({ epoch }) => epoch,
  });
  property.prop([points, fc.nat(60), fc.nat(60), fc.boolean(), fc.boolean(), fc.boolean(), fc.nat(2000)])(
    "always names the newest point that serves, never one before its target without saying why, and never waits beyond its deadline",
    (given, applied, wanted, boundary, seeding, stopped, nowMs) => {
      const all = given.map(({ epoch, deleting }) => point(`p${epoch}`, epoch, { deleting }));
      const choice = choosePoint(
        LATEST,
        all,
        progress(applied, { boundary, seeding, stopped }),
        { position: at(wanted), deadlineMs: 1000 },
        nowMs,
      );
      const kept = all
        .filter(({ deleting }) => !deleting)
        .toSorted((left, right) => left.targetTimeMs - right.targetTimeMs);
      const newest = kept.at(-1);
      expect(["wait", "take-point"].includes(choice.kind) && nowMs >= 1000).toBe(false);
      expect(choice.kind === "refused").toBe(
        newest === undefined && choice.kind !== "wait" && choice.kind !== "take-point",
      );
      const served = choice.kind === "point" ? choice.pointId : newest?.pointId;
      expect(served).toBe(newest?.pointId);
      expect(choice.kind === "point" && choice.why === "latest").toBe(
        newest !== undefined && newest.position.epoch >= wanted,
      );
    },
  );
});
