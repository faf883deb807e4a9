import type { FlowRun } from "../replication/operations/flow-run.ts";
import { type BestEffort, type Flow, FlowFailure, call } from "./steps.ts";

/**
 * Does the work of a task, and continues without it when it fails or its pauses add up to more than `maxMs`: the job
 * notes the error and shows the task as skipped. All best efforts of one flow stay within FLOW_BEST_EFFORT_MAX_MS.
 * Throws Superseded.
 */
export function* bestEffort(
  run: FlowRun,
  task: string,
  work: Flow<void>,
  { maxMs }: Pick<BestEffort, "maxMs">,
): Flow<void> {
  try {
    yield* within(work, { task, maxMs });
  } catch (failure) {
    if (!(failure instanceof FlowFailure)) throw failure;
    yield* call(run, "noteError", { name: task, error: failure.error });
    yield* call(run, "turnTasks", { ended: [{ name: task, state: "Skipped" }], started: undefined });
  }
}

/** Declares the steps of the work, and ends it before the pause that would exceed the limit. */
function* within(work: Flow<void>, declared: BestEffort): Flow<void> {
  let waitedMs = 0;
  let next = work.next();
  while (next.done !== true) {
    const step = next.value;
    if (step.kind === "wait") waitedMs += step.delayMs;
    if (waitedMs > declared.maxMs) throw tookTooLong(declared);
    let result: unknown;
    try {
      result = yield { ...step, bestEffort: declared };
    } catch (error) {
      next = work.throw(error);
      continue;
    }
    next = work.next(result);
  }
}

function tookTooLong({ task, maxMs }: BestEffort): FlowFailure {
  return new FlowFailure({
    code: "azure-unavailable",
    message: `${task} did not end within ${maxMs / 60_000} minutes.`,
    hint: "The operation went on without it. Look at the source in Azure, and do it by hand if it is still wanted.",
    retryable: true,
  });
}
