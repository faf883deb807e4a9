import { hasCode } from "../errors.ts";
import type { Clock, Timer } from "../ports.ts";
import { BUSY_PAUSE_MAX_MS, BUSY_PAUSE_MS } from "./limits.ts";

/** A request that the store may be too busy for. */
export interface BusyRequest<Result> {
  readonly send: () => Promise<Result>;
  /** Called after each refusal: no pause begins that would end later. Unix milliseconds. */
  readonly untilMs: () => number;
  /** Runs before each attempt; its failures are not those of the request. */
  readonly before?: () => Promise<void>;
  /** Called after each refusal. */
  readonly refused?: () => void;
}

/**
 * Repeats a request, with growing pauses, for as long as the store refuses it as `store-busy`. Such a refusal left
 * nothing behind, and the repeated request is the same to the byte. Errors: those of the request, `store-busy` when
 * time is up.
 */
export async function whileBusy<Result>(
  { clock, timer }: { readonly clock: Clock; readonly timer: Timer },
  { send, untilMs, before, refused }: BusyRequest<Result>,
): Promise<Result> {
  for (let pauseMs = BUSY_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, BUSY_PAUSE_MAX_MS)) {
    await before?.();
    try {
      return await send();
    } catch (error) {
      if (!hasCode(error, "store-busy")) throw error;
      refused?.();
      if (clock.now() + pauseMs >= untilMs()) throw error;
    }
    await timer.pause(pauseMs);
  }
}
