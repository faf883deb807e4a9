import { fork, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { openActivity, type CaptureMode } from "../../../mobility/disks/activity.ts";
import { readState, type ServiceState } from "../../../mobility/epochs/state.ts";
import { readSegment, segmentNumber, type IntactRecord } from "../../../mobility/journal/segment.ts";
import { nodeFiles } from "../../../mobility/system/node-files.ts";
import { deltaName } from "../../../replication/names.ts";
import { replay } from "../../mobility/replay.ts";
import { until, type World } from "./world.ts";

const FILES = nodeFiles();

/** The service as a process of its own, ready for clients. */
export async function startChild(world: World): Promise<ChildProcess> {
  const child = fork("mobility/main.ts", ["--config", world.configPath], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let ready = false;
  child.on("message", (message) => (ready ||= (message as { readonly kind: string }).kind === "ready"));
  await until("the service is ready", () => ready);
  return child;
}

function stateOf(world: World): ServiceState {
  const state = readState(FILES, join(world.folder, "state", "state.json"));
  if (state === undefined) throw new Error("there is no state file");
  return state;
}

/** Whether the service that is dead now had a log. */
export function activityOf(world: World): CaptureMode {
  const activity = openActivity({
    files: FILES,
    path: join(world.folder, "state", "activity"),
    binding: stateOf(world).binding,
  });
  const { mode } = activity;
  activity.close();
  return mode;
}

/**
 * The deltas and what the journal holds behind them make the images, with the records redone that a kill kept from
 * them. Nothing of the service runs.
 */
export function expectJournalIsImage(world: World): void {
  const state = stateOf(world);
  const blobs = new Map(world.cloud.blobs);
  for (const name of world.spoolFiles()) {
    const [, stream, epoch] = /^(\d{10})-(\d{12})-[0-9a-f]{64}\.delta$/.exec(name) ?? [];
    if (epoch !== undefined)
      blobs.set(deltaName(Number(stream), Number(epoch)), readFileSync(join(world.folder, "state", "spool", name)));
  }
  const { images } = replay(blobs, state.sealed.epoch);
  // Before the first delta the target's disks are zeros: a kill may come before anything was sealed.
  const target = state.disks.map(({ sizeBytes }, disk) => images[disk] ?? Buffer.alloc(sizeBytes));
  const redone = state.disks.map((_, index) => world.image(index));
  const folder = join(world.folder, "state", "journal");
  for (const name of readdirSync(folder).toSorted()) {
    for (const record of readSegment(FILES, join(folder, name)).records) {
      apply(record, redone);
      if ((segmentNumber(name) ?? 0) > state.sealedSegment) apply(record, target);
    }
  }
  expect(target.map((image, disk) => image.equals(redone[disk] ?? Buffer.alloc(0)))).toEqual(target.map(() => true));
}

function apply({ header, data }: IntactRecord, images: readonly Buffer[]): void {
  const { kind, disk, offsetBytes, lengthBytes } = header;
  if (kind === "write") data.copy(images[disk] ?? Buffer.alloc(0), offsetBytes);
  if (kind === "zero") images[disk]?.fill(0, offsetBytes, offsetBytes + lengthBytes);
}
