import { parentPort } from "node:worker_threads";
import { LeewardError } from "../../replication/errors.ts";
import { createSealBuffers, sealEpoch } from "./seal.ts";
import type { SealedEpoch, SealJob } from "./seal.ts";

/** What the thread answers to one SealJob. */
export type SealAnswer =
  | { readonly kind: "sealed"; readonly sealed: SealedEpoch | undefined }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

const buffers = createSealBuffers();

/** The thread that compresses and hashes, so that NBD never waits for it. One job at a time. */
parentPort?.on("message", (job: SealJob) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(answer(job));
});

function answer(job: SealJob): SealAnswer {
  try {
    return { kind: "sealed", sealed: sealEpoch(job, buffers) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: "failed", code: error instanceof LeewardError ? error.code : "internal", message };
  }
}
