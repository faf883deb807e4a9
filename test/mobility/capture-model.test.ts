import { mkdirSync } from "node:fs";
import type * as FileSystem from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { RECORD_HEADER_BYTES } from "../../mobility/journal/record.ts";
import { SEGMENT_HEADER_BYTES } from "../../mobility/journal/segment.ts";
import type * as Limits from "../../replication/limits.ts";
import { createRandom } from "../memory/random.ts";
import { createFragileDisk } from "./fragile-disk.ts";
import type { FragileDisk } from "./fragile-disk.ts";
import { SourceMachine } from "./source-machine.ts";
import { temporaryFolder } from "./temporary.ts";

const shared = vi.hoisted((): { disk: { readonly overrides: Partial<typeof FileSystem> } | undefined } => ({ disk: undefined }));

vi.mock("node:fs", async (original) => {
  const actual = await original<typeof FileSystem>();
  const through = (name: keyof typeof FileSystem) => {
    const own = actual[name] as (...parameters: unknown[]) => unknown;
    return (...parameters: unknown[]): unknown => {
      const other = shared.disk?.overrides[name] as typeof own | undefined;
      return (other ?? own)(...parameters);
    };
  };
  const names = [
    "openSync",
    "writevSync",
    "writeSync",
    "fdatasync",
    "fsync",
    "fdatasyncSync",
    "fsyncSync",
    "renameSync",
    "rmSync",
  ] as const;
  return { ...actual, ...Object.fromEntries(names.map((name) => [name, through(name)])) };
});

/** Bounds small enough for every one of them to be reached by a few writes. */
vi.mock("../../replication/limits.ts", async (original) => ({
  ...(await original<typeof Limits>()),
  RESUME_LOOK_MS: 1,
  SEED_LOOK_MS: 1,
  BACK_OFF_FIRST_MS: 1,
  BACK_OFF_MAX_MS: 2,
  SPOOL_MIN_BYTES: 4096,
  SEED_CHUNK_BYTES: 8192,
  EPOCH_MAX_DATA_BYTES: 49_152,
  ZERO_RUN_MIN_BYTES: 4096,
  DIRTY_MAP_CACHE_PAGES: 1,
}));

type Step =
  | {
      readonly kind: "write";
      readonly disk: number;
      readonly sector: number;
      readonly count: number;
      readonly fill: number;
      readonly fua: boolean;
    }
  | { readonly kind: "flush"; readonly disk: number }
  | { readonly kind: "cut" | "full" | "room" | "failing-journal" | "calm" | "log-again" | "half-seeded" | "given-up" }
  | { readonly kind: "idle" | "upload" | "bound" | "resynchronize" | "tight"; readonly count: number };
/** A step, and whether the process or the machine dies some turns after it began. */
interface Event {
  readonly step: Step;
  readonly death: "none" | "kill" | "crash";
  readonly turns: number;
}

const write = fc.record({
  kind: fc.constant("write" as const),
  disk: fc.nat(1),
  sector: fc.nat(127),
  count: fc.integer({ min: 1, max: 24 }),
  fill: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 255 })),
  fua: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
});
const counted = (kind: "idle" | "upload" | "bound" | "resynchronize" | "tight", max: number) =>
  fc.record({ kind: fc.constant(kind), count: fc.nat(max) });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: write },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush" as const), disk: fc.nat(1) }) },
  { weight: 4, arbitrary: counted("idle", 30) },
  { weight: 4, arbitrary: counted("upload", 6) },
  { weight: 3, arbitrary: counted("bound", 2) },
  { weight: 1, arbitrary: counted("resynchronize", 2) },
  { weight: 2, arbitrary: counted("tight", 4) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("cut" as const, "calm" as const, "full" as const, "room" as const, "failing-journal" as const),
    }),
  },
);
const event: fc.Arbitrary<Event> = fc.record({
  step,
  death: fc.oneof(
    { weight: 8, arbitrary: fc.constant("none" as const) },
    { weight: 2, arbitrary: fc.constantFrom("kill" as const, "crash" as const) },
  ),
  turns: fc.nat(12),
});
/** CI asks for more: `npm run test:long`. */
const HISTORIES = Number(process.env["LEEWARD_HISTORIES"] ?? 8);
const BOUNDS = [8192, 40_000, 1024 * 1024];
/** What journal and spool may still take before one of their files is removed. */
const ROOMS = [0, 700, 4000, 13_000, 60_000];

