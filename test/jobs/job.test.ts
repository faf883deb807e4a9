import { it as property } from "@fast-check/vitest";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type JobRecord,
  cancelJob,
  endTask,
  failJob,
  isEnded,
  jobIdOf,
  newJob,
  noteError,
  requireSameRequest,
  resumeJob,
  startTask,
  stateDescription,
  succeedJob,
  suspendJob,
} from "../../replication/jobs/job.ts";
import { SCENARIOS } from "../../replication/jobs/scenarios.ts";

const REQUEST = { itemId: "vm-1", flow: "commit-failover", operationId: "op-1", request: { a: 1, b: [2] } } as const;
const ERROR = { code: "conflict", message: "m", hint: "h" };
const fresh = newJob(REQUEST, 1000);
const [FIRST, SECOND] = ["CloseStream", "RemoveRecoveryPoints"] as const;
const states = ({ tasks }: JobRecord) => tasks.map(({ state }) => state);

describe("a job", () => {
  it("has Site Recovery's names and tasks that have not begun", () => {
    expect(fresh).toMatchObject({
      scenarioName: "CommitFailover",
      state: "NotStarted",
      startedMs: 1000,
      endedMs: undefined,
      errors: [],
    });
    expect(fresh.tasks).toEqual([
      {
        name: FIRST,
        friendlyName: "Closing replication from the source",
        state: "NotStarted",
        startedMs: undefined,
        endedMs: undefined,
      },
      {
        name: SECOND,
        friendlyName: "Removing recovery points",
        state: "NotStarted",
        startedMs: undefined,
        endedMs: undefined,
      },
    ]);
  });

  it("runs task by task to its end", () => {
    const running = startTask(fresh, FIRST, 1100);
    expect(running).toMatchObject({
      state: "InProgress",
      tasks: [{ state: "InProgress", startedMs: 1100 }, { state: "NotStarted" }],
    });
    const half = endTask(running, FIRST, "Succeeded", 1200);
    const done = succeedJob(endTask(half, SECOND, "Skipped", 1300), 1400);
    expect(done).toMatchObject({
      state: "Succeeded",
      endedMs: 1400,
      tasks: [
        { state: "Succeeded", startedMs: 1100, endedMs: 1200 },
        { state: "Skipped", startedMs: 1300, endedMs: 1300 },
      ],
    });
    expect(stateDescription(done)).toBe("Completed");
    expect(() => succeedJob(half, 1400)).toThrow("every task of a job that succeeds has ended");
    expect(() => startTask(fresh, "Other", 1)).toThrow("the job has this task");
  });

  it("fails with the task that was running", () => {
    const failed = failJob(startTask(fresh, FIRST, 1100), ERROR, 1200);
    expect(failed).toMatchObject({
      state: "Failed",
      endedMs: 1200,
      errors: [{ ...ERROR, taskName: FIRST, atMs: 1200 }],
    });
    expect(states(failed)).toEqual(["Failed", "NotStarted"]);
    expect(failJob(fresh, ERROR, 1200).errors).toEqual([{ ...ERROR, taskName: undefined, atMs: 1200 }]);
  });

  it("can be cancelled, suspended and resumed", () => {
    const running = startTask(fresh, FIRST, 1100);
    expect(states(cancelJob(running, 1200))).toEqual(["Cancelled", "NotStarted"]);
    expect(stateDescription(suspendJob(running))).toBe("Waiting for input");
    expect(resumeJob(suspendJob(running))).toEqual(running);
    expect(suspendJob(fresh)).toBe(fresh);
    expect(resumeJob(running)).toBe(running);
  });

  it("says that it went on after an error, once however often it is noted", () => {
    const noted = noteError(startTask(fresh, FIRST, 1100), { ...ERROR, taskName: FIRST }, 1150);
    expect(noteError(noted, { ...ERROR, taskName: FIRST }, 1160)).toBe(noted);
    const done = succeedJob(endTask(endTask(noted, FIRST, "Succeeded", 1200), SECOND, "Succeeded", 1300), 1300);
    expect(stateDescription(done)).toBe("CompletedWithInformation");
  });

  it("keeps the first errors only", () => {
    let job = startTask(fresh, FIRST, 1100);
    for (let at = 0; at < 100; at += 1) job = noteError(job, { ...ERROR, message: String(at), taskName: FIRST }, 1200);
    expect(job.errors).toHaveLength(16);
    expect(failJob(job, ERROR, 1300).errors[0]?.message).toBe("0");
  });

  it("is the same for the same operation id, which cannot ask for two things", () => {
    expect(jobIdOf("vm-1", "op-1")).toBe(fresh.jobId);
    expect(new Set([fresh.jobId, jobIdOf("vm-1", "op-2"), jobIdOf("vm-2", "op-1")]).size).toBe(3);
    requireSameRequest(fresh, { ...REQUEST, request: { b: [2], a: 1 } });
    expect(() => requireSameRequest(fresh, { ...REQUEST, request: { a: 2 } })).toThrow("used for another request");
    expect(() => requireSameRequest(fresh, { ...REQUEST, flow: "cancel-failover" })).toThrow(
      "used for another request",
    );
    expect(() => jobIdOf("vm-1", "")).toThrow("operationId");
    expect(() => jobIdOf("vm-1", "x".repeat(129))).toThrow("operationId");
  });

  it("of every flow has tasks with names of their own", () => {
    for (const { tasks } of Object.values(SCENARIOS)) {
      expect(tasks.length).toBeGreaterThan(0);
      expect(new Set(tasks.map(([name]) => name)).size).toBe(tasks.length);
    }
    expect(new Set(Object.values(SCENARIOS).map(({ scenarioName }) => scenarioName)).size).toBe(
      Object.keys(SCENARIOS).length,
    );
  });

  const step = fc.record({
    act: fc.constantFrom("start", "end", "skip", "fail", "cancel", "suspend", "resume", "note"),
    task: fc.constantFrom(FIRST, SECOND),
    ms: fc.nat(5000),
  });
  const apply = (
    job: JobRecord,
    { act, task, ms }: { readonly act: string; readonly task: string; readonly ms: number },
  ): JobRecord => {
    switch (act) {
      case "start":
        return startTask(job, task, ms);
      case "end":
        return endTask(job, task, "Succeeded", ms);
      case "skip":
        return endTask(job, task, "Skipped", ms);
      case "fail":
        return failJob(job, ERROR, ms);
      case "cancel":
        return cancelJob(job, ms);
      case "note":
        return noteError(job, { ...ERROR, taskName: task }, ms);
      default:
        return act === "suspend" ? suspendJob(job) : resumeJob(job);
    }
  };

  property.prop([fc.array(step, { maxLength: 20 })])(
    "whatever is reported, twice or late: the second time changes nothing, an end is final, time never goes back",
    (steps) => {
      let job = fresh;
      for (const one of steps) {
        const next = apply(job, one);
        expect(apply(next, one)).toEqual(next);
        expect(!isEnded(job) || next === job).toBe(true);
        const times = next.tasks.flatMap(({ startedMs, endedMs }) => [
          startedMs ?? next.startedMs,
          endedMs ?? Infinity,
        ]);
        expect(Math.min(...times)).toBeGreaterThanOrEqual(next.startedMs);
        for (const { startedMs, endedMs } of next.tasks)
          expect(endedMs ?? Infinity).toBeGreaterThanOrEqual(startedMs ?? 0);
        expect(next.endedMs ?? Infinity).toBeGreaterThanOrEqual(
          Math.max(...next.tasks.map(({ endedMs }) => endedMs ?? 0)),
        );
        job = next;
      }
    },
  );
});
