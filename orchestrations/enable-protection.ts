import { FLOW_REGISTRATION_MAX_MS } from "../replication/limits.ts";
import { ensureSteps, followChanges } from "./ensure.ts";
import type { FlowRun } from "../replication/operations/flow-run.ts";
import { type Flow, FlowFailure, call, inTasks, waitOn } from "./steps.ts";

/**
 * Plans, makes what items share, installs the service in the VM, and ends when its writes begin to come: replication
 * does the rest by itself.
 */
export function* enableProtection(run: FlowRun): Flow<void> {
  yield* inTasks(run, [
    ["CheckPrerequisites", call(run, "planItem", undefined)],
    ["CreateTargetResources", makeTarget(run)],
    ["InstallMobilityService", installMobility(run)],
    ["RegisterMobilityService", waitForMobility(run, "registered")],
    ["StartInitialReplication", waitForMobility(run, "seeding")],
  ]);
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
  for (let waitedMs = 0; ;) {
    const found = yield* call(run, "lookMobility", undefined);
    if (found[what]) return;
    if (waitedMs >= FLOW_REGISTRATION_MAX_MS) throw silent(what);
    waitedMs = yield* waitOn(0, waitedMs);
  }
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
