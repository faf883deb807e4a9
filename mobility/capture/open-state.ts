import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import type { DiskDescription, Position } from "../../replication/position.ts";
import { openActivity, type Activity } from "../disks/activity.ts";
import { openDirtyMap, type DirtyMap } from "../disks/dirty-map.ts";
import type { OpenedDisk } from "../disks/open-disks.ts";
import { openSpool, type SpooledDelta } from "../epochs/spool.ts";
import {
  openStateFile,
  readState,
  type ResynchronizationReason,
  type ServiceState,
  type StateFile,
} from "../epochs/state.ts";
import type { Files } from "../system/files.ts";
import { recoverJournal, type RecoveredJournal } from "./recover.ts";

/** Names inside a state folder (docs/capture.md, "State folder"). */
export function stateFolder(path: string) {
  return {
    path,
    lock: join(path, "lock"),
    state: join(path, "state.json"),
    token: join(path, "item-token"),
    session: join(path, "session"),
    cacheAccount: join(path, "cache-account"),
    frozen: join(path, "frozen"),
    status: join(path, "status.json"),
    statusSocket: join(path, "status.sock"),
    journal: join(path, "journal"),
    spool: join(path, "spool"),
    kept: join(path, "kept"),
    dirtyMap: join(path, "dirty-map"),
    activity: join(path, "activity"),
  };
}

export interface OpenedState {
  readonly state: StateFile;
  readonly recovered: RecoveredJournal;
  readonly spool: readonly SpooledDelta[];
  readonly map: DirtyMap;
  readonly activity: Activity;
  /** Why the disks are read again, if they are. */
  readonly seededAgain: ResynchronizationReason | undefined;
}

export interface OpenStateOptions {
  readonly files: Files;
  readonly folder: ReturnType<typeof stateFolder>;
  readonly itemId: string;
  /** By disk number. */
  readonly disks: readonly OpenedDisk[];
  readonly bootId: string;
  /** Called for a new folder only: returns the start position of the stream. */
  readonly register: () => Promise<Position>;
  /** Tests make the activity log small. */
  readonly activity?: { readonly regionBytes: number; readonly maxRegions: number };
}

/**
 * Brings images, journal, dirty map and spool to one consistent state after any crash, before the first client is
 * served.
 */
export async function openState(options: OpenStateOptions): Promise<OpenedState> {
  const { files, folder, bootId } = options;
  const disks = options.disks.map((disk) => disk.description);
  const images = options.disks.map((disk) => disk.image);
  const read = readState(files, folder.state);
  // Files of a first start that died before it wrote its state file may belong to another stream.
  if (read === undefined) for (const path of [folder.dirtyMap, folder.activity]) files.remove(path);
  const known = read ?? firstState(options, disks, await options.register());
  if (known.itemId !== options.itemId || JSON.stringify(known.disks) !== JSON.stringify(disks)) {
    throw new LeewardError("state-corrupt", "The state folder belongs to another item or to other disks.", {
      stateFolder: folder.path,
      item: known.itemId,
      disks: known.disks.map((disk) => `${disk.id}:${disk.sizeBytes}`).join(" "),
    });
  }
  const { binding } = known;
  const { map, isNew, damagedPages } = openDirtyMap({
    files,
    path: folder.dirtyMap,
    binding,
    sizesBytes: disks.map((disk) => disk.sizeBytes),
  });
  const activity = openActivity({ files, path: folder.activity, binding, ...options.activity });
  const { redoFromSequence } = activity;
  const recovered = recoverJournal({ ...known, files, folder: folder.journal, images, redoFromSequence });
  // From here on the images need none of the sealed segments: openCapture removes them later.
  for (const image of images) await image.sync();

  const machineCrashed = known.bootId !== bootId && !known.clean;
  if (recovered.damaged || known.isMarkingAll === true) map.markAll();
  // After a crash of the whole machine, images and journal may each lack what the other has, but only in the regions of
  // the activity log (rule 1).
  else if (machineCrashed)
    for (const region of activity.regions()) map.mark(region.disk, region.offsetBytes, region.lengthBytes);
  await map.sync();
  const seededAgain = reasonOf({
    damaged: recovered.damaged,
    missing: isNew && read !== undefined,
    pages: damagedPages,
    crashed: machineCrashed && activity.regions().length > 0,
  });
  const { seed } = recovered;
  const again = {
    // The end of a pass in an unsealed segment: that pass is complete, so what is read again belongs to a new one.
    seed: seed.done ? { pass: seed.pass + 1, done: false } : { pass: known.seed.pass, done: known.seed.done },
    seedFresh: false,
    resynchronizationReason: seededAgain,
  };
  // Segments removed now may come back after a crash of the machine: the images have them, and newer ones.
  const imagesSegment = Math.max(known.imagesSegment ?? 0, ...recovered.sealed);
  const started = { bootId, clean: false, isMarkingAll: false, imagesSegment };
  const state = openStateFile(files, folder.state, {
    ...known,
    ...started,
    ...(seededAgain === undefined ? {} : again),
  });
  const spool = openSpool(files, folder.spool, known.uploaded, known.sealed);
  return { state, recovered, spool, map, activity, seededAgain };
}

interface Lost {
  readonly damaged: boolean;
  readonly missing: boolean;
  readonly pages: number;
  readonly crashed: boolean;
}

function reasonOf(lost: Lost): ResynchronizationReason | undefined {
  if (lost.damaged) return "journal-damaged";
  if (lost.missing) return "dirty-map-missing";
  if (lost.pages > 0) return "dirty-map-damaged";
  return lost.crashed ? "machine-restarted" : undefined;
}

function firstState(options: OpenStateOptions, disks: readonly DiskDescription[], start: Position): ServiceState {
  return {
    version: 1,
    itemId: options.itemId,
    disks,
    binding: start.checksum.slice(0, 32),
    start,
    sealed: start,
    sealedSegment: 0,
    sealedSequence: 0,
    lastWriteMs: 0,
    uploaded: start,
    seed: { pass: 1, done: false },
    seedFresh: true,
    bootId: options.bootId,
    clean: true,
  };
}
