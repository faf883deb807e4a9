import type { Mutant } from "./mutant.ts";

const JOURNAL = "test/mobility/journal.test.ts";
const FLUSH = "test/mobility/flush.test.ts";
const VOLUME = "test/mobility/volume.test.ts";
const MAP = "test/mobility/dirty-map.test.ts";
const DEATHS = "test/mobility/journal-deaths.test.ts";
const POWER = "test/mobility/power.test.ts";
const STATE = "test/mobility/state-file.test.ts";
const DURABLE = "test/mobility/durable-file.test.ts";

/** Faults of what the service keeps and how durable it is: the journal, the images, the maps. */
export const CAPTURE_MUTANTS: readonly Mutant[] = [
  {
    name: "the image is written before its record",
    why: "after a kill the image holds what no delta does (rule 4)",
    file: "mobility/capture/volume.ts",
    find: `yield* this.#recordSteps(
        { kind: "write", disk: index, pass: 0, offsetBytes: from, lengthBytes: piece.length },
        piece,
      );
      this.#change(() => image.write(piece, from));`,
    replace: `this.#change(() => image.write(piece, from));
      yield* this.#recordSteps(
        { kind: "write", disk: index, pass: 0, offsetBytes: from, lengthBytes: piece.length },
        piece,
      );`,
    tests: [VOLUME],
  },
  {
    name: "a short write reaches the image before its record",
    why: "after a kill the image holds what no delta does (rule 4)",
    file: "mobility/capture/volume.ts",
    find: `    const isFree = lock.isFree(offsetBytes, endBytes);
    if (!isFree`,
    replace: `    const isFree = lock.isFree(offsetBytes, endBytes);
    if (isFree) this.#change(() => image.write(data, offsetBytes));
    if (!isFree`,
    tests: [VOLUME],
  },
  {
    name: "FUA of a write is not waited for",
    why: "what the guest believes to be durable is lost at a power cut",
    file: "mobility/capture/volume.ts",
    find: `    this.#change(() => image.write(data, offsetBytes));
    return fua ? recorder.sync(index) : undefined;`,
    replace: `    this.#change(() => image.write(data, offsetBytes));
    return fua ? undefined : undefined;`,
    tests: [VOLUME],
  },
  {
    name: "FUA of a write that had to wait is not waited for",
    why: "what the guest believes to be durable is lost at a power cut",
    file: "mobility/capture/volume.ts",
    find: `    if (fua) await recorder.sync(index);
`,
    replace: `    void [fua, recorder, index];
`,
    tests: [VOLUME],
  },
  {
    name: "overlapping writes do not wait for each other",
    why: "image and log disagree about which came last (rule 1)",
    file: "mobility/capture/volume.ts",
    find: `    const release = await lock.take(startBytes, endBytes);`,
    replace: `    const release = await lock.take(startBytes, startBytes);
    void endBytes;`,
    tests: [VOLUME],
  },
  {
    name: "an unaligned write forgets what stands around it",
    why: "neighbours of a sector become what lay in memory",
    file: "mobility/capture/volume.ts",
    find: `  image.read(whole.subarray(whole.length - SECTOR_BYTES), to - SECTOR_BYTES);
`,
    replace: ``,
    tests: [VOLUME],
  },
  {
    name: "a failed image takes writes on",
    why: "the log goes on without the disk that it describes",
    file: "mobility/capture/volume.ts",
    find: `      this.#options.recorder.fail(error);
`,
    replace: ``,
    tests: [VOLUME],
  },
  {
    name: "a flush does not sync the journal",
    why: "acknowledged writes are lost at a power cut (rule 4)",
    file: "mobility/journal/journal.ts",
    find: `        await this.#files.datasyncLater(segment.file);
`,
    replace: ``,
    tests: [FLUSH],
  },
  {
    name: "a flush does not sync the folder of a new segment",
    why: "acknowledged writes are in a file without a name (rule 4)",
    file: "mobility/journal/journal.ts",
    find: `if (segments.some((segment) => segment.unnamed)) await this.#files.syncLater(this.#folder);`,
    replace: ``,
    tests: [FLUSH],
  },
  {
    name: "a flush counts a sync that began before the record",
    why: "acknowledged writes are lost at a power cut (rule 4)",
    file: "mobility/journal/journal.ts",
    find: `    this.#syncedSequence = target;`,
    replace: `    this.#syncedSequence = Math.max(target, this.#nextSequence - 1);`,
    tests: [FLUSH],
  },
  {
    name: "a journal that could not be synced is tried again",
    why: "the kernel has dropped what it could not write, and the second sync says that all is well",
    file: "mobility/journal/journal.ts",
    find: `      if (this.#failure !== undefined) throw this.#failure;
      this.#running ??=`,
    replace: `      this.#running ??=`,
    also: [
      {
        file: "mobility/journal/journal.ts",
        find: `      this.#failure ??= new LeewardError(
        "capture-failed",
        \`The journal cannot be made durable: \${reasonOf(cause)}.\`,
        {},
        { cause },
      );
      throw this.#failure;`,
        replace: `      throw new LeewardError(
        "capture-failed",
        \`The journal cannot be made durable: \${reasonOf(cause)}.\`,
        {},
        { cause },
      );`,
      },
    ],
    tests: [FLUSH],
  },
  {
    name: "the torn tail of a failed append stays",
    why: "a kill then looks like damage, and everything is read again",
    file: "mobility/journal/journal.ts",
    find: `    files.truncate(segment.file, segment.lengthBytes);
    return undefined;`,
    replace: `    return undefined;`,
    tests: [DEATHS],
  },
  {
    name: "the sequence of records inside a segment is ignored",
    why: "what an older segment left on the medium is taken for the tail of a new one",
    file: "mobility/journal/segment.ts",
    find: `if (record === undefined || record.sequence !== sequence) break;`,
    replace: `if (record === undefined) break;`,
    tests: [DEATHS],
  },
  {
    name: "the data of a record is believed without its checksum",
    why: "damaged bytes are redone onto the image and sent (rule 6)",
    file: "mobility/journal/segment.ts",
    find: `if (end > bytes.length || crc32(bytes.subarray(dataOffsetBytes, end)) !== record.dataChecksum) break;`,
    replace: `if (end > bytes.length || crc32(bytes.subarray(dataOffsetBytes, end)) < 0) break;`,
    tests: [JOURNAL],
  },
  {
    name: "the header of a record is believed without its checksum",
    why: "damaged offsets put data in the wrong place (rule 6)",
    file: "mobility/journal/record.ts",
    find: `if (crc32(bytes.subarray(0, AT.checksum)) !== bytes.readUInt32LE(AT.checksum)) return undefined;`,
    replace: ``,
    tests: [JOURNAL],
  },
  {
    name: "after a kill nothing is redone onto the image",
    why: "the log holds what the image lacks, and the guest reads old data",
    file: "mobility/capture/recover.ts",
    find: `for (const record of missed) redo(record, options.images, path);`,
    replace: ``,
    tests: [JOURNAL],
  },
  {
    name: "a torn tail is not cut off",
    why: "the next start calls it damage, and everything is read again",
    file: "mobility/capture/recover.ts",
    find: `if (content.torn && isLast) cutFile(files, path, content.intactBytes);`,
    replace: `void cutFile;`,
    tests: [JOURNAL],
  },
  {
    name: "a whole segment that is missing is no damage",
    why: "the target is called an image without what stood in it (rule 1)",
    file: "mobility/capture/recover.ts",
    find: `if (first !== nextSequence && first !== options.redoFromSequence) damaged = true;`,
    replace: ``,
    tests: [DEATHS],
  },
  {
    name: "a torn segment in the middle is no damage of itself",
    why: "records are missing from the log",
    file: "mobility/capture/recover.ts",
    find: `if (content.torn && !isLast) damaged = true;`,
    replace: ``,
    tests: [JOURNAL, DEATHS],
    equivalent:
      "records behind the tear are missing, so the next segment begins with a sequence that does not follow, and that is called damage too; a torn segment without a next one is the last",
  },
  {
    name: "recovered segments are not synced",
    why: "a flush after the start says that they are durable, and a power cut takes them",
    file: "mobility/capture/recover.ts",
    find: `      syncPath(files, path);
`,
    replace: ``,
    tests: [POWER],
  },
  {
    name: "the folder of recovered segments is not synced",
    why: "a flush after the start says that they are durable, and a power cut takes their names",
    file: "mobility/capture/recover.ts",
    find: `if (unsealed.length > 0) syncPath(files, options.folder);`,
    replace: ``,
    tests: [POWER],
  },
  {
    name: "a sealed segment that a crash brought back is redone",
    why: "old content goes over what the guest wrote since",
    file: "mobility/capture/recover.ts",
    find: `if (number <= (options.imagesSegment ?? 0)) {`,
    replace: `if (number < 0) {`,
    tests: [JOURNAL],
  },
  {
    name: "another item's journal is taken",
    why: "two machines mix",
    file: "mobility/capture/recover.ts",
    find: `content.header.binding !== options.binding`,
    replace: `content.header.binding === ""`,
    tests: [JOURNAL],
  },
  {
    name: "a durable file is not synced before it takes its name",
    why: "after a power cut the spool holds an empty delta under a good name",
    file: "mobility/system/durable-file.ts",
    find: `    flush();
    files.sync(file);`,
    replace: `    flush();`,
    tests: [DURABLE],
  },
  {
    name: "the folder of a durable file is not synced",
    why: "after a power cut a sealed delta is gone while its segment was removed (rule 4)",
    file: "mobility/system/durable-file.ts",
    find: `  files.rename(temporaryPath, path);
  syncFolder(files, dirname(path));`,
    replace: `  files.rename(temporaryPath, path);`,
    tests: [DURABLE],
  },
  {
    name: "the state file is not synced before it takes its name",
    why: "after a power cut the service has no state",
    file: "mobility/system/durable-file.ts",
    find: `    await files.syncLater(file);
`,
    replace: ``,
    tests: [DURABLE],
  },
  {
    name: "the folder of the state file is not synced",
    why: "after a power cut the state is older than what was removed by it",
    file: "mobility/system/durable-file.ts",
    find: `    await files.syncLater(folder);
`,
    replace: ``,
    tests: [DURABLE],
  },
  {
    name: "the first state file is not synced",
    why: "after a power cut the service has no state",
    file: "mobility/system/durable-file.ts",
    find: `if (durable) files.sync(file);`,
    replace: ``,
    tests: [DURABLE],
  },
  {
    name: "the folder of the state folder is not synced",
    why: "after a power cut the machine has no state folder, and is registered already",
    file: "mobility/system/durable-file.ts",
    find: `      syncFolder(files, above);
`,
    replace: ``,
    tests: [DURABLE],
  },
  {
    name: "a new dirty map is not synced",
    why: "after a power cut it is damaged, and everything is read again",
    file: "mobility/disks/dirty-map.ts",
    find: `    files.sync(file);
  } finally`,
    replace: `  } finally`,
    tests: [MAP],
  },
  {
    name: "the folder of a new dirty map is not synced",
    why: "after a power cut it is missing, and everything is read again",
    file: "mobility/disks/dirty-map.ts",
    find: `  files.rename(temporary, options.path);
  syncFolder(files, dirname(options.path));`,
    replace: `  files.rename(temporary, options.path);`,
    tests: [MAP],
  },
  {
    name: "a damaged page of the dirty map is clean",
    why: "what was written there is never sent (rule 6)",
    file: "mobility/disks/dirty-map.ts",
    find: `          changeBits(bytes, PAGE_HEADER_BYTES, 0, Math.min(PAGE_GRAINS, disk.grains - index * PAGE_GRAINS), true);
          writeAll`,
    replace: `          writeAll`,
    tests: [MAP],
  },
  {
    name: "a grain is clean when a part of it was sent",
    why: "the rest of it is never sent",
    file: "mobility/disks/dirty-map.ts",
    find: `this.#change(disk, Math.ceil(fromBytes / DIRTY_GRAIN_BYTES), Math.floor(toBytes / DIRTY_GRAIN_BYTES), false);`,
    replace: `this.#change(disk, Math.floor(fromBytes / DIRTY_GRAIN_BYTES), Math.ceil(toBytes / DIRTY_GRAIN_BYTES), false);`,
    tests: [MAP],
  },
  {
    name: "a range is hot before that is durable",
    why: "after a crash of the machine its writes are not read again",
    file: "mobility/disks/activity.ts",
    find: `    for (const region of cold) this.#wanted.add(region);
    await this.#persist();`,
    replace: `    for (const region of cold) this.#wanted.add(region);
    for (const region of cold) this.#hot.set(region, 0);
    await this.#persist();`,
    tests: [MAP],
  },
  {
    name: "a region cools before what it covers is on the medium",
    why: "after a crash of the machine its writes are not read again",
    file: "mobility/disks/activity.ts",
    find: `if (!(await settle())) return false;`,
    replace: `void settle;`,
    tests: [MAP],
  },
  {
    name: "the older of two slots of the activity log is believed",
    why: "regions that became hot last are not read again after a crash",
    file: "mobility/disks/activity.ts",
    find: `.toSorted((left, right) => right.sequence - left.sequence);`,
    replace: `.toSorted((left, right) => left.sequence - right.sequence);`,
    tests: [MAP],
  },
  {
    name: "after a crash of the machine nothing is read again",
    why: "what the page cache lost is missing from the target (rule 1)",
    file: "mobility/capture/open-state.ts",
    find: `const machineCrashed = known.bootId !== bootId && !known.clean;`,
    replace: `const machineCrashed = known.bootId === bootId && bootId === "" && !known.clean;`,
    tests: [POWER],
  },
  {
    name: "a damaged journal marks nothing",
    why: "what it lost is missing from the target (rule 1)",
    file: "mobility/capture/open-state.ts",
    find: `if (recovered.damaged || known.isMarkingAll === true) map.markAll();`,
    replace: `if (known.isMarkingAll === true) map.markAll();`,
    tests: [DEATHS],
  },
  {
    name: "a death between a request to read everything and its marks forgets them",
    why: "the pass ends at once, and the target is called an image (rule 1)",
    file: "mobility/capture/open-state.ts",
    find: `if (recovered.damaged || known.isMarkingAll === true) map.markAll();`,
    replace: `if (recovered.damaged) map.markAll();`,
    tests: [STATE],
  },
  {
    name: "a state folder of other disks is taken",
    why: "pages of one disk are sent as those of another",
    file: "mobility/capture/open-state.ts",
    find: `known.itemId !== options.itemId || JSON.stringify(known.disks) !== JSON.stringify(disks)`,
    replace: `known.itemId !== options.itemId`,
    tests: [STATE],
  },
  {
    name: "two services share a state folder",
    why: "they seal two histories of one machine",
    file: "mobility/system/folder-lock.ts",
    find: `if (owner !== undefined && isAlive(processes, owner)) {`,
    replace: `if (owner !== undefined && !isAlive(processes, owner)) {`,
    tests: ["test/mobility/service-in-memory.test.ts"],
  },
];
