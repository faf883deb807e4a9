import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FIXED_PORTS, freePort, PORT_OPTIONS } from "../../../local/supervisor/ports.ts";

let folder = "";
let running: Started | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "leeward-npm-start-"));
});
afterEach(async () => {
  running?.process.kill("SIGKILL");
  await running?.exited;
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

const soon = { timeout: 60_000, interval: 50 };

interface Started {
  readonly process: ChildProcess;
  /** The exit code, or the signal. */
  readonly exited: Promise<number | string>;
  output(): string;
}

/** `npm start` in a folder of its own, on ports that are free. */
async function start(): Promise<Started> {
  const ports: string[] = [];
  for (const name of Object.keys(FIXED_PORTS) as (keyof typeof FIXED_PORTS)[])
    ports.push(PORT_OPTIONS[name], String(await freePort()));
  const child = spawn(process.execPath, [resolve("dist/local/start.js"), ...ports], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (text) => (output += String(text)));
  child.stderr.on("data", (text) => (output += String(text)));
  const exited = once(child, "exit").then(([code, signal]) => (code ?? signal) as number | string);
  running = { process: child, exited, output: () => output };
  return running;
}

/** The children of `npm start` that run a program, by a part of its path. */
function childrenOf({ process: { pid } }: Started, program: string): readonly number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .split(" ")
    .filter((text) => text !== "")
    .map(Number)
    .filter((child) => readFileSync(`/proc/${child}/cmdline`, "utf8").includes(program));
}

const said = (started: Started, text: string, times = 1): Promise<void> =>
  vi.waitFor(() => {
    if (started.output().split(text).length - 1 < times) throw new Error(`not said: ${text}\n${started.output()}`);
  }, soon);

async function oneOf(started: Started, program: string): Promise<number> {
  return vi.waitFor(() => {
    const [pid, ...others] = childrenOf(started, program);
    if (pid === undefined || others.length > 0) throw new Error(`not one ${program}`);
    return pid;
  }, soon);
}

async function expectStopped(started: Started): Promise<void> {
  expect(await started.exited).toBe(0);
  expect(started.output()).toContain("Stopped.");
  expect([existsSync(join(folder, ".leeward/lock")), existsSync(join(folder, ".leeward/connection.json"))]).toEqual([
    false,
    false,
  ]);
}

describe("npm start", () => {
  it("survives the death of its mobility service and of its function app, says so, and goes on", async () => {
    const started = await start();
    await said(started, "guest wrote");
    process.kill(await oneOf(started, "mobility/main.js"), "SIGKILL");
    await said(started, "The mobility service of lab-vm has died; it is started again in 0.5 s.");
    await said(started, "The mobility service of lab-vm runs again.");
    await said(started, "The guest writes again.");
    process.kill(await oneOf(started, "functions-host/main.js"), "SIGKILL");
    await said(started, "The function app has died; it is started again in 0.5 s.");
    await said(started, "The function app runs again.");
    const lines = started.output().split("guest wrote").length - 1;
    await said(started, "guest wrote", lines + 1);
    const children = [await oneOf(started, "functions-host/main.js"), await oneOf(started, "mobility/main.js")];
    started.process.kill("SIGINT");
    await expectStopped(started);
    for (const pid of children) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  it.each(["functions-host/main.js", "mobility/main.js"])(
    "stops in order when it is told to while it starts %s",
    async (program) => {
      const started = await start();
      const pid = await oneOf(started, program);
      started.process.kill("SIGTERM");
      await expectStopped(started);
      expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    },
  );

  it("ends at once at the second signal, and kills what runs", async () => {
    const started = await start();
    await said(started, "guest wrote");
    const pids = [await oneOf(started, "functions-host/main.js"), await oneOf(started, "mobility/main.js")];
    // A stopped process cannot stop in order.
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    started.process.kill("SIGINT");
    await said(started, "Stopping ...");
    started.process.kill("SIGINT");
    expect(await started.exited).toBe(130);
    await vi.waitFor(() => {
      for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
    }, soon);
  });
});
