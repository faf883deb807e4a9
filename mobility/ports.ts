import { bootId } from "./control/machine.ts";
import type { Log } from "./log.ts";
import { createTransport } from "./upload/transport.ts";
import type { Transport } from "./upload/transport.ts";

/** What the service takes from outside, so that tests can hold time, chance and the network. */
export interface MobilityPorts {
  readonly clock: { now(): number };
  readonly random: () => number;
  /** Closed by whoever made it. */
  readonly transport: Transport;
  readonly log: Log;
  /** Changes with every start of the machine. */
  readonly bootId: string;
}

export function systemPorts(log: Log): MobilityPorts {
  return { clock: { now: () => Date.now() }, random: Math.random, transport: createTransport(), log, bootId: bootId() };
}

/** Milliseconds that never jump back. */
export const monotonicMs = (): number => performance.now();