type Death = Event["death"];
const at = (step: Step, death: Death = "none", turns = 0): Event => ({ step, death, turns });
const writes = (disk: number, sector: number, count: number, fill: number): Step => ({
  kind: "write",
  disk,
  sector,
  count,
  fill,
  fua: false,
});
const TIGHT: Step = { kind: "bound", count: 0 };
/** No room for a log at all: once it has ended it does not begin again. */
const NO_ROOM: Step = { kind: "bound", count: BOUNDS.length };

/** A history that chance rarely finds, and whether it begins with a target that has everything. */
interface Rare {
  readonly complete: boolean;
  readonly events: readonly Event[];
}
const RARE: readonly Rare[] = [
  // Flushed into the journal, then the log ended, and its records are not redone any more: the image must have had them on the medium.
  { complete: true, events: [at(writes(0, 0, 8, 7)), at({ kind: "flush", disk: 0 }), at(TIGHT), at(writes(1, 40, 24, 3), "crash", 30)] },
  // Flushed into the journal, sealed, and the segment removed.
  {
    complete: true,
    events: [at(writes(0, 0, 8, 7)), at({ kind: "flush", disk: 0 }), at({ kind: "calm" }), at({ kind: "idle", count: 0 }, "crash")],
  },
  // Two segments were removed, and only the older one comes back.
  {
    complete: true,
    events: [
      at(writes(0, 0, 4, 7)),
      at({ kind: "calm" }),
      at(writes(0, 0, 4, 8)),
      at({ kind: "flush", disk: 0 }),
      at({ kind: "calm" }),
      at({ kind: "idle", count: 1 }, "crash"),
    ],
  },
  // Written without a log, and flushed when there was one again: the journal does not have it.
  {
    complete: true,
    events: [
      at(TIGHT),
      at(writes(1, 0, 24, 5)),
      at(writes(0, 8, 8, 9)),
      at({ kind: "bound", count: 2 }),
      at({ kind: "log-again" }),
      at({ kind: "flush", disk: 0 }),
      at({ kind: "idle", count: 0 }, "crash"),
    ],
  },
  // Marked without a log, and its region let go when there was one again.
  {
    complete: true,
    events: [
      at(TIGHT),
      at(writes(1, 0, 24, 5)),
      at(writes(0, 8, 8, 9)),
      at({ kind: "bound", count: 2 }),
      at({ kind: "log-again" }),
      ...[32, 64, 96].map((sector) => at(writes(0, sector, 4, 8))),
      ...[32, 64].map((sector) => at(writes(1, sector, 4, 8))),
      at({ kind: "idle", count: 0 }, "crash"),
    ],
  },
  // Lost by a journal that failed, its region let go by what came without a log.
  {
    complete: true,
    events: [
      at(writes(0, 0, 4, 7)),
      at({ kind: "full" }),
      at({ kind: "failing-journal" }),
      at({ kind: "flush", disk: 0 }),
      ...[32, 64, 96].map((sector) => at(writes(0, sector, 4, 8))),
      ...[0, 32, 64].map((sector) => at(writes(1, sector, 4, 8))),
      at({ kind: "idle", count: 1 }, "crash"),
      at({ kind: "room" }),
    ],
  },
  // Read by initial replication, written without a log while the segment of that reading could not be sealed.
  {
    complete: false,
    events: [
      at({ kind: "half-seeded" }),
      at({ kind: "full" }),
      at(writes(1, 0, 24, 5)),
      at(writes(0, 0, 24, 9)),
      at({ kind: "room" }),
      at({ kind: "calm" }),
    ],
  },
  // Recorded, and given up because there was no room to seal it and nothing to send: only the map knows of it.
  ...(["none", "kill", "crash"] as const).map((death) => ({
    complete: true,
    events: [
      at(writes(0, 0, 8, 7)),
      at(writes(1, 64, 12, 3)),
      at({ kind: "full" }),
      at({ kind: "cut" }),
      at({ kind: "given-up" }),
      at({ kind: "idle", count: 0 }, death),
      at({ kind: "room" }),
      at({ kind: "calm" }),
    ],
  })),
  // Recorded, its region let go because the journal had it durably, then given up: only what of the map is durable knows of it.
  {
    complete: true,
    events: [
      // A start makes the map durable as it is then, without a mark.
      at({ kind: "idle", count: 0 }, "kill"),
      at(writes(0, 0, 4, 7)),
      ...[32, 64, 96].map((sector) => at(writes(0, sector, 4, 8))),
      ...[0, 32, 64].map((sector) => at(writes(1, sector, 4, 8))),
      at({ kind: "full" }),
      at({ kind: "cut" }),
      at(NO_ROOM),
      at({ kind: "given-up" }),
      at({ kind: "idle", count: 0 }, "crash"),
      at({ kind: "room" }),
    ],
  },
  // The same with what initial replication had read, and with deaths on the way.
  ...(["none", "kill", "crash"] as const).map((death) => ({
    complete: false,
    events: [
      at({ kind: "half-seeded" }),
      at({ kind: "cut" }),
      at({ kind: "upload", count: 6 }),
      at({ kind: "full" }),
      at({ kind: "given-up" }, death, 9),
      at(writes(0, 0, 24, 9)),
      at({ kind: "room" }),
      at({ kind: "calm" }),
    ],
  })),
  // Two epochs wait, the first is given up, and what it gives back is room for the second.
  ...(["none", "kill", "crash"] as const).map((death) => ({
    complete: true,
    events: [
      at(writes(0, 0, 24, 7)),
      at({ kind: "tight", count: 1 }),
      at({ kind: "cut" }),
      at(writes(0, 64, 1, 9)),
      at({ kind: "cut" }),
      at({ kind: "given-up" }, death, 12),
      at({ kind: "calm" }),
    ],
  })),
  // Recorded by a process that was killed, its region let go by the next one before the record was sealed.
  {
    complete: true,
    events: [
      at(writes(0, 0, 4, 7)),
      at({ kind: "full" }),
      at({ kind: "idle", count: 0 }, "kill"),
      ...[32, 64, 96].map((sector) => at(writes(0, sector, 4, 8))),
      ...[0, 32, 64].map((sector) => at(writes(1, sector, 4, 8))),
      at({ kind: "idle", count: 1 }, "crash"),
      at({ kind: "room" }),
    ],
  },
  // Initial replication brought data over; then, without a log, zeros and data took its place, behind the place where it stood and before.
  {
    complete: false,
    events: [
      at({ kind: "half-seeded" }),
      at({ kind: "cut" }),
      at(TIGHT),
      at(writes(1, 0, 24, 5)),
      at(writes(0, 0, 24, 0)),
      at(writes(0, 24, 24, 9)),
      at({ kind: "idle", count: 30 }),
    ],
  },
];
const EXAMPLES = RARE.flatMap(({ complete, events }, index) =>
  [1, 2, 3, 4].map((seed): [Event[], number, number] => [[...events], 100 * index + seed, complete ? 1 : 0]),
);

