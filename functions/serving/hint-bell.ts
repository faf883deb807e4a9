import { LET_GO_MS, WARM_ITEMS_MAX_COUNT, WARM_LOOK_MS } from "../../replication/limits.ts";
import type { Clock } from "../../replication/ports.ts";

/**
 * Connects the invocations of one process. An item is worked on by at most one of them; a hint that comes meanwhile
 * rings there and is done, instead of finding the item held. Between processes the claim in the progress record
 * decides; this only saves requests.
 */
export interface HintBell {
  /** Takes the item's seat. Undefined when another invocation of this process has it: that one has been rung for. */
  enter(itemId: string): HintSeat | undefined;
  /**
   * Sends a hint that is to come back at `untilMs` (Unix milliseconds), unless one of this process is under way until
   * then: it announces the same.
   */
  putOff(itemId: string, untilMs: number, send: () => Promise<void>): Promise<void>;
  /** The process is about to end: nobody waits any more. Settles when all seats are given back, or after LET_GO_MS. */
  close(): Promise<void>;
}

export interface HintSeat {
  /**
   * For `ApplyContext.awaitHint`; undefined when enough items are kept warm already. It is true after WARM_LOOK_MS too:
   * the hints of an item may go to another process, which finds it held.
   */
  readonly awaitHint: ((itemId: string, untilMs: number) => Promise<boolean>) | undefined;
  /** True once the bell was closed: the slice ends at its next boundary. */
  closing(): boolean;
  /** Gives the seat back. True when a hint came that `awaitHint` has not reported: someone must look again. */
  leave(): boolean;
}

/** Runs `run` after the delay unless it is taken back by the function that is returned. */
export type After = (delayMs: number, run: () => void) => () => void;

const systemTimer: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

export function openHintBell(clock: Clock, after: After = systemTimer): HintBell {
  const bells = new Map<string, Bell>();
  const putOffUntilMs = new Map<string, number>();
  let warmCount = 0;
  let closed = false;
  let allLeft: (() => void) | undefined;
  return {
    enter: (itemId) => {
      const taken = bells.get(itemId);
      if (taken !== undefined) {
        taken.ring();
        return undefined;
      }
      const bell = newBell(clock, after);
      bells.set(itemId, bell);
      // Decided on entry, so that a slice knows whether it may wait: kept warm, an item occupies one of the host's few
      // queue slots.
      const warm = !closed && warmCount < WARM_ITEMS_MAX_COUNT;
      if (warm) warmCount += 1;
      return {
        awaitHint: warm ? (_itemId, untilMs) => bell.wait(untilMs) : undefined,
        closing: () => closed,
        leave: () => {
          bells.delete(itemId);
          if (warm) warmCount -= 1;
          if (bells.size === 0) allLeft?.();
          return bell.rung();
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
      if (bells.size === 0) return;
      await new Promise<void>((resolve) => {
        const cancel = after(LET_GO_MS, resolve);
        allLeft = () => {
          cancel();
          resolve();
        };
        for (const bell of bells.values()) bell.close();
      });
    },
  };
}

interface Bell {
  ring(): void;
  /** True when it rang, or when WARM_LOOK_MS have passed; false at `untilMs`. */
  wait(untilMs: number): Promise<boolean>;
  /** It rang and nobody has waited for it since. */
  rung(): boolean;
  /** Ends every wait, with false unless it rang. */
  close(): void;
}

function newBell(clock: Clock, after: After): Bell {
  let rung = false;
  let closed = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      rung = true;
      wake?.();
    },
    wait: async (untilMs) => {
      const lookMs = clock.now() + WARM_LOOK_MS;
      if (!rung && !closed) {
        await new Promise<void>((resolve) => {
          const cancel = after(Math.max(0, Math.min(untilMs, lookMs) - clock.now()), resolve);
          wake = () => {
            cancel();
            resolve();
          };
        });
        wake = undefined;
      }
      const came = rung || (!closed && lookMs <= untilMs);
      rung = false;
      return came;
    },
    rung: () => rung,
    close: () => {
      closed = true;
      wake?.();
    },
  };
}
