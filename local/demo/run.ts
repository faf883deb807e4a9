import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import type { Guest } from "../lab/guest.ts";
import type { Random } from "../lab/random.ts";
import { DEMO_STAGE_MS } from "../limits.ts";
import type { Cloud } from "../supervisor/cloud.ts";
import type { RecoveryPoint } from "../supervisor/operator-api.ts";
import type { DemoContext } from "./context.ts";
import { enableAndDisable, failOver } from "./failover.ts";
import { killIdle, killInsideBatch, waitForApplied } from "./faults.ts";
import { invocationsByFunction, showKinds, showPoints, showStretch, type Stretch } from "./figures.ts";
import { downloaded, flipOneBit, proveRestored, restorePoint } from "./proof.ts";
import {
  attachTo,
  enableBody,
  ITEM_ID,
  makeSourceMachine,
  openScene,
  startWriters,
  type RunningVm,
  type Scene,
  type Writers,
} from "./scene.ts";
import { mebibytes, progressBar, secondsText } from "./terminal.ts";
import { until } from "./until.ts";

/** Undisturbed writing, for the figures. */
const STEADY_MS = 10_000;
const PAGE_WRITE_OF_KILL_MAX = 12;

/** The whole demo on a running cloud. Returns whether every restored point was proven. */
export async function runDemo(context: DemoContext, cloud: Cloud): Promise<boolean> {
  const { terminal } = context;
  const scene = await prepare(context, cloud);
  const vm = await enable(context, scene);
  await seed(context, scene, vm);
  const writers = startWriters(scene, vm.guest);
  const before = await steadyWriting(context, scene, vm.guest, writers);
  // Continues through both kills; its stage reports any failure.
  const other = enableAndDisable(scene);
  other.catch(() => undefined);
  const interrupted = await interruptBatch(context, scene, writers);
  const idleAt = await interruptIdle(context, scene, writers);
  // While the killed holder's claim runs out, existing points can be restored.
  const trial = { context, scene, vm, writers };
  const first = await tryPoint(trial, await choosePoint(scene, interrupted, context.random), 1);
  await continueAfterIdle(context, scene, idleAt);
  const failover = await failOver(context, scene, vm, writers);
  await terminal.stage("a second VM, given up again", async () => ({ result: undefined, detail: await other }));
  showStretch(terminal, "undisturbed writing", before);
  showKinds(terminal, before.store);
  showPoints(terminal, await scene.api.points(ITEM_ID), {
    restoredMs: first.restoredMs,
    failedOverMs: failover.tookMs,
  });
  const invocations = await invocationsByFunction(cloud.logFolder);
  terminal.table(
    "function invocations, counted by the host over its three lives",
    [...invocations]
      .toSorted(([left], [right]) => left.localeCompare(right))
      .map(([name, count]) => [name, String(count)]),
  );
  terminal.table(
    "stages",
    terminal.stages.map(({ title, tookMs }) => [title, secondsText(tookMs)]),
  );
  if ((invocations.get("applyHints") ?? 0) === 0)
    throw new LeewardError("internal", "Deltas were applied although the host ran no applyHints.");
  return first.proven && failover.proven;
}

async function prepare({ terminal, folder, options }: DemoContext, cloud: Cloud): Promise<Scene> {
  return terminal.stage("a VM in westeurope", async () => {
    const machine = await makeSourceMachine(folder, options.seed, cloud);
    const sizes = machine.disks.map((disk) => `${disk.id} ${mebibytes(disk.sizeBytes)}`).join(", ");
    const note =
      machine.missing.length === 0 ? "" : `; no ext4 disk: ${machine.missing.join(", ")} not installed (e2fsprogs)`;
    return { result: openScene(folder, options.seed, cloud, machine), detail: `${sizes}${note}` };
  });
}

/**
 * Enables replication as an operator does, by the VM's id: the flow plans, creates what is needed, and installs the
 * mobility service in the VM.
 */
async function enable({ terminal }: DemoContext, scene: Scene): Promise<RunningVm> {
  return terminal.stage("enable replication through the API", async (report) => {
    const job = await scene.flows.enable(ITEM_ID, enableBody(scene.machineId));
    const { tasks } = await scene.flows.finish(job, report);
    return { result: await attachTo(scene), detail: tasks.map(({ name }) => name).join(", ") };
  });
}

/** Waits for the end of initial replication: the target holds every disk. */
async function seed({ terminal, signal }: DemoContext, scene: Scene, vm: RunningVm): Promise<void> {
  const totalBytes = scene.disks.reduce((sum, disk) => sum + disk.sizeBytes, 0);
  await terminal.stage("initial replication", async (report) => {
    await until(signal, "Initial replication did not end in time.", async () => {
      const status = await vm.mobility.status();
      const read = (status?.["seeding"] as { readonly doneBytes?: number } | undefined)?.doneBytes ?? 0;
      report(progressBar((read / totalBytes) * 0.99));
      const { stage, stopped } = await scene.api.item(ITEM_ID);
      if (stopped !== undefined) throw new LeewardError("item-stopped", stopped);
      return stage === "protected";
    });
    const { deltas, deltaBytes } = scene.store.figures();
    return {
      result: undefined,
      detail: `${progressBar(1)} ${mebibytes(totalBytes)} in ${deltas} deltas of ${mebibytes(deltaBytes)}`,
    };
  });
}

