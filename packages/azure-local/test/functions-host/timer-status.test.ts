import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { parseSchedule } from "../../functions-host/timer/schedule.ts";
import { afterRun, formatStatus, parseStatus, startTimer } from "../../functions-host/timer/status.ts";

const MINUTE_MS = 60_000;
const NOON_MS = Date.parse("2026-01-01T12:00:00Z");
const everyFive = parseSchedule("0 */5 * * * *", "tick");

describe("the status of a timer", () => {
  it("starts with the next occurrence when nothing was stored", () => {
    const start = startTimer(undefined, everyFive, NOON_MS + 1);
    expect(start).toEqual({
      status: { lastMs: undefined, nextMs: NOON_MS + 5 * MINUTE_MS, lastUpdatedMs: NOON_MS + 1 },
      isPastDue: false,
      isChanged: true,
    });
  });

  it("is past due when an occurrence passed while the host was away", () => {
    const stored = { lastMs: NOON_MS, nextMs: NOON_MS + 5 * MINUTE_MS, lastUpdatedMs: NOON_MS };
    expect(startTimer(stored, everyFive, NOON_MS + 6 * MINUTE_MS)).toEqual({
      status: stored,
      isPastDue: true,
      isChanged: false,
    });
    expect(startTimer(stored, everyFive, NOON_MS + 4 * MINUTE_MS).isPastDue).toBe(false);
  });

  it("is past due too when it never ran but its first occurrence has passed", () => {
    const stored = { lastMs: undefined, nextMs: NOON_MS + 5 * MINUTE_MS, lastUpdatedMs: NOON_MS + MINUTE_MS };
    expect(startTimer(stored, everyFive, NOON_MS + 6 * MINUTE_MS).isPastDue).toBe(true);
  });

  it("starts afresh after a change of schedule instead of running for an occurrence that it never had", () => {
    const stored = { lastMs: NOON_MS, nextMs: NOON_MS + MINUTE_MS, lastUpdatedMs: NOON_MS };
    const nowMs = NOON_MS + 7 * MINUTE_MS;
    expect(startTimer(stored, everyFive, nowMs)).toEqual({
      status: { lastMs: undefined, nextMs: NOON_MS + 10 * MINUTE_MS, lastUpdatedMs: nowMs },
      isPastDue: false,
      isChanged: true,
    });
  });

  it("counts a run that came a little early as on time", () => {
    const status = { lastMs: undefined, nextMs: NOON_MS, lastUpdatedMs: NOON_MS - MINUTE_MS };
    expect(afterRun(status, everyFive, NOON_MS - 20, true).nextMs).toBe(NOON_MS + 5 * MINUTE_MS);
    expect(afterRun(status, everyFive, NOON_MS - 20, false).nextMs).toBe(NOON_MS);
  });

  it("is written as the real host writes it, with year 1 for never", () => {
    expect(formatStatus({ lastMs: undefined, nextMs: NOON_MS, lastUpdatedMs: NOON_MS - 1 })).toEqual({
      Last: "0001-01-01T00:00:00+00:00",
      Next: "2026-01-01T12:00:00.000+00:00",
      LastUpdated: "2026-01-01T11:59:59.999+00:00",
    });
  });

  it.each(["", "{}", '{"Last":1,"Next":2,"LastUpdated":3}', '{"Last":"a","Next":"b","LastUpdated":"c"}'])(
    "takes %j for no status",
    (text) => {
      expect(parseStatus(text)).toBeUndefined();
    },
  );

  const time = fc.integer({ min: 1, max: Date.parse("2100-01-01") });
  property.prop([fc.option(time, { nil: undefined }), time, fc.option(time, { nil: undefined })])(
    "reads back what was written",
    (lastMs, nextMs, lastUpdatedMs) => {
      const status = { lastMs, nextMs, lastUpdatedMs };
      expect(parseStatus(JSON.stringify(formatStatus(status)))).toEqual(status);
    },
  );
});
