import { describe, expect, it } from "vitest";
import type { StatusFacts } from "../../replication/items/status-facts.ts";
import { itemStatus, readItemStatus } from "../../replication/items/status.ts";
import { HEARTBEAT_RECORD } from "../../replication/names.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import type { HeartbeatRecord, Progress, ProtectedItem } from "../../replication/records/item.ts";
import { initialProgress } from "../../replication/records/progress.ts";
import { DISKS, HOUR_MS, ITEM, START_MS, deltaChain, protectedWorld, setProgress, START } from "./world.ts";

const MINUTE_MS = 60_000;
const item: ProtectedItem = {
  version: 1,
  itemId: ITEM,
  stream: 1,
  nonce: "ab".repeat(16),
  openedMs: START_MS,
  disks: DISKS,
  policy: { pointIntervalMs: 5 * MINUTE_MS, retentionMs: 24 * HOUR_MS },
  createdMs: START_MS,
  registrationHash: undefined,
  tokenHash: "00".repeat(32),
};
const position = (epoch: number): Progress["applied"] => ({ ...START, epoch });
const seedingProgress = initialProgress(item);
const applied: Progress = {
  ...seedingProgress,
  applied: position(9),
  intent: position(9),
  seeding: false,
  appliedSourceMs: START_MS,
};
const beat: HeartbeatRecord = {
  version: 1,
  receivedMs: START_MS,
  sentMs: START_MS,
  bootId: "b",
  uploaded: position(9),
  currentAtMs: START_MS,
  pendingBytes: 0,
  seeding: undefined,
};
const lastPoint = { pointId: "p", stream: 1, epoch: 9, targetTimeMs: START_MS, sourceTimeMs: START_MS };
const healthy: StatusFacts = { item, progress: applied, heartbeat: beat, lastPoint, nowMs: START_MS + 1000 };
const codes = (facts: StatusFacts): readonly string[] => itemStatus(facts).healthErrors.map((error) => error.code);

