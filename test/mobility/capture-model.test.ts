import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type * as Limits from "../../replication/limits.ts";
import type { MediumOptions } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";
import { SourceMachine } from "./source-machine.ts";
import type { Death } from "./source-machine.ts";

/** Bounds small enough for every one of them to be reached by a few writes. */
vi.mock("../../replication/limits.ts", async (original) => ({
  ...(await original<typeof Limits>()),
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
  | { readonly kind: "stop"; readonly reboot: boolean }
  | { readonly kind: "idle" | "upload" | "bound" | "resynchronize"; readonly count: number };
/** How the process or the machine dies after a step has begun: some turns later, or in the middle of an operation on the medium. */
interface End {
  readonly death: Death;
  readonly after: "turns" | "operations";
  readonly count: number;
}
interface Event {
  readonly step: Step;
  readonly end: End | undefined;
  /** And how the next start dies, which is repeated then. */
  readonly startEnd: End | undefined;
}

const write = fc.record({
  kind: fc.constant("write" as const),
  disk: fc.nat(1),
  sector: fc.nat(127),
  count: fc.integer({ min: 1, max: 24 }),
  fill: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 255 })),
  fua: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
});
const counted = (kind: "idle" | "upload" | "bound" | "resynchronize", max: number) =>
  fc.record({ kind: fc.constant(kind), count: fc.nat(max) });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: write },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush" as const), disk: fc.nat(1) }) },
  { weight: 4, arbitrary: counted("idle", 30) },
  { weight: 4, arbitrary: counted("upload", 6) },
  { weight: 3, arbitrary: counted("bound", 2) },
  { weight: 1, arbitrary: counted("resynchronize", 2) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("stop" as const), reboot: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("cut" as const, "calm" as const, "full" as const, "room" as const, "failing-journal" as const),
    }),
  },
);
const end: fc.Arbitrary<End> = fc.record({
  death: fc.constantFrom("kill" as const, "power" as const),
  after: fc.constantFrom("turns" as const, "operations" as const),
  count: fc.nat(20),
});
const event: fc.Arbitrary<Event> = fc.record({
  step,
  end: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, end),
  startEnd: fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, end),
});
/** CI asks for more: `npm run test:long`. */
const HISTORIES = Number(process.env["LEEWARD_HISTORIES"] ?? 100);
const BOUNDS = [8192, 40_000, 1024 * 1024];

