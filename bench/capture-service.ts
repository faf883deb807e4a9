import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { startChild } from "../local/supervisor/child.ts";
import { mobilityProgram } from "../local/supervisor/programs.ts";
import { startPosition, type DiskDescription } from "../replication/position.ts";
import { NONCE } from "./trace-deltas.ts";
import { until } from "./until.ts";

const ITEM_ID = "bench-vm";
const EPOCH_MS = 5_000;
const HEARTBEAT_MS = 250;
const SAMPLE_MS = 100;
/** One wait on a slow machine. */
export const PATIENCE = { maxMs: 120_000, lookMs: SAMPLE_MS };
/** USER_HZ, which Linux fixes at 100 for /proc/<pid>/stat (proc(5)). */
const TICKS_PER_SECOND = 100;

/** A control plane and a cache that accept everything and store nothing, so that the figures cover only the service. */
export interface BenchCache {
  readonly apiUrl: string;
  /** While true every upload gets 503, as from an unreachable cache account. */
  away: boolean;
  /** When the first upload after `away` was taken, by performance.now(); undefined earlier. */
  readonly backMs: number | undefined;
  stop(): Promise<void>;
}

export async function startBenchCache(): Promise<BenchCache> {
  let away = false;
  let backMs: number | undefined;
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const base = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;

  let opened = {};
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "PUT") {
      for await (const _ of request);
      if (!away) backMs ??= performance.now();
      response.writeHead(away ? 503 : 201).end();
      return;
    }
    const parts: Uint8Array[] = [];
    for await (const part of request) if (part instanceof Uint8Array) parts.push(part);
    const { disks, uploaded } = JSON.parse(Buffer.concat(parts).toString("utf8")) as {
      readonly disks?: readonly DiskDescription[];
      readonly uploaded?: object;
    };
    response.writeHead(200, { "content-type": "application/json" });
    if (disks !== undefined)
      response.end(
        JSON.stringify(
          (opened = {
            stream: 1,
            start: startPosition(ITEM_ID, 1, disks, NONCE),
            nonce: NONCE,
            ticket: NONCE,
            cacheEndpoint: `${base}/cache`,
          }),
        ),
      );
    else {
      const upload = { containerUrl: `${base}/cache/container?sig=bench`, expiresMs: 1e15 };
      response.end(JSON.stringify({ ...opened, upload, applied: uploaded, intervalMs: HEARTBEAT_MS }));
    }
  }

  return {
    apiUrl: `${base}/api`,
    get away() {
      return away;
    },
    set away(value) {
      away = value;
      if (value) backMs = undefined;
    },
    get backMs() {
      return backMs;
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** The mobility service in its own process with one disk, epochs of 5 s, initial replication done. */
export interface BenchService {
  readonly socketPath: string;
  /** Waits until all writes are sealed and uploaded. */
  idle(): Promise<void>;
  /** Deltas waiting for the cache, in bytes. */
  spoolBytes(): Promise<number>;
  /** Processor time of all its threads since it started. */
  cpuSeconds(): Promise<number>;
  /** Its peak resident memory. */
  peakResidentBytes(): Promise<number>;
  stop(): Promise<void>;
}

/** `folder` is empty and holds the service's state. */
export async function startBenchService(folder: string, imagePath: string, cache: BenchCache): Promise<BenchService> {
  const socketPath = join(folder, "nbd.sock");
  const stateFolder = join(folder, "state");
  const configuration = join(folder, "mobility.json");
  const disks = [{ id: "disk", path: imagePath }];
  const settings = {
    itemId: ITEM_ID,
    apiUrl: cache.apiUrl,
    registrationToken: "bench",
    machineId: "bench",
    stateFolder,
    disks,
  };
  await writeFile(
    configuration,
    JSON.stringify({ ...settings, nbd: { socketPath }, epochMaxAgeMs: EPOCH_MS, heartbeatMs: HEARTBEAT_MS }),
  );
  const child = await startChild({
    name: "mobility service",
    script: mobilityProgram(),
    parameters: ["--config", configuration],
    // As docs/capture.md advises under "Running it".
    environment: { MALLOC_ARENA_MAX: "2" },
    logFile: join(folder, "mobility.jsonl"),
  });
  const status = async (): Promise<Status> => {
    if (!child.running) throw new Error("The mobility service ended.");
    return JSON.parse(await readFile(join(stateFolder, "status.json"), "utf8")) as Status;
  };
  const service: BenchService = {
    socketPath,
    idle: async () => {
      const sinceMs = Date.now();
      child.send({ kind: "cut" });
      await until("idle", PATIENCE, async () => {
        const { atMs, pendingBytes, seeding } = await status();
        return atMs > sinceMs && pendingBytes === 0 && seeding.done;
      });
    },
    spoolBytes: async () => (await status()).spoolBytes,
    cpuSeconds: async () => {
      const text = await readFile(`/proc/${child.pid}/stat`, "latin1");
      // After the name in brackets: utime and stime are fields 14 and 15 (proc(5)).
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    },
    peakResidentBytes: async () => {
      const text = await readFile(`/proc/${child.pid}/status`, "latin1");
      return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
    },
    stop: () => child.stop(),
  };
  await service.idle();
  return service;
}

interface Status {
  readonly atMs: number;
  readonly pendingBytes: number;
  readonly spoolBytes: number;
  readonly seeding: { readonly done: boolean };
}
