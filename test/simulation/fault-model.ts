import { RestError } from "@azure/storage-blob";
import { type StoreAccess, storageError } from "../../azure/errors.ts";
import { LeewardError } from "../../replication/errors.ts";
import { type Random, createRandom } from "../memory/random.ts";
import { serverBusy } from "../memory/throttled-disks.ts";

/**
 * The fault model: everything that a history may inject, and what the product must do then. `survived`: once the fault
 * is over replication continues by itself, and no promise is broken. `repaired`: an operator's operation restores it.
 * `detected`: it is reported, nothing wrong is believed, and everything it did not touch stays usable.
 */
export const FAULT_MODEL = {
  // Single requests, to storage, to the control plane, or to Resource Manager.
  "request-lost": "survived",
  "answer-lost": "survived",
  "effect-late": "survived",
  "request-slow": "survived",
  "request-hangs": "survived",
  throttled: "survived",
  "listing-stale": "survived",
  "resource-late": "survived",
  "in-use-late": "survived",
  // Events and messages.
  "event-lost": "survived",
  "event-repeated": "survived",
  "event-late": "survived",
  "message-repeated": "survived",
  // Processes.
  "app-killed": "survived",
  "app-stalled": "survived",
  "service-killed": "survived",
  "service-stopped": "survived",
  "activity-repeated": "survived",
  // Machines.
  "power-cut": "survived",
  "state-disk-full": "survived",
  "state-write-fails": "survived",
  "journal-sync-fails": "survived",
  "clock-jumps": "survived",
  "clone-wakes": "survived",
  // Places.
  "cache-away": "survived",
  "control-away": "survived",
  "region-lost": "detected",
  // A failover ends with an error, and can be asked for again.
  "machine-refused": "detected",
  // Two services for one item, of which one uploads. When that is the wrong one, the other reports it and needs a
  // repair.
  "second-service": "repaired",
  // Damage.
  "delta-damaged": "repaired",
  "delta-removed": "repaired",
  "journal-damaged": "repaired",
  "manifest-damaged": "detected",
  "record-damaged": "survived",
} as const satisfies Readonly<Record<string, "survived" | "repaired" | "detected">>;

export type FaultKind = keyof typeof FAULT_MODEL;

/** One request of a process, before it is sent. */
export interface SentCall {
  /** `cache` and `source` lie in the source region; the others in the target region, or everywhere. */
  readonly place: "cache" | "target" | "control" | "manager" | "queue" | "topic";
  readonly access: StoreAccess;
  /** For the trace, and for the errors. */
  readonly operation: string;
}

/** The fate of a request. Times count from its sending. */
interface Fate {
  /** When its effect takes place; undefined: never. */
  readonly arrivesMs: number | undefined;
  /** When the caller gets the answer, or learns that there is none. */
  readonly answersMs: number;
  readonly kind: "answered" | "unanswered" | "throttled";
}

/** How often each kind of fault strikes a request while faults last. Zero switches a kind off. */
export type FaultRates = Readonly<Partial<Record<FaultKind, number>>>;

/**
 * Decides the fate of each request at random. The fates of one process do not depend on the requests of others, so
 * that a history changes little when a part is left out.
 */
export interface FaultInjector {
  fate(processName: string, callNumber: number, call: SentCall): Fate;
}

const FAST_MS = 2;
const USUAL_MS = 40;
const SLOW_MS = 4_000;
const LATE_MS = 90_000;
/** The PUT of a resource. If its item was disabled meanwhile, the sweep checks for it again after an hour. */
export const LATE_RESOURCE_MS = 10 * 60_000;
/** A removal names no version: a very late one would remove what the item's next life has made under the name. */
const LATE_REMOVAL_MS = 25_000;
/** The product's own limits for one request, by place and access (`replication/limits.ts`); a client gives up then. */
const GIVES_UP_MS = { read: 60_000, write: 20_000 } as const;

export function createFaultInjector(seed: number, rates: FaultRates, isCalm: () => boolean): FaultInjector {
  return {
    fate: (processName, callNumber, call) => {
      const random = createRandom(hashOf(`${seed} ${processName} ${callNumber}`));
      const usualMs = FAST_MS + random.below(USUAL_MS);
      const usual: Fate = { arrivesMs: usualMs / 2, answersMs: usualMs, kind: "answered" };
      if (isCalm()) return usual;
      const struck = strike(random, rates);
      const giveUpMs = call.place === "manager" ? 65_000 : call.place === "control" ? 10_000 : GIVES_UP_MS[call.access];
      switch (struck) {
        case "request-lost":
          return { arrivesMs: undefined, answersMs: usualMs, kind: "unanswered" };
        case "answer-lost":
          return { arrivesMs: usualMs / 2, answersMs: usualMs, kind: "unanswered" };
        case "effect-late":
          // If one of many requests were late, only a part of the effect would be, with the names that were known when
          // it was sent. The model has no parts, so only the answer is lost.
          if (MANY_REQUESTS.test(call.operation))
            return { arrivesMs: usualMs / 2, answersMs: usualMs, kind: "unanswered" };
          return {
            arrivesMs: usualMs + random.below(latestMs(call, giveUpMs)),
            answersMs: usualMs,
            kind: "unanswered",
          };
        case "request-slow":
          return { arrivesMs: random.below(SLOW_MS), answersMs: SLOW_MS + usualMs, kind: "answered" };
        case "request-hangs":
          return {
            arrivesMs: random.chance(0.5) ? random.below(giveUpMs) : undefined,
            answersMs: giveUpMs,
            kind: "unanswered",
          };
        case "throttled":
          return { arrivesMs: undefined, answersMs: usualMs, kind: "throttled" };
        case undefined:
          return usual;
      }
    },
  };
}

function latestMs({ place, operation }: SentCall, giveUpMs: number): number {
  if (place === "control") return giveUpMs;
  if (place !== "manager") return LATE_MS;
  return operation.startsWith("manager.begin put/") ? LATE_RESOURCE_MS : LATE_REMOVAL_MS;
}

/** Calls of a port that the adapter makes as many requests, and the memory double as one effect. */
const MANY_REQUESTS = /^stores\.(removeTargetData|removeCacheData|createContainers) /;

const OF_REQUESTS = [
  "request-lost",
  "answer-lost",
  "effect-late",
  "request-slow",
  "request-hangs",
  "throttled",
] as const;

function strike(random: Random, rates: FaultRates): (typeof OF_REQUESTS)[number] | undefined {
  let chance = random.next();
  for (const kind of OF_REQUESTS) {
    chance -= rates[kind] ?? 0;
    if (chance < 0) return kind;
  }
  return undefined;
}

/**
 * What the caller of a request gets when it has no answer: for storage, what the adapter makes of Azure's own answer.
 */
export function failureOf(call: SentCall, kind: "unanswered" | "throttled"): LeewardError {
  switch (call.place) {
    case "control":
      return new LeewardError("control-unavailable", `${call.operation}: no whole answer came.`);
    case "topic":
      return new LeewardError("events-unavailable", `${call.operation}: nobody answered.`);
    case "manager":
      return new LeewardError("azure-unavailable", `${call.operation}: nobody answered.`);
    case "cache":
    case "target":
    case "queue": {
      const error =
        kind === "throttled" ? serverBusy() : new RestError("The connection was reset.", { code: "ECONNRESET" });
      return storageError(error, call.access, call.operation);
    }
  }
}

/** FNV-1a: a whole number that follows from the text alone. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
