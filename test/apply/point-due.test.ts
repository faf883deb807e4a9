import { describe, expect, it } from "vitest";
import { CLOCK_SKEW_WARNING_MS } from "../../replication/limits.ts";
import { isPointId, makePointId, pointTimeMs } from "../../replication/points/manifest.ts";
import { pointDue, type PointDecision } from "../../replication/points/point-due.ts";
import type { HeartbeatRecord, LastPoint, Progress } from "../../replication/records/item.ts";
import { initialProgress } from "../../replication/records/progress.ts";
import { smallItem, twoDisks } from "./small-world.ts";

const MINUTE = 60_000;
const NOW = 1_700_000_000_000;
const item = smallItem(twoDisks(8), 5 * MINUTE);
const at = (epoch: number): Progress["applied"] => ({ stream: 1, epoch, checksum: String(epoch).padStart(64, "0") });
const progressAt = (epoch: number, changes: Partial<Progress> = {}): Progress => ({
  ...initialProgress(item),
  applied: at(epoch),
  intent: at(epoch),
  seeding: false,
  appliedSourceMs: NOW - MINUTE,
  ...changes,
});
const pointAt = (epoch: number, targetTimeMs: number, sourceTimeMs = NOW - MINUTE): LastPoint => ({
  pointId: makePointId(targetTimeMs, "test"),
  stream: 1,
  epoch,
  targetTimeMs,
  sourceTimeMs,
});
const beat = (changes: Partial<HeartbeatRecord>): HeartbeatRecord => ({
  version: 1,
  receivedMs: NOW,
  sentMs: NOW,
  bootId: "boot",
  uploaded: at(4),
  currentAtMs: NOW - 1_000,
  pendingBytes: 0,
  seeding: undefined,
  ...changes,
});
const ask = (progress: Progress, heartbeat?: HeartbeatRecord): PointDecision =>
  pointDue({ policy: item.policy, progress, heartbeat, nowMs: NOW });

