import { CLOCK_SKEW_WARNING_MS } from "../../replication/limits.ts";
import type { Clock } from "../system/clock.ts";

/**
 * The clock of this machine, as far as it can be believed: its times go into deltas and heartbeats, and points show
 * them. One that differs from the clock of the control plane by more than CLOCK_SKEW_WARNING_MS is wrong, and then the
 * control plane's counts: as it was told last, and what passed since then. Before the first answer nothing else is
 * known, and the machine's own counts.
 */
export interface SourceClock extends Clock {
  /** The control plane has just answered: this is its time. */
  told(controlMs: number): void;
  /** A later time has not come yet, whatever said so; Infinity before the first answer. */
  latestMs(): number;
  /**
   * How far the machine's clock is ahead of the control plane's (negative: behind), while it is not believed; undefined
   * while it is.
   */
  aheadMs(): number | undefined;
}

const agree = (ownMs: number, controlMs: number): boolean => Math.abs(ownMs - controlMs) <= CLOCK_SKEW_WARNING_MS;

/** `changed` is called when the machine's clock is found wrong, or right again. */
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
