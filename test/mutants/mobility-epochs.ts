import type { Mutant } from "./mutant.ts";

const JOURNAL = "test/mobility/journal.test.ts";
const GIVEN_UP = "test/mobility/given-up.test.ts";
const READING = "test/mobility/reading.test.ts";
const POWER = "test/mobility/power.test.ts";
const STATE = "test/mobility/state-file.test.ts";
const STREAM = "test/mobility/stream.test.ts";
const SEAL = "test/mobility/seal.test.ts";

/** Faults of epochs: how they are cut, sealed, given up and seeded. */
export const EPOCH_MUTANTS: readonly Mutant[] = [
  {
    name: "an epoch has any number of extents",
    why: "no reader takes its delta, and the item stops",
    file: "mobility/capture/write-log.ts",
    find: `index.count() + 2 > EPOCH_MAX_EXTENTS`,
    replace: `index.count() < 0`,
    tests: ["test/mobility/write-log.test.ts"],
  },
  {
    name: "an epoch holds any number of bytes",
    why: "no reader takes its delta, and the item stops",
    file: "mobility/capture/write-log.ts",
    find: `journal.openBytes + RECORD_HEADER_BYTES + data.length > EPOCH_MAX_DATA_BYTES`,
    replace: `journal.openBytes + RECORD_HEADER_BYTES + data.length < 0`,
    tests: ["test/mobility/write-log.test.ts"],
  },
  {
    name: "an epoch is as old as it likes",
    why: "the RPO of an idle machine grows without end",
    file: "mobility/capture/write-log.ts",
    find: `stopAge ??= options.clock.after(options.epochMaxAgeMs, cut);`,
    replace: `stopAge ??= options.clock.after(options.epochMaxAgeMs * 1_000_000, cut);`,
    tests: ["test/mobility/write-log.test.ts"],
  },
  {
    name: "the times of writes run backwards with the clock",
    why: "no reader takes the delta",
    file: "mobility/capture/write-log.ts",
    find: `lastMs = Math.max(isWrong ? 0 : lastMs, options.clock.now());`,
    replace: `lastMs = Math.max(0, options.clock.now());`,
    tests: ["test/mobility/write-log.test.ts"],
  },
  {
    name: "a time that has not come yet stands for all that come",
    why: "one reading of a wrong clock makes every lag and every point worthless",
    file: "mobility/capture/write-log.ts",
    find: `lastMs = Math.max(isWrong ? 0 : lastMs, options.clock.now());`,
    replace: `lastMs = Math.max(lastMs, options.clock.now());`,
    tests: ["test/mobility/write-log.test.ts"],
  },
  {
    name: "the seeding flag is lost",
    why: "a point is taken of a target that is no image (rule 1)",
    file: "mobility/epochs/seal.ts",
    find: `      seeding: !seed.done,`,
    replace: `      seeding: false && !seed.done,`,
    tests: [SEAL],
  },
  {
    name: "the end of another pass of seeding counts",
    why: "a resynchronization ends before it has read anything",
    file: "mobility/journal/seed-progress.ts",
    find: `header.kind === "seed-done" && header.pass === before.pass`,
    replace: `header.kind === "seed-done"`,
    tests: [SEAL, JOURNAL],
  },
  {
    name: "a mark before other records makes an epoch consistent for applications",
    why: "its point holds what applications wrote after they were thawed",
    file: "mobility/epochs/seal.ts",
    find: `consistency: last.kind === "application-mark" ?`,
    replace: `consistency: last.kind === "application-mark" || first.kind === "application-mark" ?`,
    tests: [SEAL],
  },
  {
    name: "zeros of an epoch are sent as nothing",
    why: "old content stays on the target (rule 1)",
    file: "mobility/epochs/epoch-index.ts",
    find: `          disks[disk]?.insert({ kind: "zero", offsetBytes, lengthBytes });`,
    replace: `          void lengthBytes;`,
    tests: [SEAL],
  },
  {
    name: "a segment is removed before its images are on the medium",
    why: "after a power cut nothing redoes what the image lost",
    file: "mobility/epochs/sealer.ts",
    find: `    await this.#options.syncImages();
`,
    replace: ``,
    tests: [POWER],
  },
  {
    name: "what is in an epoch that was given up is not marked",
    why: "it is never sent (rule 4)",
    file: "mobility/capture/recorder.ts",
    find: `          map.mark(disk, offsetBytes, lengthBytes);
          readTo = sequence;`,
    replace: `          void [disk, offsetBytes, lengthBytes];
          readTo = sequence;`,
    tests: [GIVEN_UP],
  },
  {
    name: "a write while the log is full is not marked",
    why: "it is never sent (rule 4)",
    file: "mobility/capture/recorder.ts",
    find: `      this.#must(() => map.mark(record.disk, record.offsetBytes, record.lengthBytes));
      return true;`,
    replace: `      return true;`,
    tests: [READING],
  },
  {
    name: "a service that goes on after a full disk does not seed",
    why: "what was written meanwhile is missing, and points are taken (rule 1)",
    file: "mobility/capture/recorder.ts",
    find: `await state.change({ seed: { pass, done: false }, seedFresh: fresh, resynchronizationReason });`,
    replace: `await state.change({ seed: { pass, done: seed.done }, seedFresh: fresh, resynchronizationReason });`,
    tests: [GIVEN_UP],
  },
  {
    name: "a flush while the log is full does not sync the image",
    why: "acknowledged writes are lost at a power cut (rule 4)",
    file: "mobility/capture/recorder.ts",
    find: `        await this.#mustLater(() => images[disk]?.sync());
        return;`,
    replace: `        void [images, disk];
        return;`,
    tests: [POWER],
  },
  {
    name: "the spool outgrows its bound",
    why: "it takes the disk that the guest needs",
    file: "mobility/capture/ladder.ts",
    find: `return bytes > boundBytes ?`,
    replace: `return bytes > boundBytes * 1_000_000 ?`,
    tests: ["test/mobility/ladder.test.ts"],
  },
  {
    name: "a disk is marked while its log still ends",
    why: "a kill in between loses what stands in neither record nor mark on the medium (rule 4)",
    file: "mobility/capture/ladder.ts",
    find: `change: step("closing", "wait"),`,
    replace: `change: step("closing", "mark"),`,
    tests: ["test/mobility/ladder.test.ts"],
  },
  {
    name: "a seeding read is recorded beside a newer write",
    why: "old content goes over new (rule 1)",
    file: "mobility/capture/seeding.ts",
    find: `const release = await lock.take(offsetBytes, offsetBytes + lengthBytes);`,
    replace: `const release = await lock.take(offsetBytes, offsetBytes);`,
    tests: [READING],
  },
  {
    name: "what was read is clean before it is sealed",
    why: "a kill in between forgets it (rule 4)",
    file: "mobility/capture/seeding.ts",
    find: `    if (records > 0) this.#remember(log.openSegment);`,
    replace: `    if (records > 0) this.#clear(upTo);`,
    tests: [READING],
  },
  {
    name: "zeros are left out when the target is not fresh",
    why: "old content stays on the target (rule 1)",
    file: "mobility/capture/seeding.ts",
    find: `if (run.zero && pass.fresh) continue;`,
    replace: `if (run.zero) continue;`,
    tests: [READING],
  },
  {
    name: "seeding fills the spool",
    why: "the guest's own writes find it full",
    file: "mobility/capture/seeding.ts",
    find: `if (recorder.mode.kind !== "logging" || count >= SEED_SPOOL_MAX_DELTAS) return 0;`,
    replace: `if (recorder.mode.kind !== "logging" || count >= 1_000_000 * SEED_SPOOL_MAX_DELTAS) return 0;`,
    tests: [READING],
  },
  {
    name: "the spool keeps what was uploaded",
    why: "it grows, and deltas are sent twice",
    file: "mobility/epochs/spool.ts",
    find: `end.stream === sealed.stream && end.epoch > uploaded.epoch && end.epoch <= sealed.epoch`,
    replace: `end.stream === sealed.stream && end.epoch <= sealed.epoch`,
    tests: [SEAL],
  },
  {
    name: "nobody counts the deltas of the spool",
    why: "one that is missing is found when the target stops",
    file: "mobility/epochs/spool.ts",
    find: `    kept.length !== sealed.epoch - uploaded.epoch ||
`,
    replace: ``,
    tests: [SEAL],
    equivalent:
      "each kept delta is checked to follow the one before it, and the last one to be the sealed position: a number that differs breaks one of these first",
  },
  {
    name: "nobody looks whether a delta of the spool is missing",
    why: "one that is missing is found when the target stops",
    file: "mobility/epochs/spool.ts",
    find: `    missing !== undefined ||
    kept.length !== sealed.epoch - uploaded.epoch ||
`,
    replace: ``,
    tests: [SEAL],
  },
  {
    name: "a damaged state file is believed",
    why: "the service goes on from a position that never was (rule 6)",
    file: "mobility/epochs/state.ts",
    find: `    throw new LeewardError("state-corrupt", \`\${path} does not match its checksum.\`, { path }, { cause });`,
    replace: `    void cause;
    return undefined;`,
    tests: [STATE],
  },
  {
    name: "what is sealed behind an epoch that was given up carries no seeding flag",
    why: "a point is taken of a state that the source never had (rule 1)",
    file: "mobility/capture/recorder.ts",
    find: `await state.change({ sealedSegment: number, sealedSequence: lastSequence, ...gap });`,
    replace: `await state.change({ sealedSegment: number, sealedSequence: lastSequence });
      void gap;`,
    tests: [GIVEN_UP],
  },
  {
    name: "an epoch that was given up begins no new pass",
    why: "the end of the pass that runs stands behind it and ends the gap without having read it (rule 1)",
    file: "mobility/capture/recorder.ts",
    find: `const seed = { pass: state.current.seed.pass + 1, done: false };
      const gap =`,
    replace: `const seed = { pass: state.current.seed.pass, done: false };
      const gap =`,
    tests: [GIVEN_UP],
  },
  {
    name: "an epoch is given up while deltas wait for their upload",
    why: "what could have been sent is read again, and no point is taken until then",
    file: "mobility/capture/recorder.ts",
    find: `if (spooledBytes() > 0 || this.failure`,
    replace: `if (spooledBytes() < 0 || this.failure`,
    tests: [GIVEN_UP],
  },
  {
    name: "an epoch that was given up and is not whole marks what was read of it",
    why: "nobody knows what the rest held, and it is never sent (rule 4)",
    file: "mobility/capture/recorder.ts",
    find: `        if (readTo !== lastSequence) map.markAll();
`,
    replace: `        void readTo;
`,
    tests: [GIVEN_UP],
  },
  {
    name: "a change of the state file is believed before it is durable",
    why: "a delta that was sealed is never uploaded, and its only copy goes (rule 4)",
    file: "mobility/epochs/state.ts",
    find: `    const next = changes.reduce((state, change) => ({ ...state, ...change(state) }), current);
`,
    replace: `    const next = changes.reduce((state, change) => ({ ...state, ...change(state) }), current);
    current = next;
`,
    tests: [STATE],
  },
  {
    name: "an epoch that could not be remembered is sealed anew",
    why: "the state file may know the first delta, and the uploader another one of the same epoch",
    file: "mobility/epochs/sealer.ts",
    find: `segment.sealed ??= { epoch: await this.#sealEpoch(number) };`,
    replace: `segment.sealed = { epoch: await this.#sealEpoch(number) };`,
    tests: [STATE],
  },
  {
    name: "what a failed attempt to seal left in the spool stays there",
    why: "two deltas of one epoch lie there, and the next start calls the spool damaged",
    file: "mobility/epochs/sealer.ts",
    find: `if (this.#hasStrays) removeSpoolFilesBehind(files, spoolFolder, start);`,
    replace: `void [removeSpoolFilesBehind, files];`,
    tests: [STATE],
  },
  {
    name: "a segment that was damaged is sealed as if it were whole",
    why: "what it lost is missing from the target, and points are taken (rule 1)",
    file: "mobility/epochs/sealer.ts",
    find: `        await this.#options.damaged();
`,
    replace: ``,
    tests: [STATE],
  },
  {
    name: "the end of a pass that is over ends the one that has begun",
    why: "a request to read everything is answered without reading anything",
    file: "mobility/epochs/sealer.ts",
    find: `seed: seed.pass === epoch.seed.pass ? epoch.seed : seed,`,
    replace: `seed: seed.pass === epoch.seed.pass ? epoch.seed : { ...seed, done: epoch.seed.done },`,
    tests: [READING],
  },
  {
    name: "a full disk keeps the state file from being written",
    why: "nothing ever leaves the spool again",
    file: "mobility/epochs/state.ts",
    find: `      releaseReserve(files, path);
      try {`,
    replace: `      try {`,
    tests: [STATE],
  },
  {
    name: "another stream begins with what the map holds",
    why: "its target lacks everything that the old one had (rule 1)",
    file: "mobility/capture/recorder.ts",
    find: `    this.#must(() => map.markAll());
    await this.#mustLater(() => map.sync());
    const sealedSegment`,
    replace: `    await this.#mustLater(() => map.sync());
    const sealedSegment`,
    tests: [STREAM],
  },
  {
    name: "another stream goes on with the pass of the old one",
    why: "an end of the old pass that stands in a segment ends initial replication (rule 1)",
    file: "mobility/capture/recorder.ts",
    find: `      seed: { pass: seed.pass + 1, done: false },
      // The target disks`,
    replace: `      seed,
      // The target disks`,
    tests: [STREAM],
    equivalent:
      "no segment of the old stream is sealed any more, and nothing of the new one before the log goes on: that begins another pass when the old one is done",
  },
  {
    name: "segments of the old stream are sealed into the new one",
    why: "its first delta begins where nothing ended",
    file: "mobility/capture/recorder.ts",
    find: `    sealer.forget();
`,
    replace: ``,
    tests: [STREAM],
  },
  {
    name: "a stream is told by its number",
    why: "a second life that has the number of the first is taken for it, and nothing is replicated",
    file: "mobility/epochs/state.ts",
    find: `return start === undefined`,
    replace: `return start === undefined || sealed.stream === given.stream`,
    tests: [STATE, STREAM],
  },
  {
    name: "a delta of the old stream moves the position of the new one",
    why: "the service believes that the cache has what it has never sent (rule 4)",
    file: "mobility/epochs/state.ts",
    find: `(sealed.stream === end.stream && sealed.epoch >= end.epoch ? { uploaded: end } : {});`,
    replace: `(sealed.epoch >= 0 ? { uploaded: end } : {});`,
    tests: [STATE, "test/mobility/uploader.test.ts"],
  },
  {
    name: "a first start takes over a dirty map that an earlier one left",
    why: "it may be of another stream, and be called damaged",
    file: "mobility/capture/open-state.ts",
    find: `if (read === undefined) for (const path of [folder.dirtyMap, folder.activity]) files.remove(path);`,
    replace: ``,
    tests: [STREAM, STATE],
  },
];