/** Lets the guest write without any requests, so that the figures show replication alone. */
async function steadyWriting(
  { terminal, signal }: DemoContext,
  scene: Scene,
  guest: Guest,
  writers: Writers,
): Promise<Stretch> {
  return terminal.stage("writing, first recovery points", async (report) => {
    const startedMs = Date.now();
    const start = guest.totals;
    scene.store.restart();
    await until(signal, "No recovery points came.", async () => {
      await failed(writers);
      report(`${guest.totals.requests} records, ${scene.store.points} points`);
      return Date.now() - startedMs >= STEADY_MS && scene.store.figures().points >= 2;
    });
    const end = guest.totals;
    const store = scene.store.figures();
    const written = {
      requests: end.requests - start.requests,
      bytes: end.bytes - start.bytes,
      flushes: end.flushes - start.flushes,
    };
    const detail = `${written.requests} records of ${mebibytes(written.bytes)}, ${store.points} points`;
    return { result: { guest: written, store, tookMs: Date.now() - startedMs }, detail };
  });
}

/**
 * Kills the function app in the middle of a batch, restarts it and waits until that batch is complete. Returns its last
 * epoch.
 */
async function interruptBatch({ terminal, random }: DemoContext, scene: Scene, writers: Writers): Promise<number> {
  const nth = 1 + random.below(PAGE_WRITE_OF_KILL_MAX);
  return terminal.stage("kill -9 inside a batch, restart", async (report) => {
    const killed = await killInsideBatch(scene.cloud, ITEM_ID, nth, DEMO_STAGE_MS);
    const killedMs = Date.now();
    const batch = `at page write ${nth}: applied ${killed.applied}, intent ${killed.intent}`;
    report(`${batch}; waiting for the dead holder's claim to end`);
    await scene.cloud.app.restart();
    const after = await waitForApplied(scene.cloud, ITEM_ID, killed.intent, DEMO_STAGE_MS);
    await failed(writers);
    const took = `made whole after ${secondsText(Date.now() - killedMs)} by generation ${after.generation} (was ${killed.generation})`;
    return { result: killed.intent, detail: `${batch}; ${took}` };
  });
}

/** Kills the function app when nothing is under way, and restarts it. Returns its epoch at that time. */
async function interruptIdle({ terminal }: DemoContext, scene: Scene, writers: Writers): Promise<number> {
  return terminal.stage("kill -9 while idle, restart", async () => {
    await writers.records.pause();
    await writers.files?.pause();
    const idle = await killIdle(scene.cloud, ITEM_ID, DEMO_STAGE_MS);
    await scene.cloud.app.restart();
    writers.records.resume();
    writers.files?.resume();
    return { result: idle.applied, detail: `at epoch ${idle.applied}, nothing under way; the guest writes again` };
  });
}

async function continueAfterIdle({ terminal, signal }: DemoContext, scene: Scene, idleAt: number): Promise<void> {
  await terminal.stage("replication goes on", async (report) => {
    report("waiting for the dead holder's claim to end");
    const points = scene.store.points;
    const { applied } = await waitForApplied(scene.cloud, ITEM_ID, idleAt + 1, DEMO_STAGE_MS);
    await until(signal, "No recovery point came after the restart.", async () => scene.store.points > points);
    return { result: undefined, detail: `at epoch ${applied}, with a new point` };
  });
}

/** Chooses by seed one of the points so far that hold the interrupted batch. */
async function choosePoint(scene: Scene, interrupted: number, random: Random): Promise<RecoveryPoint> {
  const points = await scene.api.points(ITEM_ID);
  const candidates = points.filter((point) => point.epoch >= interrupted);
  const chosen = candidates[random.below(candidates.length)];
  if (chosen === undefined)
    throw new LeewardError("internal", "No recovery point holds the batch that was interrupted.", { interrupted });
  return chosen;
}

interface Trial {
  readonly context: DemoContext;
  readonly scene: Scene;
  readonly vm: RunningVm;
  readonly writers: Writers;
}

/** Restores a point, downloads its disks and proves them. `number` is 1 for the point that `--corrupt` damages. */
async function tryPoint(
  { context, scene, vm, writers }: Trial,
  point: RecoveryPoint,
  number: number,
): Promise<{ readonly proven: boolean; readonly restoredMs: number }> {
  const { terminal, options, random } = context;
  const folder = join(scene.folder, "restored", String(number));
  const startedMs = Date.now();
  await terminal.stage(`restore the point of epoch ${point.epoch}`, async () => {
    await restorePoint(
      { url: scene.cloud.app.url, functionKey: scene.cloud.secrets.functionKey },
      ITEM_ID,
      point,
      folder,
    );
    return { result: undefined, detail: `${scene.disks.length} VHDs downloaded` };
  });
  const restoredMs = Date.now() - startedMs;
  if (options.corrupt && number === 1) terminal.line(`      --corrupt flips ${await flipOneBit(folder, random)}`);
  const proven = await terminal.stage("prove it by the content oracle", async () => {
    // The guest keeps writing: the log is taken as it is now, because later records cannot be part of the point.
    const { disks } = scene;
    const log = [...vm.guest.log];
    const fileCommits = [...(writers.files?.commits ?? [])];
    const proof = await proveRestored({
      disks,
      log,
      seed: scene.seed,
      fileCommits,
      point,
      restored: downloaded(disks, folder),
    });
    if (proof.kind === "refuted") return { result: false, detail: `MISMATCH: ${proof.why}`, failed: true };
    const files = proof.files === undefined ? "" : `; ext4 mounts clean with files 1 to ${proof.files}`;
    return { result: true, detail: `all disks equal the first ${proof.records} of ${log.length} records${files}` };
  });
  return { proven, restoredMs };
}

/** Throws the error of a writer that failed, if any. */
async function failed(writers: Writers): Promise<void> {
  const still = Symbol("still writing");
  await Promise.race([writers.records.done, writers.files?.done ?? still, Promise.resolve(still)]);
}
