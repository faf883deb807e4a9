import { join } from "node:path";
import { LeewardError } from "../replication/errors.ts";
import type { DiskDescription, Position } from "../replication/position.ts";
import type { OpenedDisk } from "./disks/open-disks.ts";
import { openSpool } from "./epochs/spool.ts";
import type { SpooledDelta } from "./epochs/spool.ts";
import { openStateFile, readState } from "./epochs/state.ts";
import type { ServiceState, StateFile } from "./epochs/state.ts";
import { recoverJournal } from "./journal/recover.ts";
import type { RecoveredJournal } from "./journal/recover.ts";
import type { SeedProgress } from "./seeding/progress.ts";

/** Names inside a state folder (docs/capture.md, "State folder"). */
export function stateFolder(path: string) {
  return {
    path,
    lock: join(path, "lock"),
    state: join(path, "state.json"),
    token: join(path, "item-token"),
    session: join(path, "session"),
    frozen: join(path, "frozen"),
    status: join(path, "status.json"),
    statusSocket: join(path, "status.sock"),
    journal: join(path, "journal"),
    spool: join(path, "spool"),
  };
}

export interface OpenedState {
  readonly state: StateFile;
  readonly recovered: RecoveredJournal;
  readonly spool: readonly SpooledDelta[];
  /** Where the pass of initial replication goes on. */
  readonly seed: SeedProgress;
  /** Why everything is read again, if it is. */
  readonly seededAgain: "machine-restarted" | "journal-damaged" | undefined;
}

export interface OpenStateOptions {
  readonly folder: ReturnType<typeof stateFolder>;
  readonly itemId: string;
  /** By disk number. */
  readonly disks: readonly OpenedDisk[];
  readonly bootId: string;
  /** Asked for in a new folder only: the stream and its start position. */
  readonly register: () => Promise<Position>;
}

/** Brings images, journal and spool to one consistent state after whatever happened, before the first client is served. */
export async function openState(options: OpenStateOptions): Promise<OpenedState> {
  const { folder, bootId } = options;
  const disks = options.disks.map((disk) => disk.description);
  const images = options.disks.map((disk) => disk.image);
  const known = readState(folder.state) ?? firstState(options, disks, await options.register());
  if (known.itemId !== options.itemId || JSON.stringify(known.disks) !== JSON.stringify(disks)) {
    throw new LeewardError("state-corrupt", "The state folder belongs to another item or to other disks.", {
      stateFolder: folder.path,
      item: known.itemId,
      disks: known.disks.map((disk) => `${disk.id}:${disk.sizeBytes}`).join(" "),
    });
  }
  const recovered = recoverJournal({ ...known, folder: folder.journal, images });
  // From here on the images need none of the sealed segments: openCapture removes them after this.
  for (const image of images) await image.sync();

  // After a crash of the whole machine images and journal may each lack what the other has: everything is read again (rule 1).
  const machineCrashed = known.bootId !== bootId && !known.clean;
  const seededAgain = recovered.damaged ? "journal-damaged" : machineCrashed ? "machine-restarted" : undefined;
  const again: SeedProgress = { pass: known.seed.pass + 1, done: false, disk: 0, offsetBytes: 0 };
  const state = openStateFile(folder.state, {
    ...known,
    bootId,
    clean: false,
    ...(seededAgain === undefined ? {} : { seed: again, seedFresh: false }),
  });
  const spool = openSpool(folder.spool, known.uploaded, known.sealed);
  return { state, recovered, spool, seed: seededAgain === undefined ? recovered.seed : again, seededAgain };
}

function firstState(options: OpenStateOptions, disks: readonly DiskDescription[], start: Position): ServiceState {
  return {
    version: 1,
    itemId: options.itemId,
    disks,
    binding: start.checksum.slice(0, 32),
    sealed: start,
    sealedSegment: 0,
    sealedSequence: 0,
    lastWriteMs: 0,
    uploaded: start,
    seed: { pass: 1, done: false, disk: 0, offsetBytes: 0 },
    seedFresh: true,
    bootId: options.bootId,
    clean: true,
  };
}
