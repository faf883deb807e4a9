import { createRandom, type Random } from "../memory/random.ts";
import { type FaultKind, type FaultRates, hashOf } from "./fault-model.ts";

/**
 * One history as data: what happens to whom and when. Everything else follows from it, so that leaving out a part
 * gives another history of the same kind.
 */
export interface HistoryPlan {
  readonly seed: number;
  /** The share of requests that each kind of fault strikes, until faults end. */
  readonly rates: FaultRates;
  readonly machines: readonly MachinePlan[];
  readonly appProcesses: number;
  /**
   * The limit of one page blob of the target account, in requests a second; undefined: no limit. It is no fault, and
   * stays when faults end.
   */
  readonly pageWritesPerSecond?: number;
  readonly policy: { readonly pointIntervalMs: number; readonly retentionMs: number };
  /** In order of time. Times count from the start of the history. */
  readonly steps: readonly Step[];
  /** When faults end. What is under way then must end by itself. */
  readonly calmMs: number;
}

export interface MachinePlan {
  /**
   * `disks`: protected by its disks, its service installed by hand. `machine`: a virtual machine, protected by a flow.
   */
  readonly protectedBy: "disks" | "machine";
  /** The number of sectors of each disk. */
  readonly sectors: readonly number[];
  readonly epochMaxAgeMs: number;
  /** Space for journal and spool beside the images. */
  readonly spoolMaxBytes: number;
  /** How long sealing one epoch takes: on a busy machine longer than the next epoch. */
  readonly sealMs: number;
}

export type Step = { readonly atMs: number } & (
  | {
      readonly kind: "guest";
      readonly machine: number;
      /** Mean time between writes; 0: none. */ readonly everyMs: number;
    }
  | {
      readonly kind: "service-killed" | "service-stopped" | "power-cut";
      readonly machine: number;
      readonly downMs: number;
    }
  | {
      readonly kind: "state-disk-full";
      readonly machine: number;
      readonly roomBytes: number;
      readonly durationMs: number;
    }
  | { readonly kind: "state-write-fails"; readonly machine: number; readonly times: number; readonly isDone: boolean }
  | { readonly kind: "journal-sync-fails"; readonly machine: number; readonly times: number }
  | { readonly kind: "clock-jumps"; readonly machine: number; readonly byMs: number }
  | { readonly kind: "clone-wakes" | "second-service"; readonly machine: number; readonly durationMs: number }
  | { readonly kind: "app-killed"; readonly downMs: number; /** All its processes. */ readonly isWhole?: boolean }
  | { readonly kind: "app-stalled"; readonly durationMs: number }
  | { readonly kind: "cache-away" | "control-away"; readonly durationMs: number }
  | { readonly kind: "region-lost" }
  | { readonly kind: "machine-refused"; readonly machine: number; readonly times: number }
  | {
      readonly kind: "delta-damaged" | "delta-removed" | "journal-damaged" | "manifest-damaged" | "record-damaged";
      readonly machine: number;
      /** The operator restores it from soft delete after this time. */
      readonly backMs?: number;
      /** True: all workers die in the middle of the next batch, and its journal is damaged. */
      readonly inBatch?: boolean;
    }
  | { readonly kind: "operate"; readonly machine: number; readonly operation: PlannedOperation }
);

export type PlannedOperation = "disable" | "enable" | "failover" | "commit" | "repair" | "restore";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

