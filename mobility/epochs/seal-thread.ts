import { Worker } from "node:worker_threads";
import { LeewardError } from "../../replication/errors.ts";
import type { SealAnswer } from "./seal-worker.ts";
import type { SealedEpoch, SealJob } from "./seal.ts";

/** Runs `sealEpoch` off the main thread, one job at a time. */
export interface SealThread {
  /** Undefined for a segment without records. Rejects with `capture-failed`; the job may be run again. */
  run(job: SealJob): Promise<SealedEpoch | undefined>;
  stop(): Promise<void>;
}

/**
 * The objects of one epoch are its extents: some 20 MiB for EPOCH_MAX_EXTENTS, with a wide margin. Without a limit V8
 * lets a heap that is mostly garbage grow before it collects; the young generation alone would take 48 MiB.
 */
const HEAP = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 6 };

export function startSealThread(): SealThread {
  let worker: Worker | undefined;
  /** The build renames the files, but not the names inside `new URL`. */
  const script = new URL(import.meta.url.endsWith(".ts") ? "./seal-worker.ts" : "./seal-worker.js", import.meta.url);
  return {
    run: (job) =>
      new Promise((resolve, reject) => {
        const current = (worker ??= new Worker(script, { resourceLimits: HEAP }));
        const lost = (cause: unknown): void => {
          worker = undefined;
          reject(new LeewardError("capture-failed", "The thread that seals epochs ended.", {}, { cause }));
        };
        current.removeAllListeners();
        current.once("error", lost);
        current.once("exit", lost);
        current.once("message", (answer: SealAnswer) => {
          if (answer.kind === "sealed") resolve(answer.sealed);
          else
            reject(
              new LeewardError("capture-failed", `An epoch cannot be sealed: ${answer.message}`, {
                reason: answer.code,
              }),
            );
        });
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
        current.postMessage(job);
      }),
    stop: async () => {
      worker?.removeAllListeners();
      await worker?.terminate();
      worker = undefined;
    },
  };
}
