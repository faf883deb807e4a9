import { FLOW_REGISTRATION_MAX_MS } from "../replication/limits.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";
import { ensureSteps, followChanges } from "./ensure.ts";
import { type Flow, FlowFailure, call, inTasks, until } from "./steps.ts";

/**
 * Plans, makes the shared resources, installs the service in the VM, and ends when its writes begin to arrive:
 * replication does the rest by itself.
 */
export function* enableProtection(run: FlowRun): Flow<void> {
  yield* inTasks(run, function* (tasks) {
    yield* tasks.work("CheckPrerequisites", call(run, "planItem", undefined));
    yield* tasks.work("CreateTargetResources", makeTarget(run));
    yield* tasks.work("InstallMobilityService", installMobility(run));
    yield* tasks.work("RegisterMobilityService", waitForMobility(run, "registered"));
    yield* tasks.work("StartInitialReplication", waitForMobility(run, "seeding"));
  });
}

function* makeTarget(run: FlowRun): Flow<void> {
  yield* ensureSteps(run, "protection");
  yield* call(run, "rememberNetwork", undefined);
}

function* installMobility(run: FlowRun): Flow<void> {
  yield* call(run, "protect", undefined);
  const begin = () => call(run, "beginInstall", undefined);
  yield* followChanges(
    [{ begin, look: (operation) => call(run, "lookInstall", { operation }) }],
    FLOW_REGISTRATION_MAX_MS,
  );
}

function* waitForMobility(run: FlowRun, what: "registered" | "seeding"): Flow<void> {
  const probe = function* (): Flow<true | undefined> {
    const found = yield* call(run, "lookMobility", undefined);
    return found[what] || undefined;
  };
  yield* until(probe, { maxMs: FLOW_REGISTRATION_MAX_MS, late: () => silent(what) });
}

function silent(what: "registered" | "seeding"): FlowFailure {
  return new FlowFailure({
    code: "control-unavailable",
    message:
      what === "registered"
        ? "The mobility service did not register."
        : "The mobility service registered and sends nothing.",
    hint: "Look at its log in the VM, and whether the VM reaches the function app and the cache account; then enable protection again.",
    retryable: true,
  });
}
