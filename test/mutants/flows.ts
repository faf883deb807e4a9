import type { Mutant } from "./mutant.ts";

const FLOWS = "test/orchestrations/flows.test.ts";
const BEST_EFFORT = "test/orchestrations/best-effort.test.ts";
const UPGRADE = "test/orchestrations/upgrade-engine.test.ts";
const ENDS = "test/orchestrations/ends.test.ts";
const WORKERS = "test/orchestrations/ending-workers.test.ts";
const WALK = "test/orchestrations/walk.test.ts";
const LAG = "test/orchestrations/azure-lag.test.ts";
const REQUEST = "test/orchestrations/request.test.ts";

/** Faults of the flows and of what their steps do: `orchestrations/`. */
export const FLOW_MUTANTS: readonly Mutant[] = [
  {
    name: "a resource is written into the ledger after it was made",
    why: "a crash in between leaves a machine that nobody knows of",
    file: "orchestrations/activities/walk.ts",
    find: `  await writeDown(context, run, sent, (ledger, resources, jobId, nowMs) =>
    noteSent(intend(ledger, resources, jobId, nowMs), idsOf(resources)),
  );
`,
    replace: ``,
    tests: [WALK],
  },
  {
    name: "a stage begins although one of its resources is somebody else's",
    why: "half of a failover stands when it is refused",
    file: "orchestrations/activities/walk.ts",
    find: `if (action.kind === "refused") throw new LeewardError(action.code, action.message, { id: step.id });`,
    replace: `if (action.kind === "refused") return;`,
    tests: [WALK],
  },
  {
    name: "the changes of a stage are begun one behind the other",
    why: "sixty disks take an hour instead of a minute",
    file: "orchestrations/activities/walk.ts",
    find: `  await forEachConcurrently(FLOW_STEPS_AT_ONCE, todo, async`,
    replace: `  await forEachConcurrently(FLOW_STEPS_AT_ONCE, todo.slice(0, 1), async`,
    tests: [WALK],
  },
  {
    name: "what stands already is made again",
    why: "a second run of a flow changes what users have changed since",
    file: "orchestrations/activities/walk.ts",
    find: `      return { kind: "done", result: undefined };
  }
}`,
    replace: `      return resourceManager.begin({ kind: "remove", id });
  }
}`,
    tests: [FLOWS],
  },
  {
    name: "what is there and was made by others is taken into the ledger",
    why: "disabling removes an operator's own network",
    file: "orchestrations/activities/walk.ts",
    find: `(action.kind !== "present" || action.ours)`,
    replace: `(action.kind !== "looking" || action.ours)`,
    tests: [FLOWS, WALK, LAG],
  },
  {
    name: "a change that Azure fails is begun for ever",
    why: "a flow without capacity never ends",
    file: "orchestrations/ensure.ts",
    find: `>= FLOW_STEP_MAX_BEGINS);
    if (lost`,
    replace: `>= FLOW_STEP_MAX_BEGINS * 1_000_000);
    if (lost`,
    tests: [WALK],
  },
  {
    name: "a stage may take any time",
    why: "a failover hangs and says InProgress",
    file: "orchestrations/ensure.ts",
    find: `if (waitedMs > FLOW_STAGE_MAX_MS) throw tookTooLong(FLOW_STAGE_MAX_MS);`,
    replace: `void FLOW_STAGE_MAX_MS;`,
    tests: [WALK],
  },
  {
    name: "an activity that fails once fails the job",
    why: "one lost answer of Azure ends a failover",
    file: "orchestrations/steps.ts",
    find: `if (!answer.error.retryable || tries >= maxTries) throw`,
    replace: `if (!answer.error.retryable || tries >= Math.min(1, maxTries)) throw`,
    tests: ["test/orchestrations/steps.test.ts"],
  },
  {
    name: "an activity is tried for ever",
    why: "a job whose store refuses it never ends",
    file: "orchestrations/steps.ts",
    find: `if (!answer.error.retryable || tries >= maxTries) throw`,
    replace: `if (!answer.error.retryable || tries >= 1_000 * maxTries) throw`,
    tests: ["test/orchestrations/steps.test.ts"],
  },
  {
    name: "tries follow each other without a pause",
    why: "all tries are used up while a store is away for a second",
    file: "orchestrations/steps.ts",
    find: `Math.min(FLOW_PAUSE_MS * 2 ** (tries - 1), pauseMaxMs)`,
    replace: `Math.min(0 * FLOW_PAUSE_MS * tries, pauseMaxMs)`,
    tests: ["test/orchestrations/steps.test.ts"],
  },
  {
    name: "a flow whose item has gone on works on",
    why: "an enabling that was given up makes resources behind the disabling",
    file: "orchestrations/activities/run-activity.ts",
    find: `if (!ALWAYS.has(name) && managed?.situation.job?.jobId !== run.jobId) return { kind: "superseded" };`,
    replace: ``,
    tests: [FLOWS],
  },
  {
    name: "the source is not asked to stop",
    why: "users write on while the copy starts",
    file: "orchestrations/activities/machines.ts",
    find: `if (power === undefined || power === "stopped" || power === "deallocated") return { kind: "done" };`,
    replace: `if (power !== "deallocating") return { kind: "done" };`,
    tests: [FLOWS],
  },
  {
    name: "a source that cannot be shut down ends the failover",
    why: "with the source region gone nothing can be failed over (rule 7)",
    file: "orchestrations/best-effort.ts",
    find: `    if (!(failure instanceof FlowFailure)) throw failure;`,
    replace: `    if (failure instanceof FlowFailure) throw failure;`,
    tests: [FLOWS],
  },
  {
    name: "the source is waited for as long as any change",
    why: "the RTO grows by an hour when the source region hangs",
    file: "orchestrations/unplanned-failover.ts",
    find: `{ maxMs: FLOW_SOURCE_MAX_MS }`,
    replace: `{ maxMs: FLOW_SOURCE_MAX_MS * 1_000 }`,
    tests: [FLOWS, BEST_EFFORT],
  },
  {
    name: "a best effort has no limit",
    why: "a failover waits for a day for what it can do without",
    file: "orchestrations/best-effort.ts",
    find: `if (waitedMs > declared.maxMs) throw tookTooLong(declared);`,
    replace: `void tookTooLong;`,
    tests: [BEST_EFFORT],
  },
  {
    name: "a best effort goes on when another job has taken over",
    why: "two flows change the same machine",
    file: "orchestrations/best-effort.ts",
    find: `    if (!(failure instanceof FlowFailure)) throw failure;`,
    replace: `    if (!(failure instanceof Error) || !("error" in failure)) return;`,
    tests: [BEST_EFFORT],
  },
  {
    name: "runs of version 3 get the failover of version 4",
    why: "a failover that is under way during an upgrade replays other steps, and hangs",
    file: "orchestrations/run-flow.ts",
    find: `unplannedFailover3(run, failover)`,
    replace: `[unplannedFailover3, unplannedFailover][1](run, failover)`,
    tests: ["test/orchestrations/flow-steps.test.ts"],
  },
  {
    name: "a version that runs may still have is not registered",
    why: "on Azure such a run may stand still for ever, and its item with it",
    file: "orchestrations/durable.ts",
    find: `for (const version of FLOW_VERSIONS)`,
    replace: `for (const version of FLOW_VERSIONS.slice(1))`,
    tests: [UPGRADE],
  },
  {
    name: "copies of disks are not in the ledger",
    why: "those of a failover that failed cost on until the item is disabled",
    file: "orchestrations/activities/restore.ts",
    find: `  await changeLedger(stores, itemId, (ledger) => intend(ledger, [blobs], jobId, clock.now()));
`,
    replace: `  void [intend, clock, blobs];
`,
    tests: [FLOWS],
  },
  {
    name: "copies of disks stay when the machine runs",
    why: "every disk is paid twice",
    file: "orchestrations/unplanned-failover.ts",
    find: `  yield* call(run, "removeRestored", undefined);
`,
    replace: ``,
    tests: [FLOWS],
  },
  {
    name: "a second failover does not remove what the first one made",
    why: "it fails at the names that the first one has taken",
    file: "orchestrations/unplanned-failover.ts",
    find: `yield* tasks.work("CheckPrerequisites", removeSteps(run, "failover"));`,
    replace: `tasks.skip("CheckPrerequisites");`,
    tests: [FLOWS],
  },
  {
    name: "a failover to the latest state waits for the policy's next point",
    why: "the RTO grows by the interval",
    file: "orchestrations/activities/restore.ts",
    find: `      await wantPoint(stores.records(itemId), latest.position);
`,
    replace: `      void wantPoint;
`,
    tests: [FLOWS],
  },
  {
    name: "the commit does not close the stream",
    why: "a source that comes back writes into the item that was failed over",
    file: "orchestrations/activities/commit.ts",
    find: `  await endStream(context, run);
`,
    replace: `  void endStream;
`,
    tests: [WORKERS],
  },
  {
    name: "the commit removes points before their requests have settled",
    why: "a late manifest brings a point back",
    file: "replication/sweep/remove-all-points.ts",
    find: `Math.abs(nowMs - targetTimeMs) >= POINT_SETTLE_MS`,
    replace: `Math.abs(nowMs - targetTimeMs) >= 0 * POINT_SETTLE_MS`,
    tests: [ENDS, WORKERS],
  },
  {
    name: "the commit does not wait for a worker that is warm",
    why: "it takes a point when all are removed, and that stays for ever",
    file: "orchestrations/activities/commit.ts",
    find: `return { left: isEnded ? left : left + 1 };`,
    replace: `return { left };`,
    tests: [WORKERS],
  },
  {
    name: "disabling does not wait for a worker that is warm",
    why: "it writes into containers that are gone, and makes them again",
    file: "orchestrations/disable-protection.ts",
    find: `return worker.kind === "ended" ? worker.settleMs : undefined;`,
    replace: `return worker.kind === "ended" ? worker.settleMs : 0;`,
    tests: [WORKERS],
  },
  {
    name: "a worker that is warm is not woken when its stream is closed",
    why: "every disabling and every commit waits for the end of a slice",
    file: "orchestrations/activities/workers.ts",
    find: `  await context.queue.send({ kind: "hint", itemId }, 0);
`,
    replace: ``,
    tests: [WORKERS],
  },
  {
    name: "the last request of a dead worker is not waited for",
    why: "it lands when all is removed, and is left over",
    file: "orchestrations/activities/workers.ts",
    find: `Math.min(progress.expiresMs - nowMs, CLAIM_MS) + STORE_BLOB_WRITE_MS) };`,
    replace: `Math.min(progress.expiresMs - nowMs, CLAIM_MS) + 0 * STORE_BLOB_WRITE_MS) };`,
    tests: [WORKERS],
  },
  {
    name: "disabling waits for a worker for ever",
    why: "an item whose worker hangs cannot be disabled",
    file: "orchestrations/disable-protection.ts",
    find: `maxMs: FLOW_WORKER_MAX_MS, late: busyWorker`,
    replace: `maxMs: FLOW_WORKER_MAX_MS * 1_000_000, late: busyWorker`,
    tests: [WORKERS],
  },
  {
    name: "disabling removes the target's data once only",
    why: "what lands between is left over and paid for",
    file: "orchestrations/disable-protection.ts",
    find: `  yield* wait(Math.max(settleMs, CLAIM_MS));
  yield* removeTargetData(run);
`,
    replace: `  yield* wait(Math.max(settleMs, CLAIM_MS));
`,
    tests: [WORKERS],
  },
  {
    name: "disabling removes the target's data twice at one moment",
    why: "what lands later is left over and paid for",
    file: "orchestrations/disable-protection.ts",
    find: `  yield* wait(Math.max(settleMs, CLAIM_MS));`,
    replace: `  yield* wait(Math.max(settleMs, 0 * CLAIM_MS));`,
    tests: [WORKERS],
  },
  {
    name: "a run of version 2 removes the data once only",
    why: "what lands between is left over and paid for",
    file: "orchestrations/version-2/disable-protection.ts",
    find: `  yield* wait(CLAIM_MS);
  yield* call(run, "removeData", undefined);
`,
    replace: `  yield* wait(CLAIM_MS);
`,
    tests: [WORKERS],
  },
  {
    name: "a source region that is gone stops the disabling",
    why: "the very reason to disable keeps the item alive, and its disks cost on (rule 7)",
    file: "orchestrations/disable-protection.ts",
    find: `      if (!(failure instanceof FlowFailure)) throw failure;
      yield* call(run, "leaveAtSource"`,
    replace: `      if (failure instanceof FlowFailure) throw failure;
      yield* call(run, "leaveAtSource"`,
    tests: [ENDS],
  },
  {
    name: "disabling removes what lies at the source first",
    why: "with the source region gone the target's disks are reached minutes later, or never",
    file: "orchestrations/disable-protection.ts",
    find: `  yield* removeSteps(run, "disable", "target");
  yield* removeTargetData(run);`,
    replace: `  yield* removeAtSource(run);
  yield* removeSteps(run, "disable", "target");
  yield* removeTargetData(run);`,
    tests: [ENDS],
  },
  {
    name: "disabling leaves the tokens of the source valid",
    why: "a machine that is no longer protected speaks for the item",
    file: "orchestrations/activities/removal-data.ts",
    find: `: { ...item, tokenHash: undefined, nextTokenHash: undefined, registrationHash: undefined };`,
    replace: `: { ...item, nextTokenHash: undefined, registrationHash: undefined };`,
    tests: [ENDS],
  },
  {
    name: "disabling leaves a registration token valid",
    why: "an installation that comes late registers for an item that is going",
    file: "orchestrations/activities/removal-data.ts",
    find: `: { ...item, tokenHash: undefined, nextTokenHash: undefined, registrationHash: undefined };`,
    replace: `: { ...item, tokenHash: undefined, nextTokenHash: undefined };`,
    tests: [ENDS],
  },
  {
    name: "the item's own record goes before what it tells of",
    why: "a disabling that failed cannot be done again",
    file: "orchestrations/disable-protection.ts",
    find: `  yield* removeAtSource(run);
  yield* call(run, "forgetItem", undefined);`,
    replace: `  yield* call(run, "forgetItem", undefined);
  yield* removeAtSource(run);`,
    tests: [ENDS],
  },
  {
    name: "nobody looks whether anything is left",
    why: "what Azure has not removed is forgotten",
    file: "orchestrations/activities/removal-data.ts",
    find: `seen.push([id, (await managementOf(context).resourceManager.read(id)) !== undefined]);`,
    replace: `seen.push([id, false]);`,
    tests: [LAG],
  },
  {
    name: "a list that says empty deletes the resource group",
    why: "Azure shows new resources minutes late: an operator's disk is deleted with the group",
    file: "orchestrations/activities/removal.ts",
    find: `if (entry.kind === "resource-group" || entry.kind === "storage-account")
    return leave(context, run, holderLeft(entry));`,
    replace: `if (entry.kind === "storage-account") return leave(context, run, holderLeft(entry));`,
    also: [
      {
        file: "replication/resources/ledger.ts",
        find: `const isHolder = ({ kind }: LedgerEntry): boolean => kind === "resource-group" || kind === "storage-account";`,
        replace: `const isHolder = ({ kind }: LedgerEntry): boolean => kind === "storage-account";`,
      },
    ],
    tests: [LAG],
  },
  {
    name: "a network with subnets of others is removed",
    why: "they are deleted with it",
    file: "orchestrations/activities/removal.ts",
    find: `if (added.length > 0) return leave(context, run, widenedLeft(id, added));`,
    replace: `void [added, widenedLeft];`,
    tests: [LAG],
  },
  {
    name: "what others use is no leftover",
    why: "a network is kept, costs on, and no job names it",
    file: "orchestrations/activities/removal.ts",
    find: `  await changeJob(stores, itemId, jobId, (job) => noteLeftover(job, leftover));
`,
    replace: `  void [changeJob, jobId, noteLeftover];
`,
    tests: [LAG],
  },
  {
    name: "a damaged ledger of another item counts as an empty one",
    why: "a network that the other item uses is removed",
    file: "orchestrations/activities/removal.ts",
    find: `const doubtful = damaged.length === 0 ? [] :`,
    replace: `const doubtful = damaged.length >= 0 ? [] :`,
    tests: [LAG],
  },
  {
    name: "what is busy for a moment fails the job",
    why: "Azure says in use for seconds after the user is gone",
    file: "orchestrations/activities/removal.ts",
    find: `if (inUse.kind === "again") return`,
    replace: `if (inUse.kind === "lasting") return`,
    tests: [LAG],
  },
  {
    name: "a resource that Azure does not show yet fails the job",
    why: "enabling and failing over fail at the second look",
    file: "orchestrations/activities/resources.ts",
    find: `return isWaited ? { kind: "again", delayMs: AZURE_BUSY_MS, failed: undefined } : stepAnswer(begun);`,
    replace: `return isWaited && AZURE_BUSY_MS < 0 ? { kind: "again", delayMs: AZURE_BUSY_MS, failed: undefined } : stepAnswer(begun);`,
    tests: [LAG],
  },
  {
    name: "any heartbeat counts as seeding",
    why: "a service that goes on in an earlier life passes for a protected machine",
    file: "orchestrations/activities/mobility.ts",
    find: `const speaks = heartbeat !== undefined && speaksOf(heartbeat, item);`,
    replace: `const speaks = heartbeat !== undefined && (speaksOf(heartbeat, item) || true);`,
    tests: ["test/orchestrations/mobility.test.ts"],
  },
  {
    name: "the container of the cache is not in the ledger before it is made",
    why: "a crash in between leaves data at the source that nobody removes",
    file: "orchestrations/activities/mobility.ts",
    find: `  await changeLedger(context.stores, run.itemId, (ledger) =>
    intend(ledger, [cacheData], run.jobId, context.clock.now()),
  );
`,
    replace: ``,
    tests: [FLOWS, ENDS],
  },
  {
    name: "a registration token stands in the history of the flow",
    why: "whoever reads the task hub can speak for the machine (rule 8)",
    file: "orchestrations/activities/mobility.ts",
    find: `return begun.kind === "done" ? installedAnswer(context, run, id) : stepAnswer(begun);`,
    replace: `return begun.kind === "done" ? { ...(await installedAnswer(context, run, id)), settings } : { ...stepAnswer(begun), settings };`,
    tests: [FLOWS],
  },
  {
    name: "the sweep does not start a flow that a crash left unstarted",
    why: "a job says InProgress for ever",
    file: "replication/operations/request.ts",
    find: `    await flows.start({ version: versionOf(record), itemId, ...job });`,
    replace: ``,
    tests: [REQUEST],
  },
  {
    name: "a job that an older app made begins under the newest version",
    why: "its record lacks the tasks that the flow goes through",
    file: "replication/operations/flow-run.ts",
    find: `  return FLOW_VERSIONS.find((version) => version === wanted) ?? FLOW_VERSION;`,
    replace: `  return wanted === 0 ? 2 : FLOW_VERSION;`,
    tests: [REQUEST],
  },
  {
    name: "a flow that ended without a word holds its item for ever",
    why: "an operator is stuck",
    file: "replication/operations/request.ts",
    find: `if (state !== "ended" || (await reportOutcome(context, itemId, job.jobId))) return;`,
    replace: `if (state === "ended" || (await reportOutcome(context, itemId, job.jobId))) return;`,
    tests: [REQUEST],
  },
  {
    name: "a request that was answered is done again",
    why: "a client that repeats its request fails over twice",
    file: "replication/operations/request.ts",
    find: `  if (isEnded(job)) return job;
`,
    replace: ``,
    tests: [REQUEST],
  },
  {
    name: "what is left at the source is never tried again",
    why: "the containers of a region that is back cost on",
    file: "replication/operations/leftovers.ts",
    find: `const due = openLeft(await readLedger(stores, itemId)).find(isDue);`,
    replace: `const due = openLeft(await readLedger(stores, itemId)).find((entry) => isDue(entry) && entry.id === "");`,
    tests: [ENDS],
  },
  {
    name: "what is left is removed while the item is protected again",
    why: "the extension of the new protection is removed",
    file: "replication/operations/leftovers.ts",
    find: `if (managed === undefined || managed.situation.state !== "Unprotected" || managed.situation.job !== undefined)
    return undefined;`,
    replace: `if (managed === undefined) return undefined;`,
    tests: [ENDS],
  },
  {
    name: "a change of state that is told again has another id",
    why: "a subscriber acts twice on one change",
    file: "replication/operations/request.ts",
    find: `\`report \${reports}\``,
    replace: `\`\${clock.now()}\``,
    tests: ["test/orchestrations/events.test.ts"],
  },
  {
    name: "each report of replication has the number of the first",
    why: "a subscriber takes the second standstill of an item for the first one, told again",
    file: "replication/operations/request.ts",
    find: `(managed.reports ?? 0) + 1;`,
    replace: `1;`,
    tests: ["test/orchestrations/events.test.ts"],
  },
];
