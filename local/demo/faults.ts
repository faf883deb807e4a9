import { setTimeout as sleep } from "node:timers/promises";
import { LeewardError } from "../../replication/errors.ts";
import { TARGET_ACCOUNT, type Cloud } from "../supervisor/cloud.ts";
import { readProgress, type ProgressView } from "./progress.ts";

const POLL_MS = 200;
const PAGE_WRITES = new Set(["PageBlob_UploadPages", "PageBlob_ClearPages"]);

/**
 * Kills the function app when its `nth` page write from now on has taken effect, before the app learns of it: in the
 * middle of a batch, between intent and applied. Returns the progress record of that moment; fails when no page is
 * written in time, or when the record shows no batch under way.
 */
export async function killInsideBatch(
  cloud: Cloud,
  itemId: string,
  nth: number,
  timeoutMs: number,
): Promise<ProgressView> {
  const killed = Promise.withResolvers<undefined>();
  let writes = 0;
  const forget = cloud.storage.observe((operation) => {
    const isPageWrite =
      operation.account === TARGET_ACCOUNT && PAGE_WRITES.has(operation.operation) && operation.status < 300;
    if (!isPageWrite || !operation.container.startsWith(`leeward-disk-${itemId}-`)) return;
    writes += 1;
    if (writes === nth) void cloud.app.kill().then(() => killed.resolve(undefined));
  });
  try {
    await within(killed.promise, timeoutMs, "No page was written to a target disk, so nothing could be interrupted.");
  } finally {
    forget();
  }
  const progress = await readProgress(cloud.storage, itemId);
  if (progress.intent <= progress.applied) {
    throw new LeewardError(
      "internal",
      "The function app was killed by a page write, but its progress shows no batch under way.",
      {
        applied: progress.applied,
        intent: progress.intent,
      },
    );
  }
  return progress;
}

/** Waits until no batch is under way and nothing has changed for a second, then kills the function app. */
export async function killIdle(cloud: Cloud, itemId: string, timeoutMs: number): Promise<ProgressView> {
  const deadlineMs = Date.now() + timeoutMs;
  let quietSinceMs = Date.now();
  let last = -1;
  for (;;) {
    const progress = await readProgress(cloud.storage, itemId);
    if (progress.intent !== progress.applied || progress.applied !== last) quietSinceMs = Date.now();
    last = progress.applied;
    if (Date.now() - quietSinceMs >= 1000) {
      await cloud.app.kill();
      return progress;
    }
    if (Date.now() > deadlineMs)
      throw new LeewardError("internal", "The item did not become idle in time.", { applied: last });
    await sleep(POLL_MS);
  }
}

/** Waits until the target has applied at least this epoch. A stopped item ends the wait with its reason. */
export async function waitForApplied(
  cloud: Cloud,
  itemId: string,
  epoch: number,
  timeoutMs: number,
): Promise<ProgressView> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const progress = await readProgress(cloud.storage, itemId);
    if (progress.stopped !== undefined)
      throw new LeewardError("item-stopped", `Replication has stopped: ${progress.stopped}`, { itemId });
    if (progress.applied >= epoch) return progress;
    if (Date.now() > deadlineMs) {
      throw new LeewardError("internal", `Epoch ${epoch} was not applied in time.`, {
        applied: progress.applied,
        intent: progress.intent,
      });
    }
    await sleep(POLL_MS);
  }
}

async function within<Result>(work: Promise<Result>, timeoutMs: number, message: string): Promise<Result> {
  const patience = new AbortController();
  const late = sleep(timeoutMs, "late" as const, { signal: patience.signal });
  late.catch(() => undefined);
  try {
    const first = await Promise.race([work.then((result) => ({ result })), late]);
    if (first === "late") throw new LeewardError("internal", message, { timeoutMs });
    return first.result;
  } finally {
    patience.abort();
  }
}