/** How a kind of history is weighted: most are short and of one machine, so that many can be run. */
export function planHistory(seed: number): HistoryPlan {
  const random = createRandom(hashOf(`plan ${seed}`));
  if (random.chance(0.09)) return planLateCommit(seed, random);
  if (random.chance(0.05)) return planSlowSealing(seed, random);
  const machines = Array.from({ length: random.chance(0.12) ? 2 : 1 }, () => planMachine(random));
  const activeMs = 30 * SECOND_MS + random.below(50 * SECOND_MS);
  const steps: Step[] = [];
  for (const [machine, { protectedBy }] of machines.entries()) {
    steps.push({ atMs: 0, kind: "operate", machine, operation: "enable" });
    steps.push(
      ...planGuest(random, machine, activeMs),
      ...planTroubles(random, machine, activeMs),
      ...planOperations(random, machine, activeMs),
      ...(protectedBy === "machine" ? planFlows(random, machine, activeMs) : []),
    );
  }
  steps.push(...planPlaces(random, activeMs));
  return {
    seed,
    rates: planRates(random),
    machines,
    appProcesses: 1 + random.below(3),
    ...(random.chance(0.2) ? { pageWritesPerSecond: random.pick([1, 2]) } : {}),
    policy: {
      pointIntervalMs: random.pick([MINUTE_MS, 20 * SECOND_MS, 20 * SECOND_MS]),
      retentionMs: random.pick([0, 10 * MINUTE_MS, 24 * 60 * MINUTE_MS]),
    },
    steps: steps.toSorted((one, other) => one.atMs - other.atMs),
    calmMs: Math.max(activeMs, ...steps.map((step) => troubledUntilMs(step, steps))),
  };
}

/** Faults last longer when a failover found no capacity, so that what the operator does next meets them too. */
function troubledUntilMs({ atMs, kind }: Step, steps: readonly Step[]): number {
  return kind === "operate" && steps.some((step) => step.kind === "machine-refused") ? atMs + MINUTE_MS : 0;
}

/**
 * A commit long after the failover, while the source still sends. Points are rare, so that earlier ones have settled
 * and the next one is due soon after the commit.
 */
function planLateCommit(seed: number, random: Random): HistoryPlan {
  const failMs = 50 * SECOND_MS + random.below(30 * SECOND_MS);
  const commitMs = failMs + 130 * SECOND_MS + random.below(50 * SECOND_MS);
  const operate = (atMs: number, operation: PlannedOperation): Step => ({
    atMs,
    kind: "operate",
    machine: 0,
    operation,
  });
  return {
    seed,
    rates: random.chance(0.5) ? {} : planRates(random),
    machines: [{ ...planMachine(random), protectedBy: "machine" }],
    appProcesses: 1 + random.below(2),
    policy: { pointIntervalMs: 3 * MINUTE_MS, retentionMs: 24 * 60 * MINUTE_MS },
    steps: [
      operate(0, "enable"),
      { atMs: 0, kind: "guest", machine: 0, everyMs: 2_000 },
      operate(failMs, "failover"),
      operate(commitMs, "commit"),
    ],
    calmMs: commitMs + MINUTE_MS,
  };
}

/** Epochs wait for a busy machine to seal them when the disk of the state folder is full. */
function planSlowSealing(seed: number, random: Random): HistoryPlan {
  const fullMs = 30 * SECOND_MS + random.below(20 * SECOND_MS);
  const full = {
    kind: "state-disk-full",
    machine: 0,
    roomBytes: 1_000 + random.below(3_000),
    durationMs: 50 * SECOND_MS,
  } as const;
  return {
    seed,
    rates: random.chance(0.5) ? {} : planRates(random),
    machines: [{ ...planMachine(random), protectedBy: "disks", epochMaxAgeMs: 3 * SECOND_MS, sealMs: 4 * SECOND_MS }],
    appProcesses: 1 + random.below(2),
    policy: { pointIntervalMs: 20 * SECOND_MS, retentionMs: 24 * 60 * MINUTE_MS },
    steps: [
      { atMs: 0, kind: "operate", machine: 0, operation: "enable" },
      { atMs: 0, kind: "guest", machine: 0, everyMs: 1_000 },
      { atMs: fullMs, ...full },
    ],
    calmMs: fullMs + MINUTE_MS,
  };
}

