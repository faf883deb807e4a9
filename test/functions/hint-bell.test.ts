import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type HintBell, type HintSeat, openHintBell } from "../../functions/serving/hint-bell.ts";
import { LET_GO_MS, WARM_ITEMS_MAX_COUNT, WARM_LOOK_MS } from "../../replication/limits.ts";

describe("HintBell", () => {
  let bell: HintBell;
  beforeEach(() => {
    vi.useFakeTimers();
    bell = openHintBell({ now: () => Date.now() });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const enter = (itemId: string): HintSeat => {
    const seat = bell.enter(itemId);
    if (seat === undefined) throw new Error("the seat is taken");
    return seat;
  };
  const wait = (seat: HintSeat, ms: number): Promise<boolean> =>
    seat.awaitHint?.("web", Date.now() + ms) ?? Promise.reject(new Error("not warm"));

  it("gives an item's seat to one, rings for the next, and frees the seat afterwards", () => {
    const seat = enter("web");
    expect(bell.enter("web")).toBeUndefined();
    expect(bell.enter("db")).toBeDefined();
    expect(seat.leave()).toBe(true);
    expect(enter("web").leave()).toBe(false);
  });

  it("wakes whoever waits, at once", async () => {
    const seat = enter("web");
    const woken = wait(seat, 5000);
    bell.enter("web");
    await expect(woken).resolves.toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    expect(seat.leave()).toBe(false);
  });

  it("rule 5: remembers a hint that came while nobody waited, once", async () => {
    const seat = enter("web");
    bell.enter("web");
    bell.enter("web");
    await expect(wait(seat, 5000)).resolves.toBe(true);
    const second = wait(seat, 5000);
    await vi.advanceTimersByTimeAsync(5000);
    await expect(second).resolves.toBe(false);
    expect(seat.leave()).toBe(false);
  });

  it("rule 5: a hint that nobody waited for is handed to whoever leaves", async () => {
    const seat = enter("web");
    const waited = wait(seat, 1000);
    await vi.advanceTimersByTimeAsync(1000);
    await expect(waited).resolves.toBe(false);
    bell.enter("web");
    expect(seat.leave()).toBe(true);
  });

  it("looks without a hint now and then, because hints may go to another process", async () => {
    const seat = enter("web");
    const waited = wait(seat, 60_000);
    await vi.advanceTimersByTimeAsync(WARM_LOOK_MS);
    await expect(waited).resolves.toBe(true);
  });

  it("a time that is over already does not wait", async () => {
    const seat = enter("web");
    const waited = wait(seat, -1);
    await vi.advanceTimersByTimeAsync(0);
    await expect(waited).resolves.toBe(false);
  });

  it("when the process ends, nobody waits any more and the seats are given back first", async () => {
    const seat = enter("web");
    const waited = wait(seat, 60_000);
    expect(seat.closing()).toBe(false);
    const closed = bell.close().then(() => "closed");
    await expect(waited).resolves.toBe(false);
    expect(seat.closing()).toBe(true);
    await expect(wait(seat, 60_000)).resolves.toBe(false);
    expect(enter("late").awaitHint).toBeUndefined();
    seat.leave();
    const pending = Promise.race([closed, Promise.resolve("pending")]);
    await expect(pending).resolves.toBe("pending");
    await vi.advanceTimersByTimeAsync(LET_GO_MS);
    await expect(closed).resolves.toBe("closed");
  });

  it("closes at once when the last seat is given back", async () => {
    await bell.close();
    bell = openHintBell({ now: () => Date.now() });
    const seat = enter("web");
    const closed = bell.close();
    seat.leave();
    await closed;
    expect(vi.getTimerCount()).toBe(0);
  });

  it("rule 9: keeps a few items warm and lets the others go on without waiting", () => {
    const seats = Array.from({ length: WARM_ITEMS_MAX_COUNT + 1 }, (_, index) => enter(`web-${index}`));
    expect(seats.map((seat) => seat.awaitHint !== undefined)).toEqual([...seats.slice(1).map(() => true), false]);
    seats[0]?.leave();
    expect(enter("db").awaitHint).toBeDefined();
    seats.at(-1)?.leave();
    expect(enter("late").awaitHint).toBeUndefined();
  });
});
