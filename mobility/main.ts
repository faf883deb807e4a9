import { readFileSync } from "node:fs";
import { LeewardError } from "../replication/errors.ts";
import { systemPorts } from "./service/ports.ts";
import { startMobility, type MobilityService } from "./service/service.ts";
import { parseConfig } from "./system/config.ts";
import { createLog, errorFacts } from "./system/log.ts";

/**
 * `node dist/mobility/main.js --config FILE`: the mobility service as a process. With an IPC channel it sends `{ kind:
 * "ready", socketPath, port }`, obeys `{ kind: "stop" }` and `{ kind: "cut" }` (answered by `{ kind: "cut-done",
 * position }`), and exits when the channel closes; without one SIGTERM and SIGINT stop it. Logs are JSON lines on
 * standard output. Exit code 0 after a stop, 1 when the start failed.
 */
const log = createLog(
  (line) => process.stdout.write(line),
  () => Date.now(),
);

function configFrom(args: readonly string[]): string {
  const path = args[0] === "--config" && args.length === 2 ? args[1] : undefined;
  if (path === undefined)
    throw new LeewardError("configuration-invalid", "Usage: node dist/mobility/main.js --config FILE");
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new LeewardError(
      "configuration-invalid",
      `The configuration file ${path} cannot be read.`,
      { path },
      { cause },
    );
  }
}

function send(message: object): void {
  if (process.send !== undefined && process.connected) process.send(message);
}

function kindOf(message: unknown): unknown {
  return typeof message === "object" && message !== null && "kind" in message ? message.kind : undefined;
}

async function stop(service: MobilityService): Promise<void> {
  try {
    await service.stop();
    log("info", "stopped");
    process.exitCode = 0;
  } catch (error) {
    log("error", "stop-failed", errorFacts(error));
    process.exitCode = 1;
  }
  // Only the IPC channel still keeps the process alive.
  process.exit();
}

async function cut(service: MobilityService): Promise<void> {
  try {
    send({ kind: "cut-done", position: await service.cut() });
  } catch (error) {
    log("error", "cut-failed", errorFacts(error));
    send({ kind: "cut-failed", error: errorFacts(error) });
  }
}

let running: MobilityService | undefined;
/** Before the start is complete nothing was promised, and a kill at any moment is harmless. */
const stopNow = (): void => {
  if (running === undefined) process.exit(0);
  void stop(running);
};
process.on("disconnect", stopNow);
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, stopNow);
// The reader of the log may be gone; the guest is still there.
process.stdout.on("error", () => undefined);

try {
  process.on("message", (message) => {
    if (kindOf(message) === "stop") stopNow();
    else if (kindOf(message) === "cut" && running !== undefined) void cut(running);
  });
  const service = await startMobility(parseConfig(configFrom(process.argv.slice(2))), systemPorts(log));
  running = service;
  log("info", "ready", { socketPath: service.socketPath, port: service.port });
  send({ kind: "ready", socketPath: service.socketPath, port: service.port });
} catch (error) {
  log("error", "start-failed", errorFacts(error));
  const facts = errorFacts(error);
  send({ kind: "failed", message: [facts["message"], facts["hint"]].join(" ").trim(), error: facts });
  process.exitCode = 1;
  if (process.connected) process.disconnect();
  process.exit();
}