describe("capture through bounds, kills and power failures", () => {
  it("rule 1: every delta without `seeding` is a state of the source, and nothing that the target lacks is ever forgotten", async () => {
    const root = temporaryFolder();
    let run = 0;
    const property = fc.asyncProperty(
      fc.array(event, { maxLength: 40 }),
      fc.integer(),
      fc.integer({ min: 0, max: 3 }),
      async (events, seed, begin) => {
        const disk = createFragileDisk();
        shared.disk = disk;
        const folder = join(root, String((run += 1)));
        mkdirSync(folder);
        const random = createRandom(seed);
        const machine = new SourceMachine(folder, disk, (limit) => random.below(limit));
        await machine.start();
        const perform = async (step: Step): Promise<void> => {
          switch (step.kind) {
            case "write":
              return machine.write(step.disk, step.sector, step.count, step.fill, step.fua);
            case "flush":
              return machine.flush(step.disk);
            case "cut":
              return machine.cut();
            case "idle":
              return machine.idle(step.count);
            case "upload":
              return machine.upload(step.count);
            case "bound":
              machine.spoolBoundBytes = BOUNDS[step.count] ?? 0;
              return;
            case "resynchronize":
              return machine.capture.recorder.resynchronize("requested", String(step.count));
            case "tight":
              disk.roomBytes = ROOMS[step.count] ?? 0;
              return;
            case "full":
            case "room":
              disk.roomBytes = Number.POSITIVE_INFINITY;
              disk.isFull = step.kind === "full";
              return;
            case "failing-journal":
              disk.failsJournal = true;
              return;
            case "calm":
              return machine.calm();
            case "half-seeded":
              return machine.halfSeeded();
            case "given-up":
              return machine.givenUp();
            case "log-again":
              return machine.logAgain();
          }
        };
        try {
          // Most histories begin with a target that has everything, the others with initial replication.
          if (begin > 0) await machine.finish();
          for (const { step, death, turns } of events) {
            const work = perform(step);
            if (death === "none") {
              await answered(work, step);
              continue;
            }
            work.catch(() => undefined);
            await machine.idle(turns);
            if (death === "kill") machine.kill();
            else machine.crash();
            machine.checkDeltas();
            await machine.start();
          }
          disk.isFull = false;
          disk.roomBytes = Number.POSITIVE_INFINITY;
          disk.failsJournal = false;
          machine.spoolBoundBytes = 1024 * 1024;
          // A journal that failed is trusted again after a restart only.
          machine.kill();
          await machine.start();
          await expect(machine.finish()).resolves.toBeUndefined();
        } finally {
          await machine.stop();
          shared.disk = undefined;
        }
      },
    );
    await fc.assert(property, { numRuns: EXAMPLES.length + HISTORIES, examples: EXAMPLES });
  }, 300_000);
});

