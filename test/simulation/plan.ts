import { createRandom, type Random } from "../memory/random.ts";
import type { FaultKind, FaultRates } from "./fault-model.ts";

/** One history as data: what happens to whom and when. Everything else follows from it, so that leaving out a part gives another history of the same kind. */
export interface HistoryPlan {
  readonly seed: number;
  /** Shares of requests that are struck while faults last. */
  readonly rates: FaultRates;
  readonly machines: readonly MachinePlan[];
  readonly appProcesses: number;
  readonly policy: { readonly pointIntervalMs: number; readonly retentionMs: number };
  /** In the order of their times, which count from the beginning. */
  readonly steps: readonly Step[];
  /** When faults end. What goes on then must come to its end by itself. */
  readonly calmMs: number;
}

export interface MachinePlan {
  /** `disks`: protected by its disks, its service installed by hand. `machine`: a virtual machine, protected by a flow. */
  readonly protectedBy: "disks" | "machine";
  /** Of each disk. */
  readonly sectors: readonly number[];
  readonly epochMaxAgeMs: number;
  /** Room for journal and spool beside the images. */
  readonly spoolMaxBytes: number;
}

export type Step = { readonly atMs: number } & (
  | { readonly kind: "guest"; readonly machine: number; /** A write every so often; 0: none. */ readonly everyMs: number }
  | { readonly kind: "service-killed" | "service-stopped" | "power-cut"; readonly machine: number; readonly downMs: number }
  | { readonly kind: "state-disk-full"; readonly machine: number; readonly roomBytes: number; readonly durationMs: number }
  | { readonly kind: "state-write-fails"; readonly machine: number; readonly times: number; readonly isDone: boolean }
  | { readonly kind: "journal-sync-fails"; readonly machine: number; readonly times: number }
  | { readonly kind: "clock-jumps"; readonly machine: number; readonly byMs: number }
  | { readonly kind: "clone-wakes" | "second-service"; readonly machine: number; readonly durationMs: number }
  | { readonly kind: "app-killed"; readonly downMs: number }
  | { readonly kind: "app-stalled"; readonly durationMs: number }
  | { readonly kind: "cache-away" | "control-away"; readonly durationMs: number }
  | { readonly kind: "region-lost" }
  | { readonly kind: "delta-damaged" | "delta-removed" | "journal-damaged" | "manifest-damaged"; readonly machine: number }
  | { readonly kind: "operate"; readonly machine: number; readonly operation: PlannedOperation }
);

export type PlannedOperation = "disable" | "enable" | "failover" | "commit" | "repair" | "restore";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

/** How a kind of history is weighted: most are short and of one machine, so that many can be run. */
export function planHistory(seed: number): HistoryPlan {
  const random = createRandom(seed ^ 0x5eed);
  const machines = Array.from({ length: random.chance(0.12) ? 2 : 1 }, () => planMachine(random));
  const activeMs = 40 * SECOND_MS + random.below(80 * SECOND_MS);
  const steps: Step[] = [];
  for (const machine of machines.keys()) {
    steps.push({ atMs: 0, kind: "operate", machine, operation: "enable" });
    steps.push(
      ...planGuest(random, machine, activeMs),
      ...planTroubles(random, machine, activeMs),
      ...planOperations(random, machine, activeMs),
    );
  }
  steps.push(...planPlaces(random, activeMs));
  return {
    seed,
    rates: planRates(random),
    machines,
    appProcesses: 1 + random.below(3),
    policy: {
      pointIntervalMs: random.pick([MINUTE_MS, 20 * SECOND_MS, 20 * SECOND_MS]),
      retentionMs: random.pick([0, 10 * MINUTE_MS, 24 * 60 * MINUTE_MS]),
    },
    steps: steps.toSorted((one, other) => one.atMs - other.atMs),
    calmMs: activeMs,
  };
}

function planMachine(random: Random): MachinePlan {
  return {
    protectedBy: random.chance(0.3) ? "machine" : "disks",
    sectors: [16 + random.below(32), random.pick([8, 17, 40])],
    epochMaxAgeMs: random.pick([3, 5, 10]) * SECOND_MS,
    spoolMaxBytes: 1024 * 1024,
  };
}

