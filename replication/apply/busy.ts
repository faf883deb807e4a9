import { hasCode } from "../errors.ts";
import { BUSY_PAUSE_MAX_MS, BUSY_PAUSE_MS } from "./limits.ts";
import type { Clock, Timer } from "../ports.ts";

/** One request that the store may be too busy for. */
export interface BusyRequest<Result> {
  readonly send: () => Promise<Result>;
  /** Asked after each refusal: a pause that would end later is not begun. Unix milliseconds. */
  readonly untilMs: () => number;
  /** What has to be done before each sending: its failures are not those of the request. */
  readonly before?: () => Promise<void>;
  /** Told of each refusal. */
  readonly refused?: () => void;
}

/**
 * Sends a request again for as long as the store refuses it as `store-busy`, after a pause that grows. Such a refusal
 * left nothing behind, and what is sent again is the same to the byte. Errors: those of the request, `store-busy` when
 * the time is over.
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
