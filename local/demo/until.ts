import { setTimeout as sleep } from "node:timers/promises";
import { LeewardError } from "../../replication/errors.ts";
import { DEMO_STAGE_MS } from "../limits.ts";

const POLL_MS = 250;

/** Polls until `reached` returns true. Throws when time is up or on Ctrl-C. */
export async function until(signal: AbortSignal, message: string, reached: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + DEMO_STAGE_MS;
  while (!(await reached())) {
    signal.throwIfAborted();
    if (Date.now() > deadlineMs) throw new LeewardError("internal", message, { waitedMs: DEMO_STAGE_MS });
    await sleep(POLL_MS, undefined, { signal });
  }
}
