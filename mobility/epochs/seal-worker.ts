import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { basename } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort } from "node:worker_threads";
import { SEALING_NICENESS } from "../limits.ts";
import { nodeFiles } from "../system/node-files.ts";
import { createSealMemory, sealEpoch } from "./seal.ts";
import type { SealedEpoch, SealJob } from "./seal.ts";

/** What the thread answers to one SealJob. */
export type SealAnswer =
  | { readonly kind: "sealed"; readonly sealed: SealedEpoch | undefined }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

/**
 * A compressor that cannot be used again is one for every frame, whose native memory goes with its JavaScript object
 * only, and V8 does not count it: without being told, this thread would look for garbage after some 150 MiB. A
 * collection of its small heap takes milliseconds, and nobody waits for this thread.
 */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
}

/**
 * Linux knows a priority of each thread (setpriority(2), "C library/kernel differences"); elsewhere this thread has
 * that of the process.
 */
function stepBack(): void {
  try {
    setPriority(Number(basename(readlinkSync("/proc/thread-self"))), SEALING_NICENESS);
  } catch {
    // Sealing is as good at the usual priority, and the guest feels it more.
  }
}

stepBack();
const files = nodeFiles();
const memory = createSealMemory(collectGarbage);

/** The thread that compresses and hashes, so that NBD never waits for it. One job at a time. */
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

/** Ours, or the system's. */
function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "internal";
}
