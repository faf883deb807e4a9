import { hasCode } from "../../replication/errors.ts";
import { PROGRESS_RECORD } from "../../replication/names.ts";
import type { ItemStores, RecordStore, TargetDisk, TargetDisks } from "../../replication/ports.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { decodeProgress } from "../../replication/records/progress.ts";
import type { Mutant } from "./history.ts";

/**
 * Stores and adapters that break one promise each: the negative controls of the simulation. With each of them some
 * history must go wrong, or the simulation would prove nothing about that promise.
 */
export const MUTANTS: Readonly<Record<string, Mutant>> = {
  "no fence: the store takes page writes of every generation": {
    store: (inner) => ({
      ...inner,
      disks: {
        ...inner.disks,
        writePages: (disk, offsetBytes, bytes) =>
          inner.disks.writePages(disk, offsetBytes, bytes, Number.MAX_SAFE_INTEGER),
        clearPages: (disk, offsetBytes, lengthBytes) =>
          inner.disks.clearPages(disk, offsetBytes, lengthBytes, Number.MAX_SAFE_INTEGER),
      },
    }),
  },
  "any etag: a snapshot is taken whatever changed since": { adapter: withDisks(({ disks }) => believing(disks)) },
  "retries: the adapter sends a page write again in the same generation": {
    adapter: withDisks(({ disks }) => ({
      writePages: (disk, offsetBytes, bytes, generation) =>
        insist(() => disks.writePages(disk, offsetBytes, bytes, generation)),
      clearPages: (disk, offsetBytes, lengthBytes, generation) =>
        insist(() => disks.clearPages(disk, offsetBytes, lengthBytes, generation)),
    })),
  },
  "patience without end: what the store was too busy for is sent again, and no new generation ends the batch": {
    adapter: withDisks(({ disks }) => ({
      writePages: (disk, offsetBytes, bytes, generation) =>
        insist(() => disks.writePages(disk, offsetBytes, bytes, generation), "store-busy"),
      clearPages: (disk, offsetBytes, lengthBytes, generation) =>
        insist(() => disks.clearPages(disk, offsetBytes, lengthBytes, generation), "store-busy"),
    })),
  },
  "swallowed outcomes: an unknown outcome of a page write counts as success": {
    adapter: withDisks(({ disks }) => ({
      writePages: (disk, offsetBytes, bytes, generation) =>
        ignore(() => disks.writePages(disk, offsetBytes, bytes, generation)),
      clearPages: (disk, offsetBytes, lengthBytes, generation) =>
        ignore(() => disks.clearPages(disk, offsetBytes, lengthBytes, generation)),
    })),
  },
  "no intent: progress is read as if no batch had been begun": {
    adapter: withRecords((records) => ({
      read: async (name, maxBytes) => {
        const stored = await records.read(name, maxBytes);
        if (stored === undefined || name !== PROGRESS_RECORD) return stored;
        const progress = decodeProgress(stored.bytes);
        return { ...stored, bytes: encodeRecord({ ...progress, intent: progress.applied }) };
      },
    })),
  },
  "no journal: some of its deltas are acknowledged and lost": {
    store: withRecords((records) => {
      let count = 0;
      return {
        create: (name, bytes) => {
          count += name.startsWith("journal/") ? 1 : 0;
          return name.startsWith("journal/") && count % 5 === 0
            ? Promise.resolve('"lost"')
            : records.create(name, bytes);
        },
      };
    }),
  },
  "no compare: progress is replaced whatever its etag": {
    store: withRecords((records) => ({
      replace: async (name, bytes) => {
        const stored = await records.read(name);
        return stored === undefined ? undefined : records.replace(name, bytes, stored.etag);
      },
    })),
  },
};

function withDisks(change: (inner: ItemStores) => Partial<TargetDisks>): (inner: ItemStores) => ItemStores {
  return (inner) => ({ ...inner, disks: { ...inner.disks, ...change(inner) } });
}

function withRecords(change: (records: RecordStore) => Partial<RecordStore>): (inner: ItemStores) => ItemStores {
  return (inner) => {
    const changed = new Map<string, RecordStore>();
    return {
      ...inner,
      records: (itemId) => {
        const records = inner.records(itemId);
        const found = changed.get(itemId) ?? { ...records, ...change(records) };
        changed.set(itemId, found);
        return found;
      },
    };
  };
}

/** Properties always show the worker's own generation, and a snapshot always finds the etag that it wants. */
function believing(disks: TargetDisks): Pick<TargetDisks, "raiseSequenceNumber" | "properties" | "snapshot"> {
  const raised = new Map<string, number>();
  const key = (disk: TargetDisk): string => disk.diskId;
  return {
    raiseSequenceNumber: async (disk, generation) => {
      raised.set(key(disk), generation);
      return disks.raiseSequenceNumber(disk, generation);
    },
    properties: async (disk) => {
      const found = await disks.properties(disk);
      return found === undefined
        ? undefined
        : { ...found, sequenceNumber: raised.get(key(disk)) ?? found.sequenceNumber };
    },
    snapshot: async (disk, etag, pointId) => {
      const found = await disks.properties(disk);
      return disks.snapshot(disk, found?.etag ?? etag, pointId);
    },
  };
}

const INSIST_MAX_TRIES = 5;

async function insist(
  write: () => Promise<void>,
  on: "outcome-unknown" | "store-busy" = "outcome-unknown",
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await write();
    } catch (error) {
      if (tries === INSIST_MAX_TRIES || !hasCode(error, on)) throw error;
    }
  }
}

async function ignore(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!hasCode(error, "outcome-unknown")) throw error;
  }
}
