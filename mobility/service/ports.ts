import { randomBytes } from "node:crypto";
import { runScript } from "../consistency/script.ts";
import { bootId } from "../control/machine.ts";
import { startSealThread, type SealThread } from "../epochs/seal-thread.ts";
import { systemClock, type Clock } from "../system/clock.ts";
import type { Files } from "../system/files.ts";
import type { Log } from "../system/log.ts";
import { nodeFiles } from "../system/node-files.ts";
import { systemProcesses, type Processes } from "../system/process-start.ts";
import { createTransport, type Transport } from "../system/transport.ts";

/** The service's external dependencies, so that tests can replace the medium, time, chance and the network. */
export interface MobilityPorts {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: () => number;
  /** Unguessable bytes, for tokens and ids. */
  readonly randomBytes: (count: number) => Buffer;
  /** Closed by its creator. Reads the spool files that it sends. */
  readonly transport: Transport;
  /** Called once for each start of the service, which stops the thread. */
  readonly startSealThread: () => SealThread;
  readonly runScript: typeof runScript;
  readonly processes: Processes;
  readonly log: Log;
  /** Changes with every start of the machine. */
  readonly bootId: string;
}

export function systemPorts(log: Log): MobilityPorts {
  const files = nodeFiles();
  return {
    files,
    clock: systemClock(),
    random: Math.random,
    randomBytes: (count) => randomBytes(count),
    transport: createTransport(files),
    startSealThread,
    runScript,
    processes: systemProcesses(),
    log,
    bootId: bootId(),
  };
}
