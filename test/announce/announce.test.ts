import { beforeEach, describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { type EventContext, announceItem, announceNow } from "../../replication/events/announce.ts";
import { type LeewardEvent, failoverStateChanged, jobStateChanged } from "../../replication/events/event.ts";
import { cancelJob, failJob, newJob, startTask } from "../../replication/jobs/job.ts";
import { ITEM_RECORD, manifestName } from "../../replication/names.ts";
import type { ItemState } from "../../replication/states/states.ts";
import {
  HOUR_MS,
  ITEM,
  START_MS,
  type World,
  addPoint,
  applyChain,
  deltaChain,
  protectedWorld,
  setProgress,
} from "../items/world.ts";

describe("what the topic is told", () => {
  let world: World;
  let topic: { away: boolean; readonly sent: LeewardEvent[] };
  let context: EventContext;
  beforeEach(async () => {
    world = await protectedWorld();
    topic = { away: false, sent: [] };
    const publish = async (events: readonly LeewardEvent[]): Promise<void> => {
      if (topic.away) throw new LeewardError("events-unavailable", "The topic is away.");
      topic.sent.push(...events);
    };
    context = { ...world.context, events: { publish } };
  });
  const types = () => topic.sent.map(({ eventType }) => eventType.replace("Leeward.", ""));
  const takePoint = async (): Promise<string> => {
    const chain = deltaChain(1);
    await applyChain(world, chain);
    const point = await addPoint(world, chain[0]?.end ?? { stream: 1, epoch: 1, checksum: "" }, {});
    const { pointId, stream, targetTimeMs, sourceTimeMs } = point;
    await setProgress(world, { lastPoint: { pointId, stream, epoch: 1, targetTimeMs, sourceTimeMs } });
    return pointId;
  };

  it("is the health when it changes, once", async () => {
    expect(await announceItem(context, ITEM)).toBe(1);
    expect(await announceItem(context, ITEM)).toBe(0);
    world.pass(HOUR_MS);
    await announceItem(context, ITEM);
    expect(topic.sent.map(({ data }) => [data["previousReplicationHealth"], data["replicationHealth"]])).toEqual([
      [undefined, "Normal"],
      ["Normal", "Critical"],
    ]);
    expect(topic.sent[1]?.data["healthErrors"]).toContainEqual(
      expect.objectContaining({ code: "heartbeat-lost", level: "Critical" }),
    );
    expect(topic.sent[1]).toMatchObject({ subject: "/replicationProtectedItems/vm-1/health", dataVersion: "1.0" });
  });

  it("is each point, also those that a topic that was away has missed, in their order", async () => {
    const first = await takePoint();
    await announceItem(context, ITEM);
    expect(topic.sent.at(-1)).toMatchObject({ subject: `/replicationProtectedItems/vm-1/recoveryPoints/${first}` });
    topic.away = true;
    const missed: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      world.pass(1000);
      missed.push(await takePoint());
      await expect(announceItem(context, ITEM)).rejects.toMatchObject({ code: "events-unavailable" });
    }
    topic.away = false;
    topic.sent.length = 0;
    await announceItem(context, ITEM);
    expect(topic.sent.flatMap(({ data }) => data["recoveryPoint"] ?? [])).toEqual(missed);
    expect(await announceItem(context, ITEM)).toBe(0);
  });

  it("is a point whose manifest was damaged when its turn came, once it is back, and no other again", async () => {
    const records = world.stores.records(ITEM);
    const damaged = await takePoint();
    const whole = await records.read(manifestName(damaged));
    await records.put(manifestName(damaged), new Uint8Array([1]));
    world.pass(1000);
    const gone = await takePoint();
    await records.put(manifestName(gone), new Uint8Array([1]));
    world.pass(1000);
    const next = await takePoint();
    const told = () => topic.sent.flatMap(({ data }) => data["recoveryPoint"] ?? []);
    await announceItem(context, ITEM);
    expect(told()).toEqual([next]);
    expect(await announceItem(context, ITEM)).toBe(0);
    await records.put(manifestName(damaged), whole?.bytes ?? new Uint8Array());
    await records.remove(manifestName(gone));
    expect(await announceItem(context, ITEM)).toBe(1);
    expect(told()).toEqual([next, damaged]);
    expect(await announceItem(context, ITEM)).toBe(0);
  });

  it("is every point from the first on, though the topic was away then", async () => {
    topic.away = true;
    const taken: string[] = [];
    for (let count = 0; count < 2; count += 1) {
      world.pass(1000);
      taken.push(await takePoint());
      await expect(announceItem(context, ITEM)).rejects.toMatchObject({ code: "events-unavailable" });
    }
    topic.away = false;
    await announceItem(context, ITEM);
    expect(topic.sent.flatMap(({ data }) => data["recoveryPoint"] ?? [])).toEqual(taken);
  });

  it("is every point in steps after days without the topic", async () => {
    await takePoint();
    await announceItem(context, ITEM);
    const missed: string[] = [];
    for (let count = 0; count < 200; count += 1) {
      world.pass(1000);
      missed.push(await takePoint());
    }
    topic.sent.length = 0;
    await announceItem(context, ITEM);
    expect(topic.sent.length).toBeLessThan(200);
    while ((await announceItem(context, ITEM)) > 0);
    expect(topic.sent.flatMap(({ data }) => data["recoveryPoint"] ?? [])).toEqual(missed);
  });

  it("of a point by a worker whose clock lags is told all the same", async () => {
    world.pass(5000);
    await takePoint();
    await announceItem(context, ITEM);
    topic.sent.length = 0;
    world.pass(-3000);
    const late = await takePoint();
    await announceItem(context, ITEM);
    expect(topic.sent.map(({ data }) => data["recoveryPoint"])).toEqual([late]);
    expect(await announceItem(context, ITEM)).toBe(0);
  });

  it("nobody else's news are lost when two sweeps tell at the same time: the same ids twice at most", async () => {
    await takePoint();
    await Promise.all([announceItem(context, ITEM), announceItem(context, ITEM)]);
    expect(new Set(topic.sent.map(({ id }) => id)).size).toBe(2);
    expect(await announceItem(context, ITEM)).toBe(0);
  });

  it("a job's event that the topic does not take is kept and told by the sweep, each once, bounded", async () => {
    await announceItem(context, ITEM);
    topic.away = true;
    const event = jobEvent("operation");
    expect(await announceNow(context, ITEM, event)).toBe("waiting");
    expect(await announceNow(context, ITEM, event)).toBe("waiting");
    topic.away = false;
    await announceItem(context, ITEM);
    expect(types()).toEqual(["ReplicationHealthChanged", "JobStateChanged"]);
    expect(await announceNow(context, ITEM, jobEvent("another"))).toBe("sent");
    topic.away = true;
    for (let count = 0; count < 70; count += 1) await announceNow(context, ITEM, jobEvent(`operation-${count}`));
    topic.away = false;
    topic.sent.length = 0;
    await announceItem(context, ITEM);
    expect(topic.sent).toHaveLength(64);
    expect(topic.sent.at(-1)).toEqual(jobEvent("operation-69"));
  });

  it("a damaged record of the item keeps no event back, neither one that is told now nor one that waits", async () => {
    await announceItem(context, ITEM);
    await world.stores.records(ITEM).put(ITEM_RECORD, new TextEncoder().encode("damaged"));
    topic.away = true;
    expect(await announceNow(context, ITEM, jobEvent("operation"))).toBe("waiting");
    topic.away = false;
    topic.sent.length = 0;
    expect(await announceItem(context, ITEM)).toBe(1);
    expect(topic.sent).toEqual([jobEvent("operation")]);
    expect(await announceItem(context, ITEM)).toBe(0);
  });

  it("leaves nothing behind for an item that is gone", async () => {
    topic.away = true;
    expect(await announceNow(context, "vm-2", jobEvent("operation"))).toBe("lost");
    expect(world.recordNames("vm-2")).toEqual([]);
  });
});

