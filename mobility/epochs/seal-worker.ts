import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { basename } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort } from "node:worker_threads";
import { SEALING_NICENESS } from "../limits.ts";
import { nodeFiles } from "../system/node-files.ts";
import { createSealMemory, sealEpoch, type SealedEpoch, type SealJob } from "./seal.ts";

/** The thread's answer to one SealJob. */
export type SealAnswer =
  | { readonly kind: "sealed"; readonly sealed: SealedEpoch | undefined }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

/**
 * Without reuse there is a compressor for every frame. Its native memory is freed only with its JavaScript object, and
 * V8 does not count it: unprompted, this thread would collect after some 150 MiB. Collecting its small heap takes
 * milliseconds, and nothing waits for this thread.
 */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
}

/**
 * Linux has a priority for each thread (setpriority(2), "C library/kernel differences"); elsewhere this thread has that
 * of the process.
 */
function stepBack(): void {
  try {
    setPriority(Number(basename(readlinkSync("/proc/thread-self"))), SEALING_NICENESS);
  } catch {
    // Sealing works as well at the usual priority, but affects the guest more.
  }
}

stepBack();
const files = nodeFiles();
const memory = createSealMemory(collectGarbage);

/** The thread that compresses and hashes, so that NBD never waits for this work. One job at a time. */
parentPort?.on("message", (job: SealJob) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(answer(job));
});

function answer(job: SealJob): SealAnswer {
  try {
    return { kind: "sealed", sealed: sealEpoch(files, job, memory) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: "failed", code: codeOf(error), message };
  }
}

/** Our code, or the system's. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "internal";
}
