import { describe, expect, it } from "vitest";
import { whileBusy } from "../../replication/apply/busy.ts";
import { BUSY_PAUSE_MAX_MS, BUSY_PAUSE_MS } from "../../replication/apply/limits.ts";
import { LeewardError } from "../../replication/errors.ts";

/** A store that is busy `times` times, and a clock that only pauses move. */
function asked(times: number, untilMs: number) {
  let nowMs = 0;
  let left = times;
  const pauses: number[] = [];
  const timer = {
    pause: async (durationMs: number) => {
      pauses.push(durationMs);
      nowMs += durationMs;
    },
  };
  const send = async (): Promise<string> => {
    left -= 1;
    if (left >= 0) throw new LeewardError("store-busy", "busy");
    return "taken";
  };
  return { pauses, answer: whileBusy({ clock: { now: () => nowMs }, timer }, { send, untilMs: () => untilMs }) };
}

describe("a store that is busy", () => {
  it("is asked again after a pause that doubles up to its bound", async () => {
    const { answer, pauses } = asked(10, Number.POSITIVE_INFINITY);
    expect(await answer).toBe("taken");
    expect(pauses.slice(0, 3)).toEqual([BUSY_PAUSE_MS, 2 * BUSY_PAUSE_MS, 4 * BUSY_PAUSE_MS]);
    expect(pauses).toEqual(pauses.map((_, at) => Math.min(BUSY_PAUSE_MS * 2 ** at, BUSY_PAUSE_MAX_MS)));
    expect(pauses.at(-1)).toBe(BUSY_PAUSE_MAX_MS);
  });

  it("is left alone when the next pause would end too late", async () => {
    const { answer, pauses } = asked(10, 4 * BUSY_PAUSE_MS);
    await expect(answer).rejects.toMatchObject({ code: "store-busy" });
    expect(pauses).toEqual([BUSY_PAUSE_MS, 2 * BUSY_PAUSE_MS]);
  });
});
