import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { outsideTool } from "../local/lab/outside-tools.ts";

const run = promisify(execFile);
/** A hanging job is a fault, not a figure. */
const JOB_MS = 60_000;
const READY_TRIES = 200;
const READY_PAUSE_MS = 25;

/** Programs the capture figures need, by name; Debian packages fio, nbdkit and qemu-utils. */
const TOOLS = ["fio", "nbdkit", "qemu-nbd"] as const;

export function missingCaptureTools(): readonly string[] {
  return TOOLS.filter((tool) => outsideTool(tool) === undefined);
}

export interface FioJob {
  readonly socketPath: string;
  readonly pattern: "randwrite" | "write";
  readonly blockBytes: number;
  readonly queueDepth: number;
  readonly sizeBytes: number;
  readonly seconds: number;
  /** Undefined: as fast as the server allows. */
  readonly bytesPerSecond?: number;
}

export interface FioResult {
  readonly bytesPerSecond: number;
  readonly writtenBytes: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/**
 * One fio job over its own NBD engine on the default export. The content does not compress: every engine works on the
 * same random blocks.
 */
export async function runFio(job: FioJob): Promise<FioResult> {
  const rate = job.bytesPerSecond === undefined ? [] : [`--rate=${job.bytesPerSecond}`];
  const { stdout } = await run(
    "fio",
    [
      "--name=bench",
      "--ioengine=nbd",
      `--uri=nbd+unix:///?socket=${job.socketPath}`,
      `--rw=${job.pattern}`,
      `--bs=${job.blockBytes}`,
      `--iodepth=${job.queueDepth}`,
      `--size=${job.sizeBytes}`,
      "--time_based",
      `--runtime=${job.seconds}`,
      "--randrepeat=0",
      "--norandommap",
      "--output-format=json",
      ...rate,
    ],
    { timeout: JOB_MS + job.seconds * 1000, maxBuffer: 16 * 1024 * 1024 },
  );
  // fio says "fio: connected to NBD server" before its JSON.
  const report: unknown = JSON.parse(stdout.slice(stdout.indexOf("{")));
  const write = at(at(at(report, "jobs"), "0"), "write");
  const percentiles = at(at(write, "clat_ns"), "percentile");
  return {
    bytesPerSecond: numberOf(at(write, "bw_bytes")),
    writtenBytes: numberOf(at(write, "io_bytes")),
    p50Us: numberOf(at(percentiles, "50.000000")) / 1000,
    p99Us: numberOf(at(percentiles, "99.000000")) / 1000,
  };
}

const at = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;

function numberOf(value: unknown): number {
  if (typeof value !== "number") throw new Error("fio reports something else than expected.");
  return value;
}

/** A reference server on the same image, for one job. */
export async function withPeer<Result>(
  peer: "nbdkit" | "qemu-nbd",
  imagePath: string,
  socketPath: string,
  use: () => Promise<Result>,
): Promise<Result> {
  const args =
    peer === "nbdkit"
      ? ["-f", "-U", socketPath, "file", imagePath]
      : ["-k", socketPath, "-t", "-e", "4", "-f", "raw", "--cache=writeback", imagePath];
  const child = spawn(peer, args, { stdio: "ignore" });
  try {
    for (let left = READY_TRIES; !existsSync(socketPath); left -= 1) {
      if (left === 0 || child.exitCode !== null) throw new Error(`${peer} does not serve ${imagePath}.`);
      await sleep(READY_PAUSE_MS);
    }
    return await use();
  } finally {
    await ended(child);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  await gone;
}
