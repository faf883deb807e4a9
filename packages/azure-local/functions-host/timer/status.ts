import { z } from "zod";
import type { Schedule } from "./schedule.ts";

/**
 * What is kept about a timer between starts of the host. Unix milliseconds; undefined where the real host writes year
 * 1.
 */
export interface TimerStatus {
  readonly lastMs: number | undefined;
  readonly nextMs: number;
  readonly lastUpdatedMs: number | undefined;
}

export interface TimerStart {
  readonly status: TimerStatus;
  readonly isPastDue: boolean;
  /** The status differs from the stored one and must be written. */
  readonly isChanged: boolean;
}

/**
 * Decides how a timer starts, from its stored status. An occurrence missed while the host was down makes it past due:
 * it runs at once. A schedule changed meanwhile starts fresh instead of running for an occurrence it never had.
 */
export function startTimer(stored: TimerStatus | undefined, schedule: Schedule, nowMs: number): TimerStart {
  if (stored === undefined) {
    return {
      status: { lastMs: undefined, nextMs: schedule.next(nowMs), lastUpdatedMs: nowMs },
      isPastDue: false,
      isChanged: true,
    };
  }
  const basisMs = stored.lastMs ?? stored.lastUpdatedMs ?? nowMs;
  const expectedMs = schedule.next(basisMs);
  if (expectedMs === stored.nextMs) return { status: stored, isPastDue: nowMs > stored.nextMs, isChanged: false };
  const isBehind = nowMs > expectedMs;
  const status = {
    lastMs: undefined,
    nextMs: isBehind ? schedule.next(nowMs) : expectedMs,
    lastUpdatedMs: isBehind ? nowMs : basisMs,
  };
  return { status, isPastDue: false, isChanged: true };
}

/**
 * The status after a run that began at `startedMs`. A slightly early run counts as on time, or its occurrence would run
 * twice.
 */
export function afterRun(
  status: TimerStatus,
  schedule: Schedule,
  startedMs: number,
  isScheduled: boolean,
): TimerStatus {
  const lastMs = isScheduled ? Math.max(startedMs, status.nextMs) : startedMs;
  return { lastMs, nextMs: schedule.next(lastMs), lastUpdatedMs: lastMs };
}

/** .NET's `default(DateTime)`. */
const NEVER = "0001-01-01T00:00:00+00:00";
const format = (timeMs: number | undefined): string =>
  timeMs === undefined ? NEVER : new Date(timeMs).toISOString().replace("Z", "+00:00");

/** The record as the real host writes it. */
export function formatStatus(status: TimerStatus): {
  readonly Last: string;
  readonly Next: string;
  readonly LastUpdated: string;
} {
  return { Last: format(status.lastMs), Next: format(status.nextMs), LastUpdated: format(status.lastUpdatedMs) };
}

const time = z.string().transform((text, context) => {
  const timeMs = Date.parse(text);
  if (!Number.isNaN(timeMs)) return timeMs > 0 ? timeMs : undefined;
  context.addIssue({ code: "custom", message: "not a time" });
  return z.NEVER;
});
const record = z.object({ Last: time, Next: time, LastUpdated: time });

/** Undefined for an unreadable record: the timer then starts fresh, as on Azure. */
export function parseStatus(text: string): TimerStatus | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = record.safeParse(value);
  if (!parsed.success || parsed.data.Next === undefined) return undefined;
  return { lastMs: parsed.data.Last, nextMs: parsed.data.Next, lastUpdatedMs: parsed.data.LastUpdated };
}