function planRates(random: Random): FaultRates {
  // One history in five has no faults of requests at all: what is left then has other reasons.
  if (random.chance(0.2)) return {};
  const rates: Partial<Record<FaultKind, number>> = {};
  const some: readonly FaultKind[] = ["request-lost", "answer-lost", "effect-late", "request-slow", "request-hangs", "throttled"];
  for (const kind of some) if (random.chance(0.5)) rates[kind] = random.pick([0.002, 0.01, 0.03]);
  for (const kind of ["event-lost", "event-repeated", "event-late", "message-repeated"] as const) {
    if (random.chance(0.5)) rates[kind] = random.pick([0.1, 0.4]);
  }
  for (const kind of ["listing-stale", "resource-late", "in-use-late", "activity-repeated"] as const) {
    if (random.chance(0.4)) rates[kind] = random.pick([0.1, 0.3]);
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

/** At most three troubles of one machine: more hide each other. */
function planTroubles(random: Random, machine: number, activeMs: number): readonly Step[] {
  return Array.from({ length: random.below(4) }, (): Step => {
    const atMs = 5 * SECOND_MS + random.below(activeMs - 5 * SECOND_MS);
    const downMs = random.pick([0, 2, 10, 40]) * SECOND_MS;
    const kind = random.pick([
      "service-killed",
      "service-killed",
      "service-stopped",
      "power-cut",
      "power-cut",
      "state-disk-full",
      "state-disk-full",
      "state-write-fails",
      "journal-sync-fails",
      "clock-jumps",
      "clone-wakes",
      "second-service",
      "delta-damaged",
      "delta-removed",
      "journal-damaged",
      "manifest-damaged",
    ] as const);
    switch (kind) {
      case "service-killed":
      case "service-stopped":
      case "power-cut":
        return { atMs, kind, machine, downMs };
      case "state-disk-full":
        return { atMs, kind, machine, roomBytes: random.pick([0, 4_096, 20_000, 60_000]), durationMs: (3 + random.below(40)) * SECOND_MS };
      case "state-write-fails":
        return { atMs, kind, machine, times: random.pick([1, 2, 3, 5]), isDone: random.chance(0.3) };
      case "journal-sync-fails":
        return { atMs, kind, machine, times: random.pick([1, 2]) };
      case "clock-jumps":
        return { atMs, kind, machine, byMs: random.pick([-1, 1]) * random.pick([2 * SECOND_MS, 3 * MINUTE_MS, 200 * 24 * 60 * MINUTE_MS]) };
      case "clone-wakes":
      case "second-service":
        return { atMs, kind, machine, durationMs: (10 + random.below(60)) * SECOND_MS };
      case "delta-damaged":
      case "delta-removed":
      case "journal-damaged":
      case "manifest-damaged":
        return { atMs, kind, machine };
    }
  });
}

function planOperations(random: Random, machine: number, activeMs: number): readonly Step[] {
  const at = (): number => 15 * SECOND_MS + random.below(activeMs);
  const steps: Step[] = [];
  if (random.chance(0.2)) steps.push({ atMs: at(), kind: "operate", machine, operation: "restore" });
  if (random.chance(0.12)) steps.push({ atMs: at(), kind: "operate", machine, operation: "repair" });
  if (random.chance(0.25)) {
    const endMs = at();
    steps.push({ atMs: endMs, kind: "operate", machine, operation: "disable" });
    // Again at once, or later: the first life is over, or nearly.
    if (random.chance(0.7)) steps.push({ atMs: endMs + random.below(40 * SECOND_MS), kind: "operate", machine, operation: "enable" });
    return steps;
  }
  if (random.chance(0.25)) {
    const failMs = at();
    steps.push({ atMs: failMs, kind: "operate", machine, operation: "failover" });
    if (random.chance(0.5))
      steps.push({ atMs: failMs + 20 * SECOND_MS + random.below(MINUTE_MS), kind: "operate", machine, operation: "commit" });
  }
  return steps;
}

function planPlaces(random: Random, activeMs: number): readonly Step[] {
  const at = (): number => 5 * SECOND_MS + random.below(activeMs - 5 * SECOND_MS);
  const steps: Step[] = [];
  for (let count = random.below(3); count > 0; count -= 1) {
    const kind = random.pick(["app-killed", "app-killed", "app-stalled", "cache-away", "control-away"] as const);
    const durationMs = random.pick([3, 10, 30, 70]) * SECOND_MS;
    steps.push(
      kind === "app-killed" ? { atMs: at(), kind, downMs: random.pick([0, 5, 30]) * SECOND_MS } : { atMs: at(), kind, durationMs },
    );
  }
  if (random.chance(0.08)) steps.push({ atMs: at(), kind: "region-lost" });
  return steps;
}
