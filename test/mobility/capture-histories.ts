import * as fc from "fast-check";
import type { Death } from "./source-machine.ts";

/** What a history is made of. */
export type Step =
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
  /** The control plane names its newest stream, or one that it has just minted. */
  | { readonly kind: "begin-stream"; readonly mints: boolean }
  | { readonly kind: Counted; readonly count: number };
type Counted = "idle" | "upload" | "bound" | "resynchronize" | "tight" | "failing-state" | "failing-state-late";
/**
 * How the process or the machine dies after a step has begun: some turns later, or in the middle of an operation on the
 * medium.
 */
export interface End {
  readonly death: Death;
  readonly after: "turns" | "operations";
  readonly count: number;
}
export interface Event {
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
const counted = (kind: Counted, max: number) => fc.record({ kind: fc.constant(kind), count: fc.nat(max) });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: write },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush" as const), disk: fc.nat(1) }) },
  { weight: 4, arbitrary: counted("idle", 30) },
  { weight: 4, arbitrary: counted("upload", 6) },
  { weight: 3, arbitrary: counted("bound", 2) },
  { weight: 1, arbitrary: counted("resynchronize", 2) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("stop" as const), reboot: fc.boolean() }) },
  { weight: 2, arbitrary: counted("tight", 4) },
  { weight: 1, arbitrary: counted("failing-state", 6) },
  { weight: 1, arbitrary: counted("failing-state-late", 6) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("begin-stream" as const), mints: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "cut" as const,
        "calm" as const,
        "full" as const,
        "room" as const,
        "failing-journal" as const,
      ),
    }),
  },
);
export const end: fc.Arbitrary<End> = fc.record({
  death: fc.constantFrom("kill" as const, "power" as const),
  after: fc.constantFrom("turns" as const, "operations" as const),
  count: fc.nat(20),
});
export const event: fc.Arbitrary<Event> = fc.record({
  step,
  end: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, end),
  startEnd: fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, end),
});
export const BOUNDS = [8192, 40_000, 1024 * 1024];
/** What journal and spool may still take before one of their files is removed. */
export const ROOMS = [0, 700, 4000, 13_000, 60_000];

type Fate = "none" | Death;
const at = (step: Step, death: Fate = "none", count = 0): Event => ({
  step,
  end: death === "none" ? undefined : { death, after: "turns", count },
  startEnd: undefined,
});
/** The process dies in the middle of its nth operation on the medium. */
const killedIn = (step: Step, count: number): Event => ({
  step,
  end: { death: "kill", after: "operations", count },
  startEnd: undefined,
});
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
  {
    complete: true,
    events: [at({ kind: "stop", reboot: false }), at(writes(0, 0, 8, 7)), at(writes(1, 0, 24, 5), "power")],
  },
  // Heated by a process that was killed before the activity log was durable, and touched by the next one.
  {
    complete: true,
    events: [killedIn(writes(0, 0, 4, 7), 1), at(writes(0, 0, 4, 9)), at(writes(0, 8, 4, 3), "power")],
  },
  // Flushed into the journal, then the log ended, and its records are not redone any more: the image must have had them
  // on the medium.
  {
    complete: true,
    events: [at(writes(0, 0, 8, 7)), at({ kind: "flush", disk: 0 }), at(TIGHT), at(writes(1, 40, 24, 3), "power", 30)],
  },
  // Flushed into the journal, sealed, and the segment removed.
  {
    complete: true,
    events: [
      at(writes(0, 0, 8, 7)),
      at({ kind: "flush", disk: 0 }),
      at({ kind: "calm" }),
      at({ kind: "idle", count: 0 }, "power"),
    ],
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
  // Recorded, its region let go because the journal had it durably, then given up: only what of the map is durable
  // knows of it.
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
  // Two epochs wait, the first is given up, and what it gives back is room for the second.
  ...(["none", "kill", "power"] as const).map((death) => ({
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
  // Sealed, and the state file could not be written.
  ...(["failing-state", "failing-state-late"] as const).flatMap((kind) =>
    (["none", "kill", "power"] as const).map((death) => ({
      complete: true,
      events: [
        at(writes(0, 0, 24, 7)),
        at({ kind, count: 2 }),
        at({ kind: "cut" }),
        at({ kind: "idle", count: 30 }, death, 30),
        at(writes(0, 64, 1, 9)),
        at({ kind: "calm" }),
      ],
    })),
  ),
  // Another stream begins while deltas and segments of the old one wait: with deaths on the way, on a full disk, or
  // with a state file that fails.
  ...(["none", "kill", "power"] as const).flatMap((death) =>
    [2, 8, 14, 20, 30].map((count) => ({
      complete: count < 20,
      events: [
        at(writes(0, 0, 24, 7)),
        at({ kind: "cut" }),
        at({ kind: "idle", count: 20 }),
        ...(count > 8 ? [at({ kind: "full" })] : []),
        at(writes(0, 64, 12, 9)),
        at({ kind: "cut" }),
        at(writes(1, 0, 12, 5)),
        ...(count > 20 ? [at({ kind: "failing-state-late", count: 2 })] : []),
        at({ kind: "begin-stream", mints: true }, death, count),
        at(writes(1, 12, 12, 6)),
        at({ kind: "room" }),
        at({ kind: "begin-stream", mints: false }),
        at(writes(0, 0, 8, 0)),
        at({ kind: "idle", count: 0 }, death),
        at({ kind: "calm" }),
      ],
    })),
  ),
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
  // Initial replication brought data over; then, without a log, zeros and data took its place, behind the place where
  // it stood and before.
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
/** Each with eight seeds. */
export const EXAMPLES = RARE.flatMap(({ complete, events }, index) =>
  [1, 2, 3, 4, 5, 6, 7, 8].map((seed): [Event[], number, number, undefined] => [
    [...events],
    100 * index + seed,
    complete ? 1 : 0,
    undefined,
  ]),
);
