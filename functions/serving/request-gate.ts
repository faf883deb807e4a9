import { LeewardError } from "../../replication/errors.ts";
import type { Clock } from "../../replication/ports.ts";
import {
  HEARTBEATS_AT_ONCE,
  HEARTBEATS_BURST,
  HEARTBEATS_OF_SERVICE_AT_ONCE,
  HEARTBEATS_REFILL_MS,
  SERVICES_COUNTED_MAX,
  SETTLES_AT_ONCE,
  SETTLES_BURST,
  SETTLES_OF_SERVICE_AT_ONCE,
  SETTLES_REFILL_MS,
} from "../limits.ts";

/**
 * Admits as many requests as one process can answer and one caller may send. In memory: each process of the app has its
 * own gate.
 */
export interface RequestGate {
  /** Runs `work` or throws `too-many-requests` at once; nothing waits here. */
  run<Result>(caller: string, work: () => Promise<Result>): Promise<Result>;
}

export interface GateBounds {
  /** Of all callers together. */
  readonly atOnce: number;
  readonly ofCallerAtOnce: number;
  /** Requests of one caller in a row ... */
  readonly burst: number;
  /** ... and after how long it may send another one. */
  readonly refillMs: number;
}

interface Caller {
  running: number;
  /** Requests left of the burst at `atMs`. */
  left: number;
  atMs: number;
}

/** The gate of one route of mobility services. */
export interface ServiceGate {
  /** Runs `work` for the sender of a token of this hash for this item, or throws `too-many-requests` at once. */
  run<Result>(itemId: string, tokenHash: string, work: () => Promise<Result>): Promise<Result>;
}

export interface ServiceGates {
  readonly register: ServiceGate;
  readonly heartbeat: ServiceGate;
  readonly settle: ServiceGate;
}

export function openServiceGates(clock: Clock): ServiceGates {
  const talk = {
    atOnce: HEARTBEATS_AT_ONCE,
    ofCallerAtOnce: HEARTBEATS_OF_SERVICE_AT_ONCE,
    burst: HEARTBEATS_BURST,
    refillMs: HEARTBEATS_REFILL_MS,
  };
  const settle = {
    atOnce: SETTLES_AT_ONCE,
    ofCallerAtOnce: SETTLES_OF_SERVICE_AT_ONCE,
    burst: SETTLES_BURST,
    refillMs: SETTLES_REFILL_MS,
  };
  return {
    register: openServiceGate(clock, talk),
    heartbeat: openServiceGate(clock, talk),
    settle: openServiceGate(clock, settle),
  };
}

/**
 * Each token has its own caller's share. The holder of an old ticket of the item can invent any number of tokens,
 * though, so all tokens but the one answered last also share one caller's share: they take nothing from that token, and
 * no more from other items than one service may.
 */
function openServiceGate(clock: Clock, bounds: GateBounds): ServiceGate {
  const callers = openRequestGate(clock, bounds);
  const unproven = openRequestGate(clock, bounds);
  /** By item, least recently answered first. */
  const answered = new Map<string, string>();
  return {
    run: async (itemId, tokenHash, work) => {
      const asCaller = () => callers.run(`${itemId}/${tokenHash}`, work);
      const result = await (answered.get(itemId) === tokenHash ? asCaller() : unproven.run(itemId, asCaller));
      answered.delete(itemId);
      answered.set(itemId, tokenHash);
      const oldest = answered.keys().next().value;
      if (answered.size > SERVICES_COUNTED_MAX && oldest !== undefined) answered.delete(oldest);
      return result;
    },
  };
}

export function openRequestGate(clock: Clock, bounds: GateBounds): RequestGate {
  /** Least recently heard first. */
  const callers = new Map<string, Caller>();
  let running = 0;
  const callerOf = (name: string): Caller => {
    const found = callers.get(name) ?? { running: 0, left: bounds.burst, atMs: clock.now() };
    callers.delete(name);
    callers.set(name, found);
    const oldest = callers.keys().next().value;
    if (callers.size > SERVICES_COUNTED_MAX && oldest !== undefined) callers.delete(oldest);
    return found;
  };
  return {
    run: async (name, work) => {
      const caller = callerOf(name);
      refill(caller, bounds, clock.now());
      if (running >= bounds.atOnce || caller.running >= bounds.ofCallerAtOnce) throw tooMany(bounds.refillMs);
      if (caller.left < 1) throw tooMany(bounds.refillMs * (1 - caller.left));
      caller.left -= 1;
      caller.running += 1;
      running += 1;
      try {
        return await work();
      } finally {
        caller.running -= 1;
        running -= 1;
      }
    },
  };
}

/** Setting the clock back neither adds nor removes requests. */
function refill(caller: Caller, { burst, refillMs }: GateBounds, nowMs: number): void {
  caller.left = Math.min(burst, caller.left + Math.max(0, nowMs - caller.atMs) / refillMs);
  caller.atMs = nowMs;
}

function tooMany(retryAfterMs: number): LeewardError {
  return new LeewardError("too-many-requests", "Too many requests of this kind.", {
    retryAfterMs: Math.ceil(retryAfterMs),
  });
}
