import { createSealMemory, sealEpoch } from "../../mobility/epochs/seal.ts";
import type { MobilityPorts } from "../../mobility/service/ports.ts";
import type { Log } from "../../mobility/system/log.ts";
import type { HttpAnswer, HttpRequest } from "../../mobility/system/transport.ts";
import { LeewardError } from "../../replication/errors.ts";
import type { MemoryMedium, MemoryProcess } from "./memory-medium.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** A request on the network, with its body already read. */
export interface CarriedRequest {
  readonly method: HttpRequest["method"];
  readonly url: URL;
  readonly headers: HttpRequest["headers"];
  readonly body: Buffer;
}

/** The machine on which service processes run, one after another. */
export interface ServiceMachine {
  readonly medium: MemoryMedium;
  readonly time: VirtualTime;
  readonly random: Random;
  /**
   * Answers, or rejects: the service then learns that no answer came. A call that never settles ends at the request's
   * time-out.
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
   * Like SIGKILL. Also after a power failure or an end in the middle of an operation: stops its time and network too.
   */
  kill(): void;
}

/** One epoch is sealed at a time, in one call: these large buffers serve all machines. */
const SEAL_MEMORY = createSealMemory(() => undefined);
const LATENCY_MS = 2;
let lastId = 1000;

/**
 * All external dependencies of one mobility service process, in memory. `bootId` changes with every start of the
 * machine.
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
        // A dead process gets no answer.
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
