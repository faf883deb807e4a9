import { basename, join } from "node:path";
import type { SpooledDelta } from "../epochs/spool.ts";
import type { Files } from "../system/files.ts";

/**
 * Deltas that the cache has and the target has not applied yet, oldest first: one that is lost or damaged on its way
 * can be sent again. They have their own folder, take only space that nothing else needs, and last until the service
 * restarts.
 */
export interface KeptDeltas {
  readonly bytes: number;
  /** Moves the file out of the spool. */
  keep(delta: SpooledDelta): void;
  find(epoch: number): SpooledDelta | undefined;
  /** The target has applied everything up to here. */
  applied(epoch: number): void;
  /** Removes the oldest until the rest fits into the available space. */
  trim(): void;
  /** Their stream is over. */
  forget(): void;
}

/** Removes earlier content of the folder. */
export function openKeptDeltas(files: Files, folder: string, roomBytes: () => number): KeptDeltas {
  for (const name of files.list(folder)) files.remove(join(folder, name));
  let kept: readonly SpooledDelta[] = [];
  let bytes = 0;
  const removeFirst = (count: number): void => {
    for (const { path, lengthBytes } of kept.slice(0, count)) {
      files.remove(path);
      bytes -= lengthBytes;
    }
    kept = kept.slice(count);
  };
  const trim = (): void => {
    if (kept.length === 0) return;
    const room = roomBytes();
    for (let excess = bytes - room; kept.length > 0 && excess > 0; excess = bytes - room) removeFirst(1);
  };
  return {
    get bytes() {
      return bytes;
    },
    keep: (delta) => {
      const path = join(folder, basename(delta.path));
      try {
        files.rename(delta.path, path);
      } catch {
        // It is certainly not needed.
        return files.remove(delta.path);
      }
      kept = [...kept, { ...delta, path }];
      bytes += delta.lengthBytes;
      trim();
    },
    find: (epoch) => kept.find(({ end }) => end.epoch === epoch),
    applied: (epoch) => {
      removeFirst(kept.filter(({ end }) => end.epoch <= epoch).length);
      trim();
    },
    trim,
    forget: () => removeFirst(kept.length),
  };
}
