import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { startChild } from "../../../local/supervisor/child.ts";
import type { MobilityOptions, MobilityService } from "../../../local/supervisor/mobility-service.ts";
import { mobilityProgram } from "../../../local/supervisor/programs.ts";

/** The environment of a process whose clock is off by the milliseconds that stand in `clockFile` at the moment. */
export function movedClock(clockFile: string): Readonly<Record<string, string>> {
  const shim = pathToFileURL(join(import.meta.dirname, "moved-clock.ts")).href;
  return { NODE_OPTIONS: `--import ${shim}`, CLOCK_FILE: clockFile };
}

/**
 * The mobility service as the supervisor starts it, on a machine whose clock is off by the milliseconds that stand in
 * `clockFile`.
 */
export async function startMovedMobility(options: MobilityOptions, clockFile: string): Promise<MobilityService> {
  const { folder, logFolder, nbdPort: _none, ...settings } = options;
  const stateFolder = join(folder, "state");
  const socketPath = join(folder, "nbd.sock");
  const configuration = join(folder, "mobility.json");
  await mkdir(stateFolder, { recursive: true });
  await writeFile(
    configuration,
    JSON.stringify({ ...settings, machineId: "moved", stateFolder, nbd: { socketPath } }),
    { mode: 0o600 },
  );
  const child = await startChild({
    name: "mobility service with a moved clock",
    script: mobilityProgram(),
    parameters: ["--config", configuration],
    environment: movedClock(clockFile),
    logFile: join(logFolder, "mobility-moved.jsonl"),
  });
  return {
    address: { kind: "unix", path: socketPath },
    tcpPort: undefined,
    state: "running",
    pid: child.pid,
    get running() {
      return child.running;
    },
    cut: () => child.send({ kind: "cut" }),
    status: async () =>
      JSON.parse(await readFile(join(stateFolder, "status.json"), "utf8")) as Readonly<Record<string, unknown>>,
    stop: () => child.stop(),
    kill: () => child.kill(),
  };
}
