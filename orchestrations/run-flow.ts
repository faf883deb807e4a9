import { asLeewardError } from "../replication/errors.ts";
import type { FailoverRequest, RunningFlow } from "../replication/jobs/managed-item.ts";
import { FLOW_TAKEOVER_MAX_MS } from "../replication/limits.ts";
import { FLOW_VERSION, type FlowRun, type FlowVersion } from "../replication/operations/flow-run.ts";
import type { Flow as FlowName } from "../replication/states/states.ts";
import type { JobEnd } from "./activities/job.ts";
import type { FlowError } from "./activity-answer.ts";
import { commitFailover } from "./commit-failover.ts";
import { disableProtection } from "./disable-protection.ts";
import { enableProtection } from "./enable-protection.ts";
import { type Flow, FlowFailure, Superseded, call, until } from "./steps.ts";
import { unplannedFailover } from "./unplanned-failover.ts";
import { disableProtection as disableProtection2 } from "./version-2/disable-protection.ts";
import { unplannedFailover as unplannedFailover3 } from "./version-3/unplanned-failover.ts";

type Opened = Pick<RunningFlow, "endsJobId" | "failover">;

type Flows = Readonly<Partial<Record<FlowName, (run: FlowRun, opened: Opened) => Flow<void>>>>;

const TO_LATEST: FailoverRequest = { point: { kind: "Latest" }, shutDownSource: false };

/** All flows; an operation without one is refused at the edge. */
const FLOWS: Flows = {
  "enable-protection": enableProtection,
  "unplanned-failover": (run, { failover = TO_LATEST }) => unplannedFailover(run, failover),
  "commit-failover": commitFailover,
  "disable-protection": disableProtection,
};

/** Each earlier version is the next one with its own order of steps where that version changed it. */
const FLOWS_3: Flows = {
  ...FLOWS,
  "unplanned-failover": (run, { failover = TO_LATEST }) => unplannedFailover3(run, failover),
};
const FLOWS_2: Flows = { ...FLOWS_3, "disable-protection": disableProtection2 };

const FLOWS_OF: Readonly<Record<FlowVersion, Flows>> = { 2: FLOWS_2, 3: FLOWS_3, [FLOW_VERSION]: FLOWS };

/**
 * One run of a flow from its request to the end of its job. It throws only when that end cannot be written: then the
 * sweep reports it.
 */
export function* runFlow(run: FlowRun): Flow<{ readonly state: string }> {
  return yield* call(run, "closeJob", yield* endOf(run));
}

function* endOf(run: FlowRun): Flow<JobEnd> {
  try {
    const opened = yield* call(run, "openJob", undefined);
    if (opened.endsJobId !== undefined) yield* takeOver(run, opened.endsJobId);
    const flow = FLOWS_OF[run.version][run.flow];
    if (flow === undefined) throw new FlowFailure(unknownFlow(run.flow));
    yield* flow(run, opened);
    return { kind: "succeeded" };
  } catch (error) {
    if (error instanceof Superseded) return { kind: "cancelled" };
    return { kind: "failed", error: error instanceof FlowFailure ? error.error : internal(error) };
  }
}

/** The other flow stops at its next activity, because the item names this job now. */
function* takeOver(run: FlowRun, jobId: string): Flow<void> {
  yield* until(function* (waitedMs) {
    const { ended } = yield* call(run, "lookOther", { jobId, giveUp: waitedMs >= FLOW_TAKEOVER_MAX_MS });
    return ended || undefined;
  });
}

const unknownFlow = (flow: FlowName) => ({
  code: "not-supported" as const,
  message: `There is no flow ${flow} in this version.`,
  hint: "Upgrade the function app.",
  retryable: false,
});

/** An error thrown by the flow itself is a bug in it. */
function internal(error: unknown): FlowError {
  const { code, message, hint, retryable } = asLeewardError(error);
  return { code, message, hint, retryable };
}