function planMachine(random: Random): MachinePlan {
  return {
    protectedBy: random.chance(0.5) ? "machine" : "disks",
    sectors: [16 + random.below(32), random.pick([8, 17, 40])],
    epochMaxAgeMs: random.pick([3, 5, 10]) * SECOND_MS,
    spoolMaxBytes: 1024 * 1024,
    sealMs: random.pick([5, 5, 4_000]),
  };
}

function planRates(random: Random): FaultRates {
  // One history in five has no faults of requests, so that its violations have other causes.
  if (random.chance(0.2)) return {};
  const rates: Partial<Record<FaultKind, number>> = {};
  const some: readonly FaultKind[] = [
    "request-lost",
    "answer-lost",
    "effect-late",
    "request-slow",
    "request-hangs",
    "throttled",
  ];
  for (const kind of some) if (random.chance(0.5)) rates[kind] = random.pick([0.002, 0.01, 0.03]);
  for (const kind of ["event-lost", "event-repeated", "event-late", "message-repeated"] as const) {
    if (random.chance(0.5)) rates[kind] = random.pick([0.1, 0.4]);
  }
  for (const kind of ["listing-stale", "resource-late", "in-use-late", "activity-repeated"] as const) {
    if (random.chance(0.4)) rates[kind] = random.pick([0.1, 0.3, 0.6]);
  }
  return rates;
}

function planGuest(random: Random, machine: number, activeMs: number): readonly Step[] {
  const steps: Step[] = [{ atMs: 0, kind: "guest", machine, everyMs: random.pick([500, 2_000, 5_000]) }];
  for (let count = random.below(3); count > 0; count -= 1) {
    steps.push({ atMs: random.below(activeMs), kind: "guest", machine, everyMs: random.pick([0, 300, 1_000, 4_000]) });
  }
  return steps;
}

/** At most three faults of one machine: more of them would hide each other. */
function planTroubles(random: Random, machine: number, activeMs: number): readonly Step[] {
  const troubles = Array.from({ length: random.below(4) }, (): readonly Step[] => {
    const atMs = 5 * SECOND_MS + random.below(activeMs - 5 * SECOND_MS);
    const downMs = random.pick([0, 2, 10, 40]) * SECOND_MS;
    const busy: Step = { atMs, kind: "guest", machine, everyMs: random.pick([300, 1_000]) };
    const kind = random.pick([
      "service-killed",
      "service-killed",
      "service-stopped",
      "power-cut",
      "power-cut",
      "state-disk-full",
      "state-disk-full",
      "state-write-fails",
      "state-write-fails",
      "journal-sync-fails",
      "clock-jumps",
      "clone-wakes",
      "second-service",
      "delta-damaged",
      "delta-removed",
      "journal-damaged",
      "journal-damaged",
      "manifest-damaged",
      "record-damaged",
    ] as const);
    switch (kind) {
      case "service-killed":
      case "service-stopped":
      case "power-cut":
        return [{ atMs, kind, machine, downMs }];
      case "state-disk-full":
        return [
          {
            atMs,
            kind,
            machine,
            roomBytes: random.pick([0, 2_000, 5_000, 20_000]),
            durationMs: (10 + random.below(45)) * SECOND_MS,
          },
          busy,
        ];
      case "state-write-fails":
        return [{ atMs, kind, machine, times: random.pick([1, 2, 3, 5]), isDone: random.chance(0.3) }];
      case "journal-sync-fails":
        return [{ atMs, kind, machine, times: random.pick([1, 2]) }];
      case "clock-jumps":
        return [
          {
            atMs,
            kind,
            machine,
            byMs: random.pick([-1, 1]) * random.pick([2 * SECOND_MS, 3 * MINUTE_MS, 200 * 24 * 60 * MINUTE_MS]),
          },
        ];
      case "clone-wakes":
      case "second-service":
        return [{ atMs, kind, machine, durationMs: (10 + random.below(60)) * SECOND_MS }];
      case "delta-damaged":
      case "delta-removed":
      case "journal-damaged":
      case "manifest-damaged":
      case "record-damaged":
        return planDamage(random, machine, atMs, kind);
    }
  });
  return troubles.flat();
}

