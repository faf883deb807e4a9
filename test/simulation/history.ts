import { LEFT_RETRY_MS } from "../../replication/limits.ts";
import { readOverview } from "../../replication/operations/overview.ts";
import { findItem } from "../../replication/records/item-record.ts";
import { readProgress } from "../../replication/records/progress.ts";
import { canGoOn, damage } from "./damage.ts";
import { FAULT_MODEL, LATE_RESOURCE_MS } from "./fault-model.ts";
import { type Operator, createOperator } from "./operator.ts";
import type { HistoryPlan, Step } from "./plan.ts";
import { type Verdict, createVerdict } from "./verdict.ts";
import { type ProtectedMachine, START_MS, type World, createWorld } from "./world.ts";

export interface HistoryResult {
  /** One sentence per violation; empty for a sound product. */
  readonly wrong: readonly string[];
  readonly points: number;
  readonly events: number;
  readonly virtualMs: number;
  /** Equal for equal histories. */
  readonly digest: number;
  readonly trace: readonly string[];
}

/** How long the product may take to come to rest once the faults are over. */
const REST_MAX_MS = 45 * 60_000;
const LOOK_EVERY_MS = 15_000;
/** Time for workers that are still awake when everything is over. */
const AFTERWARDS_MS = 95_000;
/** Retries of the sweep: a machine must go before its network interface can. */
const LEFT_TRIES_MAX = 4;
/** Within this time the sweep has checked each item in full: it does so every three minutes. */
const SWEPT_MS = 8 * 60_000;
/** After this time an operator notices that an item has stopped, and repairs it. */
const OPERATOR_LOOKS_MS = 60_000;
/**
 * An item that has stopped continues by itself within this time after the faults, if nothing that it needs is missing.
 * The operator waits for that before a repair.
 */
const BY_ITSELF_MS = 150_000;

/** Runs one history from its plan. The same plan gives the same history, byte by byte. */
export async function runHistory(plan: HistoryPlan, { keepTrace = false } = {}): Promise<HistoryResult> {
  const world = createWorld(plan, keepTrace);
  const verdict = createVerdict(world);
  world.watchStores(verdict.watch);
  const operator = createOperator(world);
  for (const step of plan.steps) world.timeline.after(step.atMs, () => perform(world, operator, step));
  let nextLookMs = START_MS + LOOK_EVERY_MS;
  while (world.timeline.now() < START_MS + plan.calmMs && world.wrong.length === 0) {
    await world.timeline.runUntil(Math.min(nextLookMs, START_MS + plan.calmMs), () => world.wrong.length > 0);
    await verdict.checkHealth();
    nextLookMs += LOOK_EVERY_MS;
  }
  if (world.wrong.length === 0) await comeToRest(world, verdict, operator);
  if (world.wrong.length === 0) await world.timeline.runUntil(world.timeline.now() + AFTERWARDS_MS);
  // Requests that nobody waits for any more may still make resources. The sweep removes them hours later, one by one.
  const goneMs = world.timeline.now() + LATE_RESOURCE_MS + LEFT_RETRY_MS * LEFT_TRIES_MAX;
  while (world.wrong.length === 0 && (await verdict.mayComeBack()) && world.timeline.now() < goneMs) {
    await world.timeline.runUntil(world.timeline.now() + LOOK_EVERY_MS);
  }
  // The sweep also removes data that was written late.
  const sweptMs = world.timeline.now() + SWEPT_MS;
  while (world.wrong.length === 0 && (await verdict.isLeft()) && world.timeline.now() < sweptMs) {
    await world.timeline.runUntil(world.timeline.now() + LOOK_EVERY_MS);
  }
  if (world.wrong.length === 0) await verdict.checkEnd();
  return {
    wrong: world.wrong,
    points: verdict.points,
    events: world.timeline.count,
    virtualMs: world.timeline.now() - START_MS,
    digest: world.digest(),
    trace: world.trace,
  };
}

/**
 * Ends all faults and waits until nothing is left to do. What does not end by itself must end by the operation that
 * its hint names.
 */
async function comeToRest(world: World, verdict: Verdict, operator: Operator): Promise<void> {
  world.isCalm = true;
  world.away.clear();
  if (world.regionLost) world.loseRegion();
  if (world.appProcess() === undefined) world.startApp();
  for (const { source } of world.machines) {
    source.calm();
    source.setGuest(0);
  }
  const endMs = world.timeline.now() + REST_MAX_MS;
  const repairedMs = new Map<string, number>();
  let open: readonly string[] = [];
  while (world.timeline.now() < endMs && world.wrong.length === 0) {
    await world.timeline.runUntil(world.timeline.now() + LOOK_EVERY_MS, () => world.wrong.length > 0);
    await verdict.checkHealth();
    open = [];
    for (const machine of world.machines) {
      const { done, why } = await verdict.isDone(machine);
      if (!done) open = [...open, `${machine.itemId}: ${why}`];
      if (await needsRepair(world, machine, repairedMs)) {
        repairedMs.set(machine.itemId, world.timeline.now());
        await startOperation(world, operator, machine);
      }
    }
    if (open.length === 0) return;
  }
  for (const sentence of open) world.wrong.push(`stuck: ${sentence}`);
}