describe("the status of an item, in Site Recovery's words", () => {
  it("a healthy item", () => {
    expect(itemStatus(healthy)).toMatchObject({
      protectionState: "Protected",
      protectionStateDescription: "Protected",
      replicationHealth: "Normal",
      healthErrors: [],
      rpoInSeconds: 1,
      lastHeartbeatMs: START_MS,
      backlog: { epochs: 0, pendingAtSourceBytes: 0 },
      initialReplicationPercentage: 100,
      lastRecoveryPoint: lastPoint,
      disks: [{ id: "data", diskState: "Protected" }, { id: "os" }],
    });
  });

  it("a source that was stopped in order is no fault, as long as the target has everything", () => {
    const session = { id: "s", machineId: "m", bootId: "b", sinceMs: START_MS, ended: true };
    const stopped: StatusFacts = { ...healthy, heartbeat: { ...beat, session }, nowMs: START_MS + 48 * HOUR_MS };
    expect(itemStatus(stopped)).toMatchObject({
      replicationHealth: "Warning",
      healthErrors: [{ code: "service-stopped" }],
    });
    expect(codes({ ...stopped, heartbeat: { ...beat, session: { ...session, ended: false } } })).toContain(
      "heartbeat-lost",
    );
    const behind = { ...stopped, heartbeat: { ...beat, session, currentAtMs: undefined, pendingBytes: 5 } };
    expect(itemStatus(behind)).toMatchObject({ replicationHealth: "Critical" });
    expect(codes(behind)).toEqual(["service-stopped", "rpo-exceeded"]);
  });

  it("walks from enabling to initial replication to protected", () => {
    const facts: StatusFacts = { ...healthy, progress: seedingProgress, lastPoint: undefined };
    const enabling = itemStatus({ ...facts, item: { ...item, tokenHash: undefined }, heartbeat: undefined });
    expect(enabling).toMatchObject({
      protectionState: "UnprotectedStatesBegin",
      replicationHealth: "None",
      initialReplicationPercentage: 0,
    });
    const seeding = { doneBytes: 500, totalBytes: 1999 };
    expect(itemStatus({ ...facts, heartbeat: { ...beat, uploaded: position(0), seeding } })).toMatchObject({
      protectionState: "InitialReplicationInProgress",
      protectionStateDescription: "Initial replication is in progress",
      replicationHealth: "Normal",
      initialReplicationPercentage: 25,
      rpoInSeconds: undefined,
    });
    expect(
      itemStatus({ ...facts, heartbeat: { ...beat, seeding: { doneBytes: 9, totalBytes: 9 } } })
        .initialReplicationPercentage,
    ).toBe(99);
    expect(itemStatus({ ...facts, heartbeat: beat }).initialReplicationPercentage).toBe(99);
    expect(itemStatus({ ...facts, heartbeat: undefined }).initialReplicationPercentage).toBe(0);
    expect(itemStatus({ ...facts, lastPoint })).toMatchObject({
      protectionState: "Protected",
      stage: "resynchronizing",
      rpoInSeconds: undefined,
    });
  });

  it("measures the recovery point objective by what the target holds, corrected by the source's clock", () => {
    const nowMs = START_MS + 60_000;
    const busy = { ...beat, receivedMs: nowMs, sentMs: nowMs, currentAtMs: undefined, uploaded: position(12) };
    expect(itemStatus({ ...healthy, heartbeat: busy, nowMs })).toMatchObject({
      rpoInSeconds: 60,
      backlog: { epochs: 3 },
    });
    const idle = { ...beat, receivedMs: nowMs, sentMs: nowMs, currentAtMs: nowMs };
    expect(itemStatus({ ...healthy, heartbeat: idle, nowMs }).rpoInSeconds).toBe(0);
    const aheadOfApplied = { ...idle, uploaded: position(10) };
    expect(itemStatus({ ...healthy, heartbeat: aheadOfApplied, nowMs }).rpoInSeconds).toBe(60);
    const slowClock = { ...busy, sentMs: nowMs - 20_000 };
    expect(itemStatus({ ...healthy, heartbeat: slowClock, nowMs }).rpoInSeconds).toBe(40);
    expect(itemStatus({ ...healthy, heartbeat: undefined, nowMs }).rpoInSeconds).toBe(60);
  });

  it("a time that was read while the source's clock was wrong hides nothing", () => {
    const nowMs = START_MS + 60_000;
    const busy = { ...beat, receivedMs: nowMs, sentMs: nowMs, currentAtMs: undefined, uploaded: position(12) };
    const ahead = { ...applied, appliedSourceMs: START_MS + 1000 * HOUR_MS };
    const status = itemStatus({ ...healthy, progress: ahead, heartbeat: busy, nowMs });
    expect(status).toMatchObject({ rpoInSeconds: undefined, healthErrors: [{ code: "clock-skew" }] });
    // What the corrected clock says of an idle machine counts again.
    const idle = { ...busy, uploaded: position(9), currentAtMs: nowMs - 5000 };
    expect(itemStatus({ ...healthy, progress: ahead, heartbeat: idle, nowMs }).rpoInSeconds).toBe(5);
  });

  it("lies too far behind by the threshold of its policy, else by Site Recovery's quarter of an hour", () => {
    const nowMs = START_MS + 16 * MINUTE_MS;
    const busy = { ...beat, receivedMs: nowMs, sentMs: nowMs, currentAtMs: undefined, uploaded: position(12) };
    const behind = (policy: Partial<StatusFacts["item"]["policy"]>) =>
      codes({ ...healthy, item: { ...item, policy: { ...item.policy, ...policy } }, heartbeat: busy, nowMs }).includes(
        "rpo-exceeded",
      );
    expect([
      behind({}),
      behind({ rpoThresholdMs: 17 * MINUTE_MS }),
      behind({ rpoThresholdMs: 15 * MINUTE_MS }),
    ]).toEqual([true, false, true]);
  });

  it("a stopped item is critical and says what to do", () => {
    const stopped = { code: "position-fork", message: "two histories", hint: "find out", facts: {}, atMs: START_MS };
    const status = itemStatus({ ...healthy, progress: { ...applied, stopped } });
    expect(status).toMatchObject({ replicationHealth: "Critical", stopped });
    expect(status.healthErrors[0]).toEqual({
      code: "position-fork",
      level: "Critical",
      message: "two histories",
      hint: "find out",
    });
  });

  it("missing heartbeats are first a warning, then critical", () => {
    const after = (ms: number): StatusFacts => ({ ...healthy, nowMs: START_MS + ms });
    expect(codes(after(MINUTE_MS))).toEqual([]);
    expect(codes(after(MINUTE_MS + 1))).toEqual(["heartbeat-late"]);
    expect(itemStatus(after(16 * MINUTE_MS)).replicationHealth).toBe("Critical");
    expect(codes(after(16 * MINUTE_MS))).toEqual(["heartbeat-lost", "rpo-exceeded"]);
    expect(
      codes({
        ...healthy,
        heartbeat: undefined,
        progress: seedingProgress,
        lastPoint: undefined,
        nowMs: START_MS + 16 * MINUTE_MS,
      }),
    ).toEqual(["heartbeat-lost"]);
  });

  it("a backlog, a missing point and a skewed clock are named", () => {
    const nowMs = START_MS + 20 * MINUTE_MS;
    const fresh = { ...beat, receivedMs: nowMs, sentMs: nowMs, currentAtMs: nowMs };
    expect(codes({ ...healthy, heartbeat: { ...fresh, currentAtMs: undefined }, nowMs })).toEqual([
      "rpo-exceeded",
      "recovery-point-overdue",
    ]);
    expect(codes({ ...healthy, heartbeat: fresh, nowMs })).toEqual(["recovery-point-overdue"]);
    expect(codes({ ...healthy, heartbeat: fresh, lastPoint: { ...lastPoint, targetTimeMs: nowMs }, nowMs })).toEqual(
      [],
    );
    const skewed = { ...fresh, sentMs: nowMs + 6 * MINUTE_MS, currentAtMs: nowMs + 6 * MINUTE_MS };
    expect(codes({ ...healthy, heartbeat: skewed, lastPoint: { ...lastPoint, targetTimeMs: nowMs }, nowMs })).toEqual([
      "clock-skew",
    ]);
    // A service that goes by another clock than that of its machine says so.
    const corrected = { ...fresh, clockAheadMs: -6 * MINUTE_MS };
    expect(
      codes({ ...healthy, heartbeat: corrected, lastPoint: { ...lastPoint, targetTimeMs: nowMs }, nowMs }),
    ).toEqual(["clock-skew"]);
  });
});

describe("reading statuses", () => {
  it("of one item, from its records", async () => {
    const world = await protectedWorld();
    expect(await readItemStatus(world.context, ITEM)).toMatchObject({
      protectionState: "InitialReplicationInProgress",
      lastHeartbeatMs: undefined,
    });
    const [delta] = deltaChain(1);
    if (delta === undefined) throw new Error("no delta");
    await setProgress(world, {
      applied: delta.end,
      intent: delta.end,
      seeding: false,
      appliedSourceMs: START_MS,
      lastPoint,
    });
    await world.stores.records(ITEM).put(HEARTBEAT_RECORD, encodeRecord({ ...beat, uploaded: delta.end }));
    expect(await readItemStatus(world.context, ITEM)).toMatchObject({
      protectionState: "Protected",
      rpoInSeconds: 0,
      lastRecoveryPoint: lastPoint,
    });
    await expect(readItemStatus(world.context, "nobody")).rejects.toMatchObject({ code: "item-unknown" });
    await expect(readItemStatus(world.context, "../x")).rejects.toMatchObject({ code: "item-unknown" });
  });
});
