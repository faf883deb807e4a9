import { z } from "zod";
import { LocalError } from "../../errors.ts";
import { FUNCTIONS_TIMER_SLEEP_MAX_MS } from "../../limits.ts";
import { parseTrigger } from "../functions.ts";
import type { HostFunction } from "../host-function.ts";
import type { InvocationInput } from "../invocation.ts";
import { openStorage, resolveText } from "../settings.ts";
import type { TriggerContext, TriggerKind, TriggerListener } from "../trigger.ts";
import { type Schedule, isFrequent, parseSchedule } from "./schedule.ts";
import { type TimerStatusBlob, openTimerStatus } from "./status-blob.ts";
import { type TimerStatus, afterRun, formatStatus, startTimer } from "./status.ts";

const timerTrigger = z.object({
  schedule: z.string().min(1),
  runOnStartup: z.boolean().default(false),
  useMonitor: z.boolean().default(true),
});

export const TIMER_TRIGGER: TriggerKind = {
  type: "timertrigger",
  outputTypes: [],
  manualInput: () => timerInput({ status: null, isPastDue: false }),
  prepare(hostFunction, context) {
    const usedBy = `Function ${hostFunction.name} (timerTrigger)`;
    const { schedule: text, runOnStartup, useMonitor } = parseTrigger(timerTrigger, hostFunction);
    if (context.settings["WEBSITE_TIME_ZONE"] !== undefined) {
      throw new LocalError(
        "not-supported",
        `${usedBy}: the setting WEBSITE_TIME_ZONE is not offered locally; schedules are in UTC.`,
      );
    }
    const schedule = parseSchedule(resolveText(text, context.settings, usedBy), hostFunction.name);
    const isMonitored = useMonitor && !isFrequent(schedule, context.clock.nowMs());
    const blob = isMonitored
      ? openStorage(undefined, context.settings, usedBy, (text) =>
          openTimerStatus(text, context.hostId, hostFunction.name),
        )
      : undefined;
    return createTimer({ hostFunction, context, schedule, runOnStartup, blob });
  },
};

export interface TimerOptions {
  readonly hostFunction: HostFunction;
  readonly context: TriggerContext;
  readonly schedule: Schedule;
  readonly runOnStartup: boolean;
  /** Undefined: nothing is kept, and nothing is ever past due. */
  readonly blob: TimerStatusBlob | undefined;
}

/** Fires one timer: a single loop, so runs never overlap; an occurrence that passes during a run follows it at once. */
export function createTimer(options: TimerOptions): TriggerListener {
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  return {
    async start() {
      const { clock } = options.context;
      const stored = await keep(options, (blob) => blob.read());
      const { status, isPastDue, isChanged } = startTimer(stored, options.schedule, clock.nowMs());
      if (isChanged) await keep(options, (blob) => blob.write(status));
      loop = run(options, status, isPastDue, stopping.signal);
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}

async function run(options: TimerOptions, first: TimerStatus, isPastDue: boolean, signal: AbortSignal): Promise<void> {
  let status = first;
  if (isPastDue) note(options, `Function '${options.hostFunction.name}' is past due on startup. Executing now.`);
  if (isPastDue || options.runOnStartup) status = await fire(options, status, isPastDue, false);
  const { clock } = options.context;
  while (!signal.aborted) {
    const restMs = status.nextMs - clock.nowMs();
    if (restMs <= 0) status = await fire(options, status, false, true);
    else await clock.sleep(Math.min(restMs, FUNCTIONS_TIMER_SLEEP_MAX_MS), signal);
  }
}

async function fire(
  options: TimerOptions,
  status: TimerStatus,
  isPastDue: boolean,
  isScheduled: boolean,
): Promise<TimerStatus> {
  const { context, hostFunction, schedule, blob } = options;
  const startedMs = context.clock.nowMs();
  await context.invoke(
    hostFunction,
    timerInput({ status: blob === undefined ? null : formatStatus(status), isPastDue }),
  );
  const next = afterRun(status, schedule, startedMs, isScheduled);
  await keep(options, (target) => target.write(next));
  return next;
}

function timerInput({
  status,
  isPastDue,
}: {
  readonly status: object | null;
  readonly isPastDue: boolean;
}): InvocationInput {
  const info = { Schedule: { AdjustForDST: true }, ScheduleStatus: status, IsPastDue: isPastDue };
  return { data: { json: JSON.stringify(info) }, metadata: {} };
}

/**
 * The status only serves past-due detection: an unreachable store must not stop the timer, so its errors are logged, as
 * in the real host.
 */
async function keep<T>(options: TimerOptions, action: (blob: TimerStatusBlob) => Promise<T>): Promise<T | undefined> {
  if (options.blob === undefined) return undefined;
  try {
    return await action(options.blob);
  } catch (error) {
    note(options, `Function '${options.hostFunction.name}' could not read or write its timer status: ${String(error)}`);
    return undefined;
  }
}

function note({ context, hostFunction }: TimerOptions, message: string): void {
  context.log({ level: "warning", event: "timer", message, function: hostFunction.name });
}
