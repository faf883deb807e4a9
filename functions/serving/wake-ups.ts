import { LET_GO_MS, WARM_ITEMS_MAX_COUNT, WARM_LOOK_MS } from "../../replication/limits.ts";
import type { Clock } from "../../replication/ports.ts";

/**
 * Connects the invocations of one process. At most one of them works on an item; a hint that arrives meanwhile wakes
 * that invocation and is done, instead of finding the item held. Between processes the claim in the progress record
 * decides; this only saves requests.
 */
export interface WakeUps {
  /** Takes the item's slot. Undefined when another invocation of this process has it: that one has been woken. */
  enter(itemId: string): WakeUpSlot | undefined;
  /**
   * Sends a hint that is to come back at `untilMs` (Unix milliseconds), unless this process already has one pending
   * until then: it announces the same.
   */
  putOff(itemId: string, untilMs: number, send: () => Promise<void>): Promise<void>;
  /** The process is about to end: every wait ends. Settles when all slots are released, or after LET_GO_MS. */
  close(): Promise<void>;
}

export interface WakeUpSlot {
  /**
   * For `ApplyContext.awaitHint`; undefined when enough items are kept warm already. Also true after WARM_LOOK_MS: the
   * hints of an item may go to another process, which finds it held.
   */
  readonly awaitHint: ((itemId: string, untilMs: number) => Promise<boolean>) | undefined;
  /** True once the wake-up was closed: the slice ends at its next boundary. */
  closing(): boolean;
  /** Releases the slot. True when a hint came that `awaitHint` has not reported: another slice is needed. */
  leave(): boolean;
}

/** Runs `run` after the delay unless the returned function cancels it. */
export type After = (delayMs: number, run: () => void) => () => void;

const systemTimer: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

export function openWakeUps(clock: Clock, after: After = systemTimer): WakeUps {
  const wakeUps = new Map<string, WakeUp>();
  const putOffUntilMs = new Map<string, number>();
  let warmCount = 0;
  let closed = false;
  let allLeft: (() => void) | undefined;
  return {
    enter: (itemId) => {
      const taken = wakeUps.get(itemId);
      if (taken !== undefined) {
        taken.signal();
        return undefined;
      }
      const wakeUp = newWakeUp(clock, after);
      wakeUps.set(itemId, wakeUp);
      // Decided on entry, so that a slice knows whether it may wait: an item kept warm occupies one of the host's few
      // queue slots.
      const warm = !closed && warmCount < WARM_ITEMS_MAX_COUNT;
      if (warm) warmCount += 1;
      return {
        awaitHint: warm ? (_itemId, untilMs) => wakeUp.wait(untilMs) : undefined,
        closing: () => closed,
        leave: () => {
          wakeUps.delete(itemId);
          if (warm) warmCount -= 1;
          if (wakeUps.size === 0) allLeft?.();
          return wakeUp.signalled();
        },
      };
    },
    putOff: async (itemId, untilMs, send) => {
      for (const [other, otherUntilMs] of putOffUntilMs) if (otherUntilMs <= clock.now()) putOffUntilMs.delete(other);
      if (putOffUntilMs.has(itemId)) return;
      putOffUntilMs.set(itemId, untilMs);
      try {
        await send();
      } catch (error) {
        putOffUntilMs.delete(itemId);
        throw error;
      }
    },
    close: async () => {
      closed = true;
      if (wakeUps.size === 0) return;
      await new Promise<void>((resolve) => {
        const cancel = after(LET_GO_MS, resolve);
        allLeft = () => {
          cancel();
          resolve();
        };
        for (const wakeUp of wakeUps.values()) wakeUp.close();
      });
    },
  };
}

interface WakeUp {
  signal(): void;
  /** True when it was signalled, or when WARM_LOOK_MS have passed; false at `untilMs`. */
  wait(untilMs: number): Promise<boolean>;
  /** It was signalled, and no wait has reported that yet. */
  signalled(): boolean;
  /** Ends every wait, with false unless it was signalled. */
  close(): void;
}

function newWakeUp(clock: Clock, after: After): WakeUp {
  let signalled = false;
  let closed = false;
  let wake: (() => void) | undefined;
  return {
    signal: () => {
      signalled = true;
      wake?.();
    },
    wait: async (untilMs) => {
      const lookMs = clock.now() + WARM_LOOK_MS;
      if (!signalled && !closed) {
        await new Promise<void>((resolve) => {
          const cancel = after(Math.max(0, Math.min(untilMs, lookMs) - clock.now()), resolve);
          wake = () => {
            cancel();
            resolve();
          };
        });
        wake = undefined;
      }
      const came = signalled || (!closed && lookMs <= untilMs);
      signalled = false;
      return came;
    },
    signalled: () => signalled,
    close: () => {
      closed = true;
      wake?.();
    },
  };
}
