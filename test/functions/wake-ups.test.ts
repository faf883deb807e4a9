import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type WakeUps, type WakeUpSlot, openWakeUps } from "../../functions/serving/wake-ups.ts";
import { LET_GO_MS, WARM_ITEMS_MAX_COUNT, WARM_LOOK_MS } from "../../replication/limits.ts";

describe("WakeUps", () => {
  let wakeUp: WakeUps;
  beforeEach(() => {
    vi.useFakeTimers();
    wakeUp = openWakeUps({ now: () => Date.now() });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const enter = (itemId: string): WakeUpSlot => {
    const slot = wakeUp.enter(itemId);
    if (slot === undefined) throw new Error("the slot is taken");
    return slot;
  };
  const wait = (slot: WakeUpSlot, ms: number): Promise<boolean> =>
    slot.awaitHint?.("web", Date.now() + ms) ?? Promise.reject(new Error("not warm"));

  it("gives an item's slot to one, rings for the next, and frees the slot afterwards", () => {
    const slot = enter("web");
    expect(wakeUp.enter("web")).toBeUndefined();
    expect(wakeUp.enter("db")).toBeDefined();
    expect(slot.leave()).toBe(true);
    expect(enter("web").leave()).toBe(false);
  });

  it("wakes whoever waits, at once", async () => {
    const slot = enter("web");
    const woken = wait(slot, 5000);
    wakeUp.enter("web");
    await expect(woken).resolves.toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    expect(slot.leave()).toBe(false);
  });

  it("rule 5: remembers a hint that came while nobody waited, once", async () => {
    const slot = enter("web");
    wakeUp.enter("web");
    wakeUp.enter("web");
    await expect(wait(slot, 5000)).resolves.toBe(true);
    const second = wait(slot, 5000);
    await vi.advanceTimersByTimeAsync(5000);
    await expect(second).resolves.toBe(false);
    expect(slot.leave()).toBe(false);
  });

  it("rule 5: a hint that nobody waited for is handed to whoever leaves", async () => {
    const slot = enter("web");
    const waited = wait(slot, 1000);
    await vi.advanceTimersByTimeAsync(1000);
    await expect(waited).resolves.toBe(false);
    wakeUp.enter("web");
    expect(slot.leave()).toBe(true);
  });

  it("looks without a hint now and then, because hints may go to another process", async () => {
    const slot = enter("web");
    const waited = wait(slot, 60_000);
    await vi.advanceTimersByTimeAsync(WARM_LOOK_MS);
    await expect(waited).resolves.toBe(true);
  });

  it("a time that is over already does not wait", async () => {
    const slot = enter("web");
    const waited = wait(slot, -1);
    await vi.advanceTimersByTimeAsync(0);
    await expect(waited).resolves.toBe(false);
  });

  it("when the process ends, nobody waits any more and the slots are given back first", async () => {
    const slot = enter("web");
    const waited = wait(slot, 60_000);
    expect(slot.closing()).toBe(false);
    const closed = wakeUp.close().then(() => "closed");
    await expect(waited).resolves.toBe(false);
    expect(slot.closing()).toBe(true);
    await expect(wait(slot, 60_000)).resolves.toBe(false);
    expect(enter("late").awaitHint).toBeUndefined();
    slot.leave();
    const pending = Promise.race([closed, Promise.resolve("pending")]);
    await expect(pending).resolves.toBe("pending");
    await vi.advanceTimersByTimeAsync(LET_GO_MS);
    await expect(closed).resolves.toBe("closed");
  });

  it("closes at once when the last slot is given back", async () => {
    await wakeUp.close();
    wakeUp = openWakeUps({ now: () => Date.now() });
    const slot = enter("web");
    const closed = wakeUp.close();
    slot.leave();
    await closed;
    expect(vi.getTimerCount()).toBe(0);
  });

  it("rule 9: keeps a few items warm and lets the others go on without waiting", () => {
    const slots = Array.from({ length: WARM_ITEMS_MAX_COUNT + 1 }, (_, index) => enter(`web-${index}`));
    expect(slots.map((slot) => slot.awaitHint !== undefined)).toEqual([...slots.slice(1).map(() => true), false]);
    slots[0]?.leave();
    expect(enter("db").awaitHint).toBeDefined();
    slots.at(-1)?.leave();
    expect(enter("late").awaitHint).toBeUndefined();
  });
});
