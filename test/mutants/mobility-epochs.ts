import type { Mutant } from "./mutant.ts";

const MODEL = "test/mobility/capture-model.test.ts";
const JOURNAL = "test/mobility/journal.test.ts";
const SEAL = "test/mobility/seal.test.ts";

/** Faults of epochs: how they are cut, sealed, given up and seeded. */
export const EPOCH_MUTANTS: readonly Mutant[] = [
  {
    name: "an epoch has any number of extents",
    why: "no reader takes its delta, and the item stops",
    file: "mobility/epochs/write-log.ts",
    find: `index.count() + 2 > EPOCH_MAX_EXTENTS`,
    replace: `index.count() < 0`,
    tests: ["test/mobility/write-log.test.ts"],
  },
  {
    name: "an epoch holds any number of bytes",
    why: "no reader takes its delta, and the item stops",
    file: "mobility/epochs/write-log.ts",
    find: `journal.openBytes + RECORD_HEADER_BYTES + data.length > EPOCH_MAX_DATA_BYTES`,
    replace: `journal.openBytes + RECORD_HEADER_BYTES + data.length < 0`,
    tests: ["test/mobility/write-log.test.ts"],
  },
  {
    name: "an epoch is as old as it likes",
    why: "the RPO of an idle machine grows without end",
    file: "mobility/epochs/write-log.ts",
    find: `stopAge ??= options.clock.after(options.epochMaxAgeMs, cut);`,
    replace: `stopAge ??= options.clock.after(options.epochMaxAgeMs * 1_000_000, cut);`,
    tests: ["test/mobility/write-log.test.ts"],
  },
  {
    name: "the times of writes run backwards with the clock",
    why: "no reader takes the delta",
    file: "mobility/epochs/write-log.ts",
    find: `lastMs = Math.max(lastMs, options.clock.now());`,
    replace: `lastMs = Math.max(0, options.clock.now());`,
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
    file: "mobility/seeding/progress.ts",
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
    tests: [MODEL],
  },
  {
    name: "what is in an epoch that was given up is not marked",
    why: "it is never sent (rule 4)",
    file: "mobility/epochs/recorder.ts",
    find: `          map.mark(disk, offsetBytes, lengthBytes);
          readTo = sequence;`,
    replace: `          void [disk, offsetBytes, lengthBytes];
          readTo = sequence;`,
    tests: [MODEL],
  },
  {
    name: "a write while the log is full is not marked",
    why: "it is never sent (rule 4)",
    file: "mobility/epochs/recorder.ts",
    find: `      this.#must(() => map.mark(record.disk, record.offsetBytes, record.lengthBytes));
      return true;`,
    replace: `      return true;`,
    tests: [MODEL],
  },
  {
    name: "a service that goes on after a full disk does not seed",
    why: "what was written meanwhile is missing, and points are taken (rule 1)",
    file: "mobility/epochs/recorder.ts",
    find: `    const next = done ? pass + 1 : pass;
    await state.change({ seed: { pass: next, done: false }, seedFresh: false, resynchronizationReason: mode.reason });`,
    replace: `    const next = done ? pass + 1 : pass;
    await state.change({ seed: { pass: next, done }, seedFresh: false, resynchronizationReason: mode.reason });`,
    tests: [MODEL],
  },
  {
    name: "a flush while the log is full does not sync the image",
    why: "acknowledged writes are lost at a power cut (rule 4)",
    file: "mobility/epochs/recorder.ts",
    find: `        await this.#mustLater(() => images[disk]?.sync());
        return;`,
    replace: `        void [images, disk];
        return;`,
    tests: [MODEL],
  },
  {
    name: "a full disk stops the guest",
    why: "protection becomes an outage",
    file: "mobility/epochs/recorder.ts",
    find: `if (bytes > this.#options.spoolBoundBytes()) {`,
    replace: `if (bytes > this.#options.spoolBoundBytes() * 1_000_000) {`,
    tests: [MODEL],
  },
  {
    name: "a seeding read is recorded beside a newer write",
    why: "old content goes over new (rule 1)",
    file: "mobility/seeding/seeding.ts",
    find: `const release = await lock.take(offsetBytes, offsetBytes + lengthBytes);`,
    replace: `const release = await lock.take(offsetBytes, offsetBytes);`,
    tests: [MODEL],
  },
  {
    name: "what was read is clean before it is sealed",
    why: "a kill in between forgets it (rule 4)",
    file: "mobility/seeding/seeding.ts",
    find: `    if (records > 0) this.#remember(log.openSegment);`,
    replace: `    if (records > 0) this.#clear(upTo);`,
    tests: [MODEL],
  },
  {
    name: "zeros are left out when the target is not fresh",
    why: "old content stays on the target (rule 1)",
    file: "mobility/seeding/seeding.ts",
    find: `if (run.zero && pass.fresh) continue;`,
    replace: `if (run.zero) continue;`,
    tests: [MODEL],
  },
  {
    name: "seeding fills the spool",
    why: "the guest's own writes find it full",
    file: "mobility/seeding/seeding.ts",
    find: `if (recorder.mode.kind !== "logging" || count >= SEED_SPOOL_MAX_DELTAS) return 0;`,
    replace: `if (recorder.mode.kind !== "logging" || count >= 1_000_000 * SEED_SPOOL_MAX_DELTAS) return 0;`,
    tests: [MODEL, "test/mobility/service-in-memory.test.ts"],
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
    tests: [MODEL, "test/mobility/state-file.test.ts"],
  },
];