describe("an event", () => {
  it("of a job tells its state, its running task and its first errors, cut to length", () => {
    const job = startTask(
      newJob({ itemId: ITEM, flow: "unplanned-failover", operationId: "a", request: {} }, START_MS),
      "CreateDisks",
      START_MS,
    );
    expect(jobStateChanged(job, START_MS).data).toMatchObject({ state: "InProgress", currentTask: "CreateDisks" });
    const failed = failJob(job, { code: "azure-refused", message: "x".repeat(5000), hint: "Look." }, START_MS + 1000);
    const { id, data, subject, times } = jobStateChanged(failed, START_MS + 1000);
    expect(data).toMatchObject({ state: "Failed", scenarioName: "UnplannedFailover" });
    expect(times).toEqual({ startTime: START_MS, endTime: START_MS + 1000 });
    expect(data["errors"]).toEqual([
      { taskName: "CreateDisks", code: "azure-refused", message: expect.any(String), hint: "Look." },
    ]);
    expect(JSON.stringify(data).length).toBeLessThan(2000);
    expect(subject).toBe(`/replicationProtectedItems/vm-1/replicationJobs/${job.jobId}`);
    expect(jobStateChanged(failed, START_MS + 9000).id).toBe(id);
    expect(jobStateChanged(cancelJob(job, START_MS), START_MS).id).not.toBe(id);
  });

  it("of a failover tells the words of both states, and there is none without a change", () => {
    const before = situation("Protected");
    const after = {
      ...situation("FailoverInProgress"),
      failover: "Planned",
      job: { jobId: "j", flow: "planned-failover" },
    } as const;
    expect(failoverStateChanged(ITEM, before, before, "j", START_MS)).toBeUndefined();
    expect(failoverStateChanged(ITEM, before, after, "j", START_MS)).toMatchObject({
      eventType: "Leeward.FailoverStateChanged",
      data: {
        protectedItem: ITEM,
        protectionState: "PlannedFailoverInitiated",
        previousProtectionState: "Protected",
        job: "j",
      },
    });
  });
});

const jobEvent = (operationId: string): LeewardEvent =>
  jobStateChanged(newJob({ itemId: ITEM, flow: "unplanned-failover", operationId, request: {} }, START_MS), START_MS);
const situation = (state: ItemState) =>
  ({ state, activeLocation: "Primary", failover: undefined, job: undefined }) as const;