async function needsRepair(
  world: World,
  machine: ProtectedMachine,
  repairedMs: ReadonlyMap<string, number>,
): Promise<boolean> {
  const { itemId } = machine;
  if ((await findItem(world.stores, itemId)) === undefined) return false;
  const stopped = await stopOf(world, itemId);
  if (stopped === undefined || world.timeline.now() - stopped.atMs < OPERATOR_LOOKS_MS) return false;
  if (world.timeline.now() < Math.max(START_MS + world.plan.calmMs, world.putBackMs) + BY_ITSELF_MS) return false;
  const progress = (await readProgress(world.stores.records(itemId)))?.progress;
  if (progress?.stopped !== undefined && (await canGoOn(world, machine, progress))) {
    world.wrong.push(`${itemId} stays stopped with ${stopped.code}, and all that it needs is there`);
  }
  if (!world.plan.steps.some(mayStop)) {
    world.wrong.push(`${itemId} stopped, and nobody had damaged anything: ${stopped.code}: ${stopped.message}`);
  }
  return world.timeline.now() - (repairedMs.get(itemId) ?? 0) > 10 * OPERATOR_LOOKS_MS;
}

/** Why the target has stopped, or why the service has stopped sending. */
async function stopOf(
  { stores, timeline }: World,
  itemId: string,
): Promise<{ readonly code: string; readonly message: string; readonly atMs: number } | undefined> {
  const stopped = (await readProgress(stores.records(itemId)))?.progress.stopped;
  if (stopped !== undefined) return stopped;
  const { status } = await readOverview({ stores, clock: { now: timeline.now }, ids: { next: () => "" } }, itemId);
  const told = status?.healthErrors.find(({ code }) => code === "uploads-stopped");
  return told && { ...told, atMs: START_MS };
}

/** An item may stop only after a fault that takes an operator to repair. */
const mayStop = ({ kind }: Step): boolean => kind !== "operate" && kind !== "guest" && FAULT_MODEL[kind] === "repaired";

async function startOperation(world: World, operator: Operator, machine: ProtectedMachine): Promise<void> {
  world.surroundings.trace(`the operator repairs ${machine.itemId}`);
  operator
    .operate(machine, "repair")
    .catch((error: unknown) => world.wrong.push(`the operator failed: ${String(error)}`));
}

/** Injects a fault, or lets an operator or a guest act. */
function perform(world: World, operator: Operator, step: Step): void {
  if (world.isCalm && step.kind !== "operate") return;
  world.surroundings.trace(JSON.stringify(step));
  const { timeline, away, machines } = world;
  const machine = "machine" in step ? machines[step.machine] : undefined;
  const failed = (error: unknown): void => void world.wrong.push(`${step.kind} threw ${String(error)}`);
  switch (step.kind) {
    case "operate":
      if (machine !== undefined) operator.operate(machine, step.operation).catch(failed);
      return;
    case "guest":
      return machine?.source.setGuest(step.everyMs);
    case "service-killed":
      machine?.source.kill();
      return void timeline.after(step.downMs, () => machine?.source.start());
    case "service-stopped":
      machine?.source.stop().then(() => timeline.after(step.downMs, () => machine.source.start()), failed);
      return;
    case "power-cut":
      return machine?.source.powerCut(step.downMs);
    case "state-disk-full":
      return machine?.source.fillDisk(step.roomBytes, step.durationMs);
    case "state-write-fails":
      return machine?.source.failStateWrites(step.times, step.isDone);
    case "journal-sync-fails":
      return machine?.source.failJournalSync(step.times);
    case "clock-jumps":
      return machine?.source.jumpClock(step.byMs);
    case "clone-wakes":
      return machine?.source.wakeClone(step.durationMs);
    case "second-service":
      return machine?.source.startSecond(step.durationMs);
    case "app-killed":
      if (step.isWhole === true) return world.killWholeApp(step.downMs);
      world.killApp();
      return void timeline.after(step.downMs, () => world.startApp());
    case "app-stalled":
      return world.stallApp(step.durationMs);
    case "cache-away":
    case "control-away": {
      const place = step.kind === "cache-away" ? "cache" : "control";
      away.add(place);
      return void timeline.after(step.durationMs, () => {
        if (!world.regionLost || place === "control") away.delete(place);
      });
    }
    case "region-lost":
      return world.loseRegion();
    case "delta-damaged":
    case "delta-removed":
    case "journal-damaged":
    case "manifest-damaged":
    case "record-damaged":
      if (machine !== undefined) damage(world, machine, step).catch(failed);
      return;
    case "machine-refused":
      return machine && world.refuseMachine(machine, step.times);
  }
}
