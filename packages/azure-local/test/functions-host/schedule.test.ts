import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { isFrequent, parseSchedule } from "../../functions-host/timer/schedule.ts";

const at = (text: string): number => Date.parse(text);
const nextOf = (schedule: string, after: string): string =>
  new Date(parseSchedule(schedule, "tick").next(at(after))).toISOString();

describe("the schedule of a timer", () => {
  it.each([
    ["0 */5 * * * *", "2026-01-01T00:00:00.000Z", "2026-01-01T00:05:00.000Z"],
    ["*/30 * * * * *", "2026-01-01T00:00:00.500Z", "2026-01-01T00:00:30.000Z"],
    ["0 0 9-17 * * MON-FRI", "2026-01-02T17:00:00.000Z", "2026-01-05T09:00:00.000Z"],
    ["0 30 9 * Jan Mon", "2026-01-06T00:00:00.000Z", "2026-01-12T09:30:00.000Z"],
    ["0 5/15 * * * *", "2026-01-01T00:51:00.000Z", "2026-01-01T01:05:00.000Z"],
    ["*/5 * * * *", "2026-01-01T00:01:00.000Z", "2026-01-01T00:05:00.000Z"],
    ["00:01:30", "2026-01-01T00:00:01.000Z", "2026-01-01T00:01:31.000Z"],
    ["1.00:00:00", "2026-01-01T00:00:01.000Z", "2026-01-02T00:00:01.000Z"],
  ])("%s after %s fires at %s", (schedule, after, expected) => {
    expect(nextOf(schedule, after)).toBe(expected);
  });

  it("requires both the day of the month and the day of the week to match, unlike cron", () => {
    expect(nextOf("0 0 0 1 * MON", "2026-01-01T00:00:00.000Z")).toBe("2026-06-01T00:00:00.000Z");
  });

  it("is in UTC whatever the time zone of the machine", () => {
    expect(nextOf("0 0 3 * * *", "2026-03-29T02:30:00.000Z")).toBe("2026-03-29T03:00:00.000Z");
  });

  it.each([
    "",
    "0 0 0 L * *",
    "0 0 0 ? * MON",
    "0 0 0 * * 7",
    "0 0 0 * * MON#1",
    "0 0 24 * * *",
    "0 60 * * * *",
    "0 10-5 * * * *",
  ])("refuses %s, which NCRONTAB does not know", (schedule) => {
    expect(() => parseSchedule(schedule, "tick")).toThrow(expect.objectContaining({ code: "configuration-invalid" }));
  });

  it.each(["@daily", "0 0 0 15W * *", "* * * *", "0 0 0 1 1 * 2026", "00:00:00", "25:00:00", "0 */0 * * * *"])(
    "refuses %s",
    (schedule) => {
      expect(() => parseSchedule(schedule, "tick")).toThrow(expect.objectContaining({ code: "configuration-invalid" }));
    },
  );

  it("names the function whose schedule never fires", () => {
    expect(() => parseSchedule("0 0 0 31 2 *", "tick").next(at("2026-01-01T00:00:00Z"))).toThrow(/tick.*never fires/);
  });

  it("is frequent when it fires more than once in a minute", () => {
    const nowMs = at("2026-01-01T00:00:10Z");
    expect(isFrequent(parseSchedule("*/30 * * * * *", "tick"), nowMs)).toBe(true);
    expect(isFrequent(parseSchedule("00:00:10", "tick"), nowMs)).toBe(true);
    expect(isFrequent(parseSchedule("0 * * * * *", "tick"), nowMs)).toBe(false);
    expect(isFrequent(parseSchedule("00:05:00", "tick"), nowMs)).toBe(false);
  });

  property.prop([
    fc.constantFrom("0 */5 * * * *", "*/7 * * * * *", "0 0 0 1 * MON", "30 15 4 * * *", "00:00:42"),
    fc.integer({ min: at("2020-01-01"), max: at("2040-01-01") }),
  ])("fires after the moment it is asked about, and nothing lies in between", (text, afterMs) => {
    const schedule = parseSchedule(text, "tick");
    const nextMs = schedule.next(afterMs);
    expect(nextMs).toBeGreaterThan(afterMs);
    if (text.includes(" ")) expect(schedule.next(Math.floor((afterMs + nextMs) / 2))).toBe(nextMs);
  });
});
