import { createExtentMap, type ExtentMap } from "../../replication/delta/extents.ts";
import type { JournalRecord } from "../journal/record.ts";

/**
 * The newest content of each sector that one epoch touches, by disk; data runs point into the epoch's segment. Memory
 * holds only this, never the data.
 */
export interface EpochIndex {
  readonly disks: readonly ExtentMap<"segment">[];
  add(record: Pick<JournalRecord, "kind" | "disk" | "offsetBytes" | "lengthBytes">, dataOffsetBytes: number): void;
  /** Extents of all disks (EPOCH_MAX_EXTENTS bounds it). */
  count(): number;
}

export function createEpochIndex(diskCount: number): EpochIndex {
  const disks = Array.from({ length: diskCount }, () => createExtentMap<"segment">());
  return {
    disks,
    add: ({ kind, disk, offsetBytes, lengthBytes }, dataOffsetBytes) => {
      switch (kind) {
        case "write":
        case "seed":
          disks[disk]?.insert({
            kind: "data",
            offsetBytes,
            lengthBytes,
            source: "segment",
            sourceOffsetBytes: dataOffsetBytes,
          });
          return;
        case "zero":
        case "seed-zero":
          disks[disk]?.insert({ kind: "zero", offsetBytes, lengthBytes });
          return;
        case "seed-done":
        case "application-mark":
      }
    },
    count: () => disks.reduce((sum, disk) => sum + disk.count(), 0),
  };
}
