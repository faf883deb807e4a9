import { CLOCK_SKEW_WARNING_MS } from "../../replication/limits.ts";
import type { Clock } from "../system/clock.ts";

/**
 * The corrected clock of this machine: its times go into deltas and heartbeats, and points show them. If it differs
 * from the control plane's clock by more than CLOCK_SKEW_WARNING_MS it is wrong, and the control plane's last reported
 * time counts, plus the time passed since. Before the first answer the machine's own clock counts.
 */
export interface SourceClock extends Clock {
  /** The control plane has just answered with this time. */
  told(controlMs: number): void;
  /** Any later time is still in the future; Infinity before the first answer. */
  latestMs(): number;
  /**
   * How far the machine's clock is ahead of the control plane's (negative: behind) while it counts as wrong; else
   * undefined.
   */
  aheadMs(): number | undefined;
}

const agree = (ownMs: number, controlMs: number): boolean => Math.abs(ownMs - controlMs) <= CLOCK_SKEW_WARNING_MS;

/** `changed` is called when the machine's clock becomes wrong, or right again. */
export function createSourceClock(clock: Clock, changed: (isBelieved: boolean, aheadMs: number) => void): SourceClock {
  let last: { readonly controlMs: number; readonly monotonicMs: number } | undefined;
  let wasBelieved = true;
  const controlNow = (): number | undefined => last && last.controlMs + (clock.monotonicMs() - last.monotonicMs);
  return {
    monotonicMs: () => clock.monotonicMs(),
    after: (waitMs, run) => clock.after(waitMs, run),
    turn: () => clock.turn(),
    now: () => {
      const ownMs = clock.now();
      const controlMs = controlNow();
      return controlMs === undefined || agree(ownMs, controlMs) ? ownMs : Math.round(controlMs);
    },
    told: (controlMs) => {
      last = { controlMs, monotonicMs: clock.monotonicMs() };
      const ownMs = clock.now();
      if (agree(ownMs, controlMs) === wasBelieved) return;
      wasBelieved = !wasBelieved;
      changed(wasBelieved, ownMs - controlMs);
    },
    latestMs: () => (controlNow() ?? Number.POSITIVE_INFINITY) + CLOCK_SKEW_WARNING_MS,
    aheadMs: () => {
      const ownMs = clock.now();
      const controlMs = controlNow();
      return controlMs === undefined || agree(ownMs, controlMs) ? undefined : Math.round(ownMs - controlMs);
    },
  };
}