type DamageKind = "delta-damaged" | "delta-removed" | "journal-damaged" | "manifest-damaged" | "record-damaged";

function planDamage(random: Random, machine: number, atMs: number, kind: DamageKind): readonly Step[] {
  // Manifests and other records are not restored: a manifest that returns is not published again, because points are
  // published once and in order, and other records are made anew by then.
  const isOfRecord = kind === "manifest-damaged" || kind === "record-damaged";
  const back = !isOfRecord && random.chance(0.3) ? { backMs: random.pick([10, 40, 200]) * SECOND_MS } : {};
  if (kind === "journal-damaged") return [{ atMs, kind, machine, inBatch: random.chance(0.8), ...back }];
  const isOfDelta = !isOfRecord;
  // Nothing is applied for a while, so that there are good deltas before and behind the damaged one.
  const backlog: readonly Step[] =
    isOfDelta && random.chance(0.6)
      ? [{ atMs: Math.max(0, atMs - 25 * SECOND_MS), kind: "app-killed", downMs: 30 * SECOND_MS, isWhole: true }]
      : [];
  return [...backlog, { atMs, kind, machine, ...back }];
}

function planOperations(random: Random, machine: number, activeMs: number): readonly Step[] {
  const at = (): number => 15 * SECOND_MS + random.below(activeMs);
  const steps: Step[] = [];
  if (random.chance(0.2)) steps.push({ atMs: at(), kind: "operate", machine, operation: "restore" });
  if (random.chance(0.12)) steps.push({ atMs: at(), kind: "operate", machine, operation: "repair" });
  return steps;
}

/** Operations that run as flows, which only machines have: at most one sequence of them, up to its end. */
function planFlows(random: Random, machine: number, activeMs: number): readonly Step[] {
  const operate = (atMs: number, operation: PlannedOperation): Step => ({ atMs, kind: "operate", machine, operation });
  const atMs = 20 * SECOND_MS + random.below(activeMs);
  const laterMs = atMs + 20 * SECOND_MS + random.below(MINUTE_MS);
  const chance = random.next();
  if (chance < 0.35) {
    // Enabled again at once or later, when the first life is over or nearly over.
    return [
      operate(atMs, "disable"),
      ...(random.chance(0.8) ? [operate(atMs + random.below(40 * SECOND_MS), "enable")] : []),
    ];
  }
  if (chance < 0.6) {
    // The target region has no capacity; the operator tries again when there is some, or gives up.
    const again = random.pick(["failover", "failover", "disable"] as const);
    return [
      { atMs: 0, kind: "machine-refused", machine, times: 1 },
      operate(atMs, "failover"),
      operate(laterMs, again),
    ];
  }
  if (chance < 0.8) return [operate(atMs, "failover"), ...(random.chance(0.6) ? [operate(laterMs, "commit")] : [])];
  return [];
}

function planPlaces(random: Random, activeMs: number): readonly Step[] {
  const at = (): number => 5 * SECOND_MS + random.below(activeMs - 5 * SECOND_MS);
  const steps: Step[] = [];
  for (let count = random.below(3); count > 0; count -= 1) {
    const kind = random.pick(["app-killed", "app-killed", "app-stalled", "cache-away", "control-away"] as const);
    const durationMs = random.pick([3, 10, 30, 70]) * SECOND_MS;
    steps.push(
      kind === "app-killed"
        ? { atMs: at(), kind, downMs: random.pick([0, 5, 30]) * SECOND_MS }
        : { atMs: at(), kind, durationMs },
    );
  }
  if (random.chance(0.08)) steps.push({ atMs: at(), kind: "region-lost" });
  return steps;
}