type Fate = "none" | Death;
const at = (step: Step, death: Fate = "none", count = 0): Event => ({
  step,
  end: death === "none" ? undefined : { death, after: "turns", count },
  startEnd: undefined,
});
/** The process dies in the middle of its nth operation on the medium. */
const killedIn = (step: Step, count: number): Event => ({ step, end: { death: "kill", after: "operations", count }, startEnd: undefined });
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
  // Stopped in order, started and written: a state file that is old again would say that nothing can differ.
  { complete: true, events: [at({ kind: "stop", reboot: false }), at(writes(0, 0, 8, 7)), at(writes(1, 0, 24, 5), "power")] },
  // Heated by a process that was killed before the activity log was durable, and touched by the next one.
  { complete: true, events: [killedIn(writes(0, 0, 4, 7), 1), at(writes(0, 0, 4, 9)), at(writes(0, 8, 4, 3), "power")] },
  // Flushed into the journal, then the log ended, and its records are not redone any more: the image must have had them on the medium.
  { complete: true, events: [at(writes(0, 0, 8, 7)), at({ kind: "flush", disk: 0 }), at(TIGHT), at(writes(1, 40, 24, 3), "power", 30)] },
  // Flushed into the journal, sealed, and the segment removed.
  {
    complete: true,
    events: [at(writes(0, 0, 8, 7)), at({ kind: "flush", disk: 0 }), at({ kind: "calm" }), at({ kind: "idle", count: 0 }, "power")],
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
      at({ kind: "idle", count: 1 }, "power"),
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
      at({ kind: "idle", count: 0 }, "power"),
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
      at({ kind: "idle", count: 0 }, "power"),
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
      at({ kind: "idle", count: 1 }, "power"),
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
  ...(["none", "kill", "power"] as const).map((death) => ({
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
      at({ kind: "idle", count: 0 }, "power"),
      at({ kind: "room" }),
    ],
  },
  // The same with what initial replication had read, and with deaths on the way.
  ...(["none", "kill", "power"] as const).map((death) => ({
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
  // Recorded by a process that was killed, its region let go by the next one before the record was sealed.
  {
    complete: true,
    events: [
      at(writes(0, 0, 4, 7)),
      at({ kind: "full" }),
      at({ kind: "idle", count: 0 }, "kill"),
      ...[32, 64, 96].map((sector) => at(writes(0, sector, 4, 8))),
      ...[0, 32, 64].map((sector) => at(writes(1, sector, 4, 8))),
      at({ kind: "idle", count: 1 }, "power"),
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
  [1, 2, 3, 4, 5, 6, 7, 8].map((seed): [Event[], number, number, undefined] => [
    [...events],
    100 * index + seed,
    complete ? 1 : 0,
    undefined,
  ]),
);

function perform(machine: SourceMachine, step: Step): Promise<void> {
  switch (step.kind) {
    case "write":
      return machine.write(step.disk, step.sector, step.count, step.fill, step.fua);
    case "flush":
      return machine.flush(step.disk);
    case "idle":
      return machine.idle(step.count);
    case "upload":
      return machine.upload(step.count);
    case "resynchronize":
      return machine.capture.recorder.resynchronize("requested", String(step.count));
    case "calm":
      return machine.calm();
    case "half-seeded":
      return machine.halfSeeded();
    case "given-up":
      return machine.givenUp();
    case "log-again":
      return machine.logAgain();
    case "stop":
      return Promise.resolve();
    case "cut":
      machine.cut();
      return Promise.resolve();
    case "bound":
      machine.spoolBoundBytes = BOUNDS[step.count] ?? 0;
      return Promise.resolve();
    case "full":
    case "room":
      machine.isFull = step.kind === "full";
      return Promise.resolve();
    case "failing-journal":
      machine.failJournal();
      return Promise.resolve();
  }
}

/** Begins the step, and ends the machine as the event says. */
async function live(machine: SourceMachine, { step, end, startEnd }: Event): Promise<void> {
  // What the step waits for and what the machine does beside it share the steps of time.
  const work = async (): Promise<void> => perform(machine, step);
  if (step.kind === "stop") {
    await machine.stop(step.reboot);
    return machine.start();
  }
  if (end === undefined) return machine.time.finish(work());
  if (end.after === "operations") await machine.dieAfter(end.count, end.death, work);
  else {
    work().catch(() => undefined);
    await machine.idle(end.count);
    machine.die(end.death);
  }
  machine.checkDeltas();
  machine.healJournal();
  await startAgain(machine, startEnd);
}

/** Starts the service; one that dies at its start is started again. */
async function startAgain(machine: SourceMachine, end: End | undefined): Promise<void> {
  if (end !== undefined) await machine.start({ operations: end.count, death: end.death });
  if (!machine.isAlive) await machine.start();
}

describe("capture through bounds, kills and power failures", () => {
  it("rule 1: every delta without `seeding` is a state of the source, and nothing that the target lacks is ever forgotten", async () => {
    const property = fc.asyncProperty(
      fc.array(event, { maxLength: 40 }),
      fc.integer(),
      fc.integer({ min: 0, max: 3 }),
      fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, end),
      async (events, seed, begin, firstEnd) => {
        const machine = new SourceMachine(createRandom(seed));
        await startAgain(machine, firstEnd);
        // Most histories begin with a target that has everything, the others with initial replication.
        if (begin > 0) await machine.finish();
        for (const each of events) await live(machine, each);
        machine.isFull = false;
        machine.healJournal();
        machine.spoolBoundBytes = 1024 * 1024;
        // A journal that failed is trusted again after a restart only.
        machine.die("kill");
        await machine.start();
        await expect(machine.finish()).resolves.toBeUndefined();
      },
    );
    await fc.assert(property, {
      numRuns: EXAMPLES.length + HISTORIES,
      examples: EXAMPLES,
      endOnFailure: process.env["FAST"] !== undefined,
    });
  }, 900_000);
});

/** A target that has everything, and room and luck as given. */
async function complete(seed: number, options: Pick<MediumOptions, "staleChance"> = {}): Promise<SourceMachine> {
  const machine = new SourceMachine(createRandom(seed), options);
  await machine.start();
  await machine.finish();
  return machine;
}
const written = (machine: SourceMachine, disk: number, sector: number, count: number, fill: number): Promise<void> =>
  machine.time.finish(machine.write(disk, sector, count, fill, false));

describe("the journal after a death", () => {
  it("has no hole where an epoch was given up: a restart reads nothing again for it", async () => {
    const machine = await complete(1);
    await written(machine, 0, 0, 8, 7);
    machine.isFull = true;
    machine.cut();
    await machine.givenUp();
    expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "disk-full" });
    machine.isFull = false;
    await machine.logAgain();
    await written(machine, 0, 64, 8, 9);
    machine.die("kill");
    await machine.start();
    expect(machine.readAgain).toBeUndefined();
    await machine.finish();
  });

  it("has nothing left of a record that found room for a part of itself only", async () => {
    const machine = await complete(1);
    // The segment is made, and takes 11 of 12 KiB.
    machine.medium.capacityBytes = machine.medium.usedBytes + 11 * 1024;
    await written(machine, 0, 0, 24, 7);
    expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "disk-full" });
    machine.medium.capacityBytes = Number.MAX_SAFE_INTEGER;
    await machine.logAgain();
    // The segment that was begun then takes 8 KiB now, and is not the last one when the process dies.
    machine.isSealing = false;
    const { capture } = machine;
    await machine.time.until(() => capture.seeding.doneBytes > 0);
    machine.cut();
    await written(machine, 0, 100, 1, 9);
    expect(capture.sealer.waiting).toBe(1);
    machine.die("kill");
    machine.isSealing = true;
    await machine.start();
    expect(machine.readAgain).toBeUndefined();
    await machine.finish();
  });

  const damages: Readonly<Record<string, (bytes: Buffer) => Buffer | undefined>> = {
    "is missing": () => undefined,
    "is cut off": (bytes) => bytes.subarray(0, bytes.length - 100),
    "is damaged": (bytes) => Buffer.concat([bytes.subarray(0, 300), Buffer.alloc(1, 0xff), bytes.subarray(301)]),
  };
  it.each(Object.entries(damages))("a segment that %s before others is found, and everything is read again", async (_, damage) => {
    const machine = await complete(1);
    machine.isSealing = false;
    for (const [sector, fill] of [3, 5, 7].entries()) {
      await written(machine, 0, 8 * sector, 4, fill);
      machine.cut();
    }
    machine.die("kill");
    machine.isSealing = true;
    const [first = ""] = machine.medium.paths().filter((path) => path.endsWith(".log"));
    const bytes = damage(machine.medium.get(first) ?? Buffer.alloc(0));
    machine.damage(first, bytes);
    await machine.start();
    expect(machine.readAgain).toBe("journal-damaged");
    await machine.finish();
  });

  it("redoes no older segment that a power failure shows under the name of a new one", async () => {
    const machine = await complete(1);
    const segment = (): string => machine.medium.paths().find((path) => path.endsWith(".log")) ?? "";
    await written(machine, 0, 0, 8, 10);
    const old = machine.medium.get(segment());
    await machine.finish();
    await written(machine, 0, 0, 8, 20);
    await machine.time.finish(machine.flush(0));
    await machine.finish();
    await written(machine, 0, 64, 8, 30);
    const path = segment();
    machine.die("power");
    machine.damage(path, old);
    await machine.start();
    await machine.finish();
  });

  it("does not take the end of a log that failed for damage, once there is another log", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const machine = await complete(seed);
      machine.isSealing = false;
      await written(machine, 0, 0, 8, 10);
      machine.failJournal();
      await machine.time.finish(machine.flush(0));
      expect(machine.capture.recorder.mode).toEqual({ kind: "tracking", reason: "journal-failed" });
      machine.die("power");
      machine.isSealing = true;
      await machine.start();
      await machine.logAgain();
      machine.isSealing = false;
      await written(machine, 0, 64, 1, 11);
      machine.die("kill");
      machine.isSealing = true;
      await machine.start();
      expect(machine.readAgain).toBeUndefined();
      await machine.finish();
    }
  });

  it("a tail that a power failure tore is gone when there are other segments", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const machine = await complete(seed);
      machine.isSealing = false;
      await written(machine, 0, 0, 8, 7);
      await machine.time.finish(machine.flush(0));
      await written(machine, 0, 8, 24, 8);
      machine.die("power");
      await machine.start();
      await written(machine, 1, 0, 8, 9);
      machine.die("kill");
      machine.isSealing = true;
      await machine.start();
      expect(machine.readAgain).toBeUndefined();
      await machine.finish();
    }
  });

  it("takes nothing that lay on the medium before for a record of its own", async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const machine = await complete(seed, { staleChance: 1 });
      // Eight records of one sector end where a sector of the segment ends. The ones behind them are of the same length.
      for (let sector = 0; sector < 16; sector += 1) await written(machine, 0, sector % 8, 1, 10 + sector);
      await machine.finish();
      for (let sector = 0; sector < 8; sector += 1) await written(machine, 0, sector, 1, 50 + sector);
      await machine.time.finish(machine.flush(0));
      for (let sector = 0; sector < 8; sector += 1) await written(machine, 0, 8 + sector, 1, 60 + sector);
      machine.die("power");
      await machine.start();
    }
  });
});
