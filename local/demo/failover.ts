import { BlobServiceClient } from "@azure/storage-blob";
import { LeewardError } from "../../replication/errors.ts";
import { TARGET_ACCOUNT } from "../supervisor/cloud.ts";
import { healthAlert } from "./alert.ts";
import type { DemoContext } from "./context.ts";
import type { Job, SentRule } from "./flows-api.ts";
import { proveRestored, type RestoredDisk } from "./proof.ts";
import {
  enableBody,
  ITEM_ID,
  makeOtherMachine,
  OTHER_ID,
  targetMachineId,
  type RunningVm,
  type Scene,
  type Writers,
} from "./scene.ts";
import { until } from "./until.ts";

/** The alerts that start the failover: only the platform's report that the machine is gone. */
const alertRule = (machineId: string): SentRule => ({
  mode: "failover",
  targetIds: [machineId],
  severities: ["Sev4"],
  recoveryPointType: "LatestProcessed",
});

/**
 * Sends two Azure Monitor alerts: a user stopped the machine, which starts nothing, and an outage. Returns the job
 * started by the second.
 */
async function alarm({ terminal, signal }: DemoContext, { flows, machineId }: Scene): Promise<Pick<Job, "name">> {
  return terminal.stage("an alert of Azure Monitor", async () => {
    await flows.putAlertRule(ITEM_ID, alertRule(machineId));
    const decided = async (count: number) => {
      const decisions = await flows.decisions(ITEM_ID);
      // A decision that started a failover names its job once that exists.
      return decisions.length < count || (decisions[0]?.reason === "fire" && decisions[0].job === undefined)
        ? undefined
        : decisions;
    };
    await flows.sendAlert(healthAlert(machineId, "UserInitiated", Date.now()));
    await until(signal, "The alert was not decided on.", async () => (await decided(1)) !== undefined);
    await flows.sendAlert(healthAlert(machineId, "PlatformInitiated", Date.now()));
    let decisions = await flows.decisions(ITEM_ID);
    await until(signal, "The alert was not decided on.", async () => {
      decisions = (await decided(2)) ?? [];
      return decisions.length > 0;
    });
    const [fired, ignored] = decisions;
    if (fired?.job === undefined || ignored?.reason !== "user-initiated") {
      throw new LeewardError(
        "internal",
        `The alerts were decided as ${decisions.map(({ reason }) => reason).join(", ")}.`,
      );
    }
    const detail = `cause UserInitiated: ${ignored.reason}; cause PlatformInitiated: ${fired.reason}`;
    return { result: { name: fired.job }, detail };
  });
}

/**
 * An alert fails the machine over while its guest keeps writing; the new machine's disks are proven to be those of the
 * point that its job names.
 */
export async function failOver(
  context: DemoContext,
  scene: Scene,
  vm: RunningVm,
  writers: Writers,
): Promise<{ readonly proven: boolean; readonly tookMs: number }> {
  const { terminal } = context;
  const asked = await alarm(context, scene);
  const startedMs = Date.now();
  const job = await terminal.stage("failover to northeurope", async (report) => {
    const ended = await scene.flows.finish(asked, report);
    return {
      result: ended,
      detail: `${ended.tasks.filter(({ state }) => state === "Succeeded").length} tasks done, the new machine runs`,
    };
  });
  const tookMs = Date.now() - startedMs;
  await writers.files?.stop();
  await writers.records.stop();
  const point = (await scene.api.points(ITEM_ID)).find(({ pointId }) => pointId === job.recoveryPointId);
  if (point === undefined)
    throw new LeewardError("internal", "The job names no recovery point of the item.", { job: job.name });
  const proven = await terminal.stage("prove the new machine's disks", async () => {
    const restored = targetDisks(scene);
    const { log } = vm.guest;
    const proof = await proveRestored({
      disks: scene.disks,
      log,
      seed: scene.seed,
      fileCommits: writers.files?.commits ?? [],
      point,
      restored,
    });
    if (proof.kind === "refuted") return { result: false, detail: `MISMATCH: ${proof.why}`, failed: true };
    const files = proof.files === undefined ? "" : `; ext4 mounts clean with files 1 to ${proof.files}`;
    const detail = `${restored.size} disks equal the first ${proof.records} of ${log.length} records, the point of epoch ${point.epoch}${files}`;
    return { result: true, detail };
  });
  return { proven, tookMs };
}

/** The new machine's disks, by the names of their sources: the plan keeps the order, the OS disk first. */
function targetDisks(scene: Scene): ReadonlyMap<string, RestoredDisk> {
  const machine = scene.cloud.resourceManager.machineOf(targetMachineId(scene));
  if (machine?.disks.length !== scene.disks.length)
    throw new LeewardError("internal", "The new machine does not run with all its disks.");
  return new Map(scene.disks.map(({ id }, at) => [id, { path: machine.disks[at]?.path ?? "", format: "raw" }]));
}

/**
 * Protects a second machine and disables its protection again, while the app is killed: nothing of it may be left.
 * Returns the text for its stage.
 */
export async function enableAndDisable({ cloud, flows }: Scene): Promise<string> {
  const silent = (): void => undefined;
  const before = await leewardResources(cloud);
  await flows.finish(await flows.enable(OTHER_ID, enableBody(await makeOtherMachine(cloud))), silent);
  await flows.finish(await flows.disable(OTHER_ID), silent);
  const ledger = await ledgerOf(cloud, OTHER_ID);
  if (ledger.length > 0)
    throw new LeewardError("internal", `The ledger of ${OTHER_ID} is not empty: ${ledger.join(", ")}.`);
  const left = (await leewardResources(cloud)).filter((name) => !before.includes(name));
  if (left.length > 0) throw new LeewardError("internal", `Disabling ${OTHER_ID} left ${left.join(", ")}.`);
  return `${OTHER_ID}: the ledger is empty, its containers are gone`;
}

const HISTORY = [`leeward-management-${OTHER_ID}`, `leeward-item-${OTHER_ID}`];

/** The containers of the second item that may hold data: what became of it stays as history. */
async function leewardResources(cloud: Scene["cloud"]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { connectionString } of cloud.storage.accounts) {
    for await (const { name } of BlobServiceClient.fromConnectionString(connectionString).listContainers()) {
      if (name.includes(OTHER_ID) && !HISTORY.includes(name)) found.push(name);
    }
  }
  return found;
}

async function ledgerOf({ storage }: Scene["cloud"], itemId: string): Promise<readonly string[]> {
  const service = BlobServiceClient.fromConnectionString(storage.account(TARGET_ACCOUNT).connectionString);
  const bytes = await service
    .getContainerClient(`leeward-management-${itemId}`)
    .getBlobClient("ledger.json")
    .downloadToBuffer();
  const { body } = JSON.parse(bytes.toString("utf8")) as {
    readonly body: { readonly entries: readonly { readonly id: string }[] };
  };
  return body.entries.map(({ id }) => id);
}
