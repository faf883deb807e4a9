import { createSealMemory, sealEpoch } from "../../mobility/epochs/seal.ts";
import type { Log } from "../../mobility/system/log.ts";
import type { MobilityPorts } from "../../mobility/service/ports.ts";
import type { HttpAnswer, HttpRequest } from "../../mobility/system/transport.ts";
import { LeewardError } from "../../replication/errors.ts";
import type { MemoryMedium, MemoryProcess } from "./memory-files.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** A request as the network carries it: what it sends has been read. */
export interface CarriedRequest {
  readonly method: HttpRequest["method"];
  readonly url: URL;
  readonly headers: HttpRequest["headers"];
  readonly body: Buffer;
}

/** The machine that service processes run on, one after the other. */
export interface ServiceMachine {
  readonly medium: MemoryMedium;
  readonly time: VirtualTime;
  readonly random: Random;
  /**
   * Answers, or rejects: then the service learns that no answer came. One that never settles is given up at the
   * time-out of the request.
   */
  readonly network: (request: CarriedRequest) => Promise<HttpAnswer>;
  readonly log: Log;
  readonly runScript?: MobilityPorts["runScript"];
}

export interface ServiceProcess {
  /** For `openService`. */
  readonly ports: MobilityPorts;
  readonly medium: MemoryProcess;
  /**
   * As SIGKILL. After a power failure or an end in the middle of an operation too: time and network stop for it as
   * well.
   */
  kill(): void;
}

/** One epoch is sealed at a time, in one call: these large buffers serve all machines. */
const SEAL_MEMORY = createSealMemory(() => undefined);
const LATENCY_MS = 2;
let lastId = 1000;

/**
 * Everything that one process of the mobility service takes from outside, in memory. `bootId` changes with every start
 * of the machine.
 */
export function createServiceProcess(machine: ServiceMachine, bootId: string): ServiceProcess {
  const { medium, time, random } = machine;
  const process = medium.process();
  const ownTime = time.process();
  const { clock } = ownTime;
  const { files } = process;
  lastId += 1;
  const ownId = lastId;
  let alive = true;
  const send = (request: HttpRequest): Promise<HttpAnswer> =>
    new Promise((resolve, reject) => {
      const { method, url, headers, signal } = request;
      const fail = (reason: string): void => {
        cancel();
        reject(
          new LeewardError("control-unavailable", `${url.host} cannot be reached: ${reason}.`, {
            host: url.host,
            reason,
          }),
        );
      };
      const cancel = clock.after(request.timeoutMs, () => fail("no answer in time"));
      signal?.addEventListener("abort", () => fail("given up"));
      const carry = async (): Promise<void> => {
        const body = request.body.kind === "text" ? Buffer.from(request.body.text) : files.readFile(request.body.path);
        if (request.body.kind === "file")
          await request.body.pace?.take(body.length, signal ?? new AbortController().signal);
        if (signal?.aborted === true) return fail("given up");
        const answer = await machine.network({ method, url, headers, body });
        // A process that is dead hears nothing.
        if (!alive || !process.isAlive) return;
        cancel();
        resolve(answer);
      };
      carry().catch(
        (error: unknown) => alive && process.isAlive && fail(error instanceof Error ? error.message : String(error)),
      );
    });
  return {
    medium: process,
    kill: () => {
      alive = false;
      ownTime.kill();
      process.kill();
    },
    ports: {
      files,
      clock,
      random: () => random.next(),
      randomBytes: (count) => Buffer.from(Array.from({ length: count }, () => random.below(256))),
      transport: { send, close: () => undefined },
      startSealThread: () => ({
        run: async (job) => {
          await new Promise<void>((resolve) => void clock.after(random.below(LATENCY_MS), resolve));
          return sealEpoch(files, job, SEAL_MEMORY);
        },
        stop: () => Promise.resolve(),
      }),
      runScript: machine.runScript ?? (() => Promise.resolve({ reason: "no script runs in memory", output: "" })),
      // At most one process of the machine lives.
      processes: { ownId, startTime: (id) => (id === ownId ? String(id) : undefined), exists: (id) => id === ownId },
      log: (level, event, facts) => {
        if (process.isAlive) machine.log(level, event, facts);
      },
      bootId,
    },
  };
}
