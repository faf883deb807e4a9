import { FLOW_STAGE_MAX_MS, FLOW_STEP_MAX_BEGINS } from "../replication/limits.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";
import type { StepAnswer } from "./activities/resources.ts";
import type { WalkAnswer, WalkName, WalkPlace } from "./activities/walk.ts";
import { type Flow, FlowFailure, call, waitOn } from "./steps.ts";

/** Ensures every resource of a walk: one stage after another, the changes within a stage in parallel. */
export function* ensureSteps(run: FlowRun, walk: WalkName): Flow<void> {
  let place: WalkPlace = { walk, stage: 0, open: undefined };
  let failures: readonly number[] = [];
  for (let waitedMs = 0; ;) {
    const answer: WalkAnswer = yield* call(run, "advanceWalk", place);
    if (answer.kind === "done") return;
    const { stage, open, delayMs } = answer;
    if (stage !== place.stage) [waitedMs, failures] = [0, []];
    failures = [...failures, ...open.flatMap(({ step, failed }) => (failed === undefined ? [] : [step]))];
    const lost = open.find(({ step }) => failures.filter((failure) => failure === step).length >= FLOW_STEP_MAX_BEGINS);
    if (lost?.failed !== undefined) throw gaveUp(lost.failed);
    if (waitedMs > FLOW_STAGE_MAX_MS) throw tookTooLong(FLOW_STAGE_MAX_MS);
    place = { walk, stage, open: open.map(({ step, operation }) => ({ step, operation })) };
    waitedMs = yield* waitOn(delayMs, waitedMs);
  }
}

/** A change, given by its two activities. */
export interface FollowedChange {
  readonly begin: () => Flow<StepAnswer>;
  readonly look: (operation: string) => Flow<StepAnswer>;
}

/** Begins all changes, then polls each until it is done. Errors: FlowFailure of the first that fails for good. */
export function* followChanges(changes: readonly FollowedChange[], maxMs: number = FLOW_STAGE_MAX_MS): Flow<void> {
  let open = changes.map((change) => ({ change, operation: undefined as string | undefined, failures: 0 }));
  let waitedMs = 0;
  for (;;) {
    const next: typeof open = [];
    let delayMs = 0;
    for (const { change, operation, failures } of open) {
      const answer: StepAnswer = yield* operation === undefined ? change.begin() : change.look(operation);
      if (answer.kind === "done") continue;
      const failed = answer.kind === "again" && answer.failed !== undefined ? failures + 1 : failures;
      if (answer.kind === "again" && answer.failed !== undefined && failed >= FLOW_STEP_MAX_BEGINS)
        throw gaveUp(answer.failed);
      next.push({ change, operation: answer.kind === "look" ? answer.operation : undefined, failures: failed });
      delayMs = Math.max(delayMs, answer.delayMs);
    }
    if (next.length === 0) return;
    if (waitedMs > maxMs) throw tookTooLong(maxMs);
    open = next;
    waitedMs = yield* waitOn(delayMs, waitedMs);
  }
}

/** Nothing suggests a lack of capacity: Azure may still be at work. */
function tookTooLong(maxMs: number): FlowFailure {
  return new FlowFailure({
    code: "azure-unavailable",
    message: `Azure did not bring the change to its end within ${maxMs / 60_000} minutes.`,
    hint: "Look at the resource in Azure, then start the operation again: what stands is used.",
    retryable: true,
  });
}

function gaveUp(message: string): FlowFailure {
  return new FlowFailure({
    code: "azure-no-capacity",
    message: `Azure did not bring the change to its end. ${message}`,
    hint: "Look at the resource in Azure, then start the operation again: what stands is used.",
    retryable: true,
  });
}
