import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Timetable } from "../../events/timetable.ts";

describe("the timetable of deliveries", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("runs tasks when they are due, in order of time", async () => {
    const done: string[] = [];
    const timetable = new Timetable<string>(async (task) => {
      done.push(task);
      return undefined;
    });
    timetable.add("third", 30);
    timetable.add("first", 10);
    timetable.add("second", 10);
    await vi.advanceTimersByTimeAsync(9);
    expect(done).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(done).toEqual(["first", "second"]);
    await vi.advanceTimersByTimeAsync(20);
    await timetable.drain();
    expect(done).toEqual(["first", "second", "third"]);
    await timetable.close();
  });

  it("tries again after the pause that the attempt asks for, and lets others pass meanwhile", async () => {
    const done: string[] = [];
    const timetable = new Timetable<string>(async (task, attempts) => {
      done.push(`${task} ${attempts}`);
      return task === "stubborn" && attempts < 3 ? 100 * attempts : undefined;
    });
    timetable.add("stubborn", 0);
    timetable.add("other", 50);
    await vi.advanceTimersByTimeAsync(99);
    expect(done).toEqual(["stubborn 1", "other 1"]);
    await vi.advanceTimersByTimeAsync(201);
    await timetable.drain();
    expect(done).toEqual(["stubborn 1", "other 1", "stubborn 2", "stubborn 3"]);
    await timetable.close();
  });

  it("waits for the attempt under way when it closes, and drops the rest", async () => {
    const gate = Promise.withResolvers<undefined>();
    const done: string[] = [];
    const timetable = new Timetable<string>(async (task) => {
      await gate.promise;
      done.push(task);
      return undefined;
    });
    timetable.add("under way", 0);
    timetable.add("later", 0);
    await vi.advanceTimersByTimeAsync(0);
    const drained = timetable.drain();
    const closed = timetable.close();
    gate.resolve(undefined);
    await closed;
    await expect(drained).rejects.toThrow("closed");
    expect(done).toEqual(["under way"]);
  });

  it("reports a failed attempt to the caller that waits", async () => {
    const timetable = new Timetable<string>(async () => {
      throw new Error("the disk is full");
    });
    timetable.add("task", 0);
    await vi.advanceTimersByTimeAsync(0);
    await expect(timetable.drain()).rejects.toThrow("the disk is full");
    await expect(timetable.close()).rejects.toThrow("the disk is full");
  });
});