describe("an epoch that was given up", () => {
  function machineOn(disk: FragileDisk, below: (limit: number) => number = () => 0): SourceMachine {
    shared.disk = disk;
    const machine = new SourceMachine(temporaryFolder(), disk, below);
    onTestFinished(() => void (shared.disk = undefined));
    onTestFinished(() => machine.stop());
    return machine;
  }

  /** Two epochs wait on a disk that has no room for the delta of the first; what the first gives back is enough for the second. */
  async function twoWithoutRoom(): Promise<{ readonly machine: SourceMachine; readonly disk: FragileDisk }> {
    const disk = createFragileDisk();
    const machine = machineOn(disk);
    await machine.start();
    await machine.finish();
    await machine.write(0, 0, 24, 7, false);
    // Just what a segment with one record of one sector takes.
    disk.roomBytes = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 512;
    machine.cut();
    await machine.write(0, 64, 1, 9, false);
    machine.cut();
    return { machine, disk };
  }

  it("rule 1: one behind it, for which its removal made room, is no consistent state of the source", async () => {
    const { machine, disk } = await twoWithoutRoom();
    await machine.givenUp();
    await machine.upload(100);
    machine.checkDeltas();
    disk.roomBytes = Number.POSITIVE_INFINITY;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it.each(["kill", "crash"] as const)("rule 1: nor is it after a %s between the two", async (death) => {
    const { machine, disk } = await twoWithoutRoom();
    await machine.until(({ sealer }) => sealer.waiting === 1);
    machine[death]();
    await machine.start();
    await machine.calm();
    machine.checkDeltas();
    disk.roomBytes = Number.POSITIVE_INFINITY;
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("rule 1: the end of a pass that stands behind it ends nothing: part of what the pass read is gone", async () => {
    const disk = createFragileDisk();
    // Disks without a zero.
    const machine = machineOn(disk, (limit) => limit - 1);
    await machine.start();
    // While a delta waits for the network nothing is given up. The bound has room for it, and for no reading.
    machine.spoolBoundBytes = 2000;
    await machine.write(0, 0, 1, 7, false);
    machine.cut();
    await machine.until(({ sealer }) => sealer.waiting === 0);
    disk.isFullForDeltas = true;
    machine.spoolBoundBytes = 1024 * 1024;
    await machine.until(({ seeding }) => seeding.done);
    const { waiting, waitingBytes } = machine.capture.sealer;
    // The last grain of the second disk, which is shorter than the others, was read once like all of them.
    expect(waitingBytes).toBeLessThan(1.1 * machine.capture.seeding.totalBytes);
    expect(waiting).toBeGreaterThan(1);
    await machine.upload(100);
    await machine.until(({ sealer }) => sealer.waiting < waiting);
    disk.isFullForDeltas = false;
    await machine.givenUp();
    await machine.upload(100);
    machine.checkDeltas();
    await expect(machine.finish()).resolves.toBeUndefined();
  });

  it("leaves no hole in the journal: a restart reads nothing again for it", async () => {
    const disk = createFragileDisk();
    const machine = machineOn(disk);
    await machine.start();
    await machine.finish();
    await machine.write(0, 0, 8, 7, false);
    disk.isFull = true;
    machine.cut();
    await machine.givenUp();
    expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "disk-full" });
    disk.isFull = false;
    await machine.logAgain();
    await machine.write(0, 64, 8, 9, false);
    machine.kill();
    await machine.start();
    expect(machine.readAgain).toBeUndefined();
    await expect(machine.finish()).resolves.toBeUndefined();
  });
});

/** The guest waits for the local disk, never for the network: ten seconds mean for ever. */
async function answered(work: Promise<void>, step: Step): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`never answered: ${JSON.stringify(step)}`)), 10_000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
