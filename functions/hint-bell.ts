import { WARM_ITEMS_MAX_COUNT, WARM_LOOK_MS } from "../replication/limits.ts";
import type { Clock } from "../replication/ports.ts";

/**
 * Connects the invocations of one process. An item is worked on by at most one of them; a hint that comes meanwhile rings there and is done, instead
 * of finding the item held. Between processes the claim in the progress record decides; this only saves requests.
 */
export interface HintBell {
  /** Takes the item's seat. Undefined when another invocation of this process has it: that one has been rung for. */
  enter(itemId: string): HintSeat | undefined;
}

export interface HintSeat {
  /**
   * For `ApplyContext.awaitHint`; undefined when enough items are kept warm already. It is true after WARM_LOOK_MS too: the hints of an item may go
   * to another process, which finds it held.
   */
  readonly awaitHint: ((itemId: string, untilMs: number) => Promise<boolean>) | undefined;
  /** Gives the seat back. True when a hint came that `awaitHint` has not reported: someone must look again. */
  leave(): boolean;
}

export function openHintBell(clock: Clock): HintBell {
  const bells = new Map<string, Bell>();
  let warmCount = 0;
  return {
    enter: (itemId) => {
      const taken = bells.get(itemId);
      if (taken !== undefined) {
        taken.ring();
        return undefined;
      }
      const bell = newBell(clock);
      bells.set(itemId, bell);
      // Decided on entry, so that a slice knows whether it may wait: kept warm, an item occupies one of the host's few queue slots.
      const warm = warmCount < WARM_ITEMS_MAX_COUNT;
      if (warm) warmCount += 1;
      return {
        awaitHint: warm ? (_itemId, untilMs) => bell.wait(untilMs) : undefined,
        leave: () => {
          bells.delete(itemId);
          if (warm) warmCount -= 1;
          return bell.rung();
        },
      };
    },
  };
}

interface Bell {
  ring(): void;
  /** True when it rang, or when WARM_LOOK_MS have passed; false at `untilMs`. */
  wait(untilMs: number): Promise<boolean>;
  /** It rang and nobody has waited for it since. */
  rung(): boolean;
}

function newBell(clock: Clock): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      rung = true;
      wake?.();
    },
    wait: async (untilMs) => {
      const lookMs = clock.now() + WARM_LOOK_MS;
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, Math.max(0, Math.min(untilMs, lookMs) - clock.now()));
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        wake = undefined;
      }
      const came = rung || lookMs <= untilMs;
      rung = false;
      return came;
    },
    rung: () => rung,
  };
}
