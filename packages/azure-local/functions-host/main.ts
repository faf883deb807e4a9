import { Console } from "node:console";
import { Writable } from "node:stream";
import { parseArgs } from "node:util";
import { z } from "zod";
import { LocalError } from "../errors.ts";
import { FUNCTIONS_DRAIN_MS } from "../limits.ts";
import { SYSTEM_CLOCK } from "./clock.ts";
import { type FunctionsHost, startHost } from "./host.ts";
import type { HostKeys } from "./http/keys.ts";
import { type HostLog, describeError, formatEvent } from "./log.ts";
import type { LogLevel } from "./rpc.ts";

/** What the parent gets over IPC. */
export type HostMessage =
  | { readonly kind: "ready"; readonly url: string }
  | { readonly kind: "failed"; readonly message: string };

/** The folder for Durable Functions state. Without it the state ends with the process. */
const DURABLE_FOLDER_SETTING = "AZURE_LOCAL_DURABLE_FOLDER";
/** The previous process died by itself, and this one takes its place. */
const AFTER_DEATH_SETTING = "AZURE_LOCAL_AFTER_DEATH";
const KEY_SETTINGS = { functionKey: "AZURE_LOCAL_FUNCTION_KEY", masterKey: "AZURE_LOCAL_MASTER_KEY" } as const;

const stdout = (line: string): void => {
  process.stdout.write(`${line}\n`);
};
const log: HostLog = (event) => stdout(formatEvent(event, SYSTEM_CLOCK.nowMs()));

/**
 * `main.js --app FOLDER --port N --host ADDRESS`: runs one function app in this process until the parent stops it or
 * disappears, or until SIGINT or SIGTERM. Settings come from the environment; the host removes its own before the app
 * sees them.
 */
async function main(): Promise<void> {
  const stopped = stopRequests();
  const stopping = new AbortController();
  void stopped.then(() => stopping.abort());
  captureConsole();
  const { app, port, host } = readArguments();
  const keys = takeKeys();
  const durableFolder = takeSetting(DURABLE_FOLDER_SETTING);
  const afterDeath = takeSetting(AFTER_DEATH_SETTING) !== undefined;
  process.chdir(app);
  // The app is one bundled file; its traces name the sources.
  process.setSourceMapsEnabled(true);
  process.on("uncaughtException", (error) => leave(describeError(error)));
  const starting = startHost({
    appFolder: app,
    host,
    port,
    keys,
    environment: process.env,
    clock: SYSTEM_CLOCK,
    random: Math.random,
    log,
    durableFolder,
    afterDeath,
    signal: stopping.signal,
    onTimeout: (error) => void starting.then((host) => closeThenLeave(host, error)),
  });
  // Stopped, or its parent gone, during the start: ends what had begun in order, in limited time.
  const late = stopped.then(() => SYSTEM_CLOCK.sleep(FUNCTIONS_DRAIN_MS, new AbortController().signal));
  const running = await Promise.race([starting, late]).catch((error: unknown) => {
    if (stopping.signal.aborted) return undefined;
    throw error;
  });
  if (running === undefined) return;
  tell({ kind: "ready", url: running.url });
  await stopped;
  await running.close();
}

function readArguments(): { readonly app: string; readonly port: number; readonly host: string } {
  const { values } = parseArgs({
    options: {
      app: { type: "string" },
      port: { type: "string", default: "7071" },
      host: { type: "string", default: "127.0.0.1" },
    },
  });
  const port = Number(values.port);
  if (values.app === undefined || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new LocalError("configuration-invalid", "Usage: main.js --app FOLDER [--port 0..65535] [--host ADDRESS]");
  }
  return { app: values.app, port, host: values.host };
}

function takeKeys(): HostKeys {
  const take = (setting: string): string => {
    const value = takeSetting(setting);
    if (value === undefined)
      throw new LocalError("configuration-invalid", `The setting ${setting} is missing.`, { setting });
    return value;
  };
  return { functionKey: take(KEY_SETTINGS.functionKey), masterKey: take(KEY_SETTINGS.masterKey) };
}

/** A setting of the host itself, hidden from the app. */
function takeSetting(name: string): string | undefined {
  const value = process.env[name];
  delete process.env[name];
  return value === "" ? undefined : value;
}

/**
 * Resolves when the parent asks to stop or exits, or on a signal: a service manager sends it to every process of a
 * group.
 */
function stopRequests(): Promise<void> {
  return new Promise((resolve) => {
    const stopMessage = z.object({ kind: z.literal("stop") });
    process.on("message", (message) => {
      if (stopMessage.safeParse(message).success) resolve();
    });
    process.on("disconnect", resolve);
    process.on("SIGINT", resolve);
    process.on("SIGTERM", resolve);
  });
}

/** Turns the app's console output into log lines, so that every line on stdout is one JSON object. */
function captureConsole(): void {
  const into = (level: Exclude<LogLevel, "none">): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        log({ level, event: "console", message: chunk.toString("utf8").replace(/\n$/, "") });
        done();
      },
    });
  globalThis.console = new Console({ stdout: into("information"), stderr: into("warning") });
}

function tell(message: HostMessage): void {
  if (process.connected) process.send?.(message);
}

async function closeThenLeave(host: FunctionsHost, error: Error): Promise<void> {
  await host.close();
  leave(`${error.message}; the host ends, as Azure replaces a worker then.`);
}

function leave(message: string): never {
  log({ level: "critical", event: "host", message });
  process.exit(1);
}

try {
  await main();
  process.exit(0);
} catch (error) {
  const message = error instanceof LocalError ? `${error.message} ${error.hint}` : describeError(error);
  tell({ kind: "failed", message });
  leave(describeError(error));
}