describe("when a recovery point is due", () => {
  it("the first one as soon as there is an image", () => {
    expect(ask(progressAt(1))).toMatchObject({
      kind: "due",
      reason: "interval",
      sourceTimeMs: NOW - MINUTE,
      targetTimeMs: NOW,
    });
  });

  it("never before the first epoch, while seeding, in the middle of a batch, or when the item is stopped", () => {
    expect(ask(progressAt(0)).kind).toBe("not-due");
    expect(ask(progressAt(3, { seeding: true, consistency: "application" })).kind).toBe("not-due");
    expect(ask(progressAt(3, { intent: at(4) })).kind).toBe("not-due");
    const stopped = { code: "position-fork", message: "", hint: "", facts: {}, atMs: NOW };
    expect(ask(progressAt(3, { stopped })).kind).toBe("not-due");
  });

  it("again when the interval has passed and something was applied since, not a moment earlier", () => {
    expect(ask(progressAt(4, { lastPoint: pointAt(3, NOW - 5 * MINUTE) })).kind).toBe("due");
    expect(ask(progressAt(4, { lastPoint: pointAt(3, NOW - 5 * MINUTE + 1) })).kind).toBe("not-due");
  });

  it("of an idle VM when its service says that the position is still current at a later time, and then it shows that time", () => {
    const progress = progressAt(4, { lastPoint: pointAt(4, NOW - 6 * MINUTE) });
    expect(ask(progress).kind).toBe("not-due");
    expect(ask(progress, beat({ currentAtMs: undefined })).kind).toBe("not-due");
    expect(ask(progress, beat({ currentAtMs: NOW - MINUTE })).kind).toBe("not-due");
    expect(ask(progress, beat({}))).toMatchObject({ kind: "due", sourceTimeMs: NOW - 1_000 });
  });

  it("a heartbeat about another position says nothing about this one", () => {
    const progress = progressAt(4, { lastPoint: pointAt(3, NOW - 6 * MINUTE) });
    expect(ask(progress, beat({ uploaded: at(5) }))).toMatchObject({ kind: "due", sourceTimeMs: NOW - MINUTE });
    const twin = { ...at(4), checksum: "f".repeat(64) };
    expect(ask(progress, beat({ uploaded: twin }))).toMatchObject({ kind: "due", sourceTimeMs: NOW - MINUTE });
  });

  it("at once, and once only, after a delta with application or file-system consistency, a group mark, or the final one", () => {
    for (const mark of [
      { consistency: "application" },
      { consistency: "file-system" },
      { groupMark: true },
      { final: true },
    ] as const) {
      expect(ask(progressAt(4, { ...mark, lastPoint: pointAt(3, NOW - 1) }))).toMatchObject({
        kind: "due",
        reason: "marked",
      });
      expect(ask(progressAt(4, { ...mark, lastPoint: pointAt(4, NOW - 1) })).kind).toBe("not-due");
    }
  });

  it("at once when a failover wants one at the applied position or before it, and none is there", () => {
    const wants = (epoch: number, applied: Progress, stream = 1): string => {
      const wanted = { version: 1, stream, epoch } as const;
      const decision = pointDue({ policy: item.policy, progress: applied, heartbeat: undefined, nowMs: NOW, wanted });
      return decision.kind === "due" ? decision.reason : decision.kind;
    };
    const behind = progressAt(4, { lastPoint: pointAt(3, NOW - 1) });
    expect(wants(4, behind)).toBe("wanted");
    expect(wants(5, behind)).toBe("not-due");
    expect(wants(3, behind)).toBe("not-due");
    expect(wants(4, behind, 2)).toBe("not-due");
    expect(wants(2, progressAt(4, { lastPoint: { ...pointAt(9, NOW - 1), stream: 2 } }))).toBe("wanted");
    expect(wants(4, { ...behind, seeding: true })).toBe("not-due");
    expect(wants(4, { ...behind, intent: at(5) })).toBe("not-due");
  });

  it("a source clock that was set back a little does not make a later point look older than an earlier one", () => {
    const lastPoint = pointAt(3, NOW - 6 * MINUTE, NOW + 4 * MINUTE);
    expect(ask(progressAt(4, { lastPoint }))).toMatchObject({ kind: "due", sourceTimeMs: NOW + 4 * MINUTE });
    expect(ask(progressAt(4, { lastPoint: { ...lastPoint, stream: 2 } }))).toMatchObject({
      kind: "due",
      sourceTimeMs: NOW - MINUTE,
    });
    // As far as its heartbeats say that it is ahead.
    const ahead = { ...lastPoint, sourceTimeMs: NOW + 120 * MINUTE };
    expect(ask(progressAt(4, { lastPoint: ahead }), beat({ sentMs: NOW + 120 * MINUTE }))).toMatchObject({
      sourceTimeMs: NOW + 120 * MINUTE,
    });
  });

  it("one reading of a source clock in another century is bounded, and does not pin the times of all points to come", () => {
    const century = Date.UTC(2099, 0, 1);
    expect(ask(progressAt(4, { appliedSourceMs: century }))).toMatchObject({
      sourceTimeMs: NOW + CLOCK_SKEW_WARNING_MS,
    });
    // A clock that is there now is not believed either.
    expect(ask(progressAt(4, { appliedSourceMs: century }), beat({ sentMs: century }))).toMatchObject({
      sourceTimeMs: NOW + CLOCK_SKEW_WARNING_MS,
    });
    expect(ask(progressAt(4), beat({ currentAtMs: century }))).toMatchObject({ sourceTimeMs: NOW - MINUTE });
    const pinned = pointAt(3, NOW - 6 * MINUTE, century);
    expect(ask(progressAt(4, { lastPoint: pinned }))).toMatchObject({ kind: "due", sourceTimeMs: NOW - MINUTE });
    // Nor are those of an idle machine silenced by the point that shows it.
    expect(ask(progressAt(4, { lastPoint: { ...pinned, epoch: 4 } }), beat({}))).toMatchObject({
      kind: "due",
      sourceTimeMs: NOW - 1_000,
    });
  });

  it("measures how far the source's clock is ahead", () => {
    expect(ask(progressAt(4), beat({ sentMs: NOW + 2_500 }))).toMatchObject({ skewMs: 2_500 });
    expect(ask(progressAt(4))).toMatchObject({ kind: "due", skewMs: undefined });
  });

  it("a clock that was set back by more than the interval does not silence points", () => {
    expect(ask(progressAt(4, { lastPoint: pointAt(3, NOW + 60 * MINUTE) })).kind).toBe("due");
    expect(ask(progressAt(4, { lastPoint: pointAt(3, NOW + 4 * MINUTE) })).kind).toBe("not-due");
  });
});

describe("point ids", () => {
  it("sort as text by target time and carry it", () => {
    const ids = [5, 40, 1_700_000_000_000].map((timeMs) => makePointId(timeMs, "worker/1"));
    expect(ids.toSorted()).toEqual(ids);
    expect(ids.map(pointTimeMs)).toEqual([5, 40, 1_700_000_000_000]);
    expect(ids.every(isPointId)).toBe(true);
  });

  it("differ for two tries at one moment", () => {
    expect(makePointId(5, "vm/1/generation 7")).not.toBe(makePointId(5, "vm/1/generation 8"));
  });
});
