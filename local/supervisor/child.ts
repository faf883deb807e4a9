import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { LeewardError } from "../../replication/errors.ts";
import { CHILD_READY_MS, CHILD_STOP_MS } from "../limits.ts";

export interface ChildOptions {
  /** For messages, as in "function app". */
  readonly name: string;
  /** The built program, JavaScript. */
  readonly script: string;
  readonly parameters: readonly string[];
  /** The child's whole environment, except the path and the home folder. */
  readonly environment: Readonly<Record<string, string>>;
  /** Receives the child's standard output and error, appended. */
  readonly logFile: string;
  /** Aborting it while the child starts stops the child; the start then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * A separate program started by the supervisor. It stops on `{ kind: "stop" }` and exits when the channel closes, so
 * none outlives the supervisor.
 */
export interface Child {
  readonly pid: number;
  /** The content of the child's `{ kind: "ready" }`. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Settles when the process is gone. */
  readonly exited: Promise<void>;
  readonly running: boolean;
  send(message: object): void;
  /** Asks it to stop, waits, and finally kills it. Stopping twice is harmless. */
  stop(): Promise<void>;
  /** SIGKILL, at once: only the promise waits. */
  kill(): Promise<void>;
}

/**
 * Starts a program in its own process group (so that Ctrl-C reaches only the supervisor) and waits until it is ready.
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  if (!existsSync(options.script)) {
    throw new LeewardError(
      "configuration-invalid",
      `The ${options.name} is not built.`,
      { script: options.script },
      { hint: "Run: npm run build" },
    );
  }
  options.signal?.throwIfAborted();
  const log = openSync(options.logFile, "a", 0o600);
  const child = spawn(process.execPath, [options.script, ...options.parameters], {
    detached: true,
    stdio: ["ignore", log, log, "ipc"],
    env: { ...inherited(), ...options.environment },
  });
  closeSync(log);
  const exited = once(child, "exit").then(() => undefined);
  exited.catch(() => undefined);
  const kill = (): Promise<void> => {
    child.kill("SIGKILL");
    return exited;
  };
  try {
    const ready = await Promise.race([firstWord(child, options), aborted(options.signal)]);
    return {
      pid: child.pid ?? -1,
      ready,
      exited,
      get running() {
        return isRunning(child);
      },
      send: (message) => {
        if (child.connected) child.send(message);
      },
      stop: () => stop(child, exited),
      kill,
    };
  } catch (error) {
    if (options.signal?.aborted === true) await stop(child, exited);
    else await Promise.race([kill(), sleep(CHILD_STOP_MS)]);
    throw error;
  }
}

/** Rejects with the signal's reason; never without a signal. */
function aborted(signal: AbortSignal | undefined): Promise<never> {
  const waiting = new Promise<never>((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  waiting.catch(() => undefined);
  return waiting;
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

async function stop(child: ChildProcess, exited: Promise<void>): Promise<void> {
  if (!isRunning(child)) return;
  if (child.connected) child.send({ kind: "stop" });
  const patience = new AbortController();
  const late = sleep(CHILD_STOP_MS, "late", { signal: patience.signal }).catch(() => "stopped");
  if ((await Promise.race([exited, late])) === "late") child.kill("SIGKILL");
  patience.abort();
  await exited;
}

/** The child's first message: `ready`, or `failed` with a text for the user. */
function firstWord(child: ChildProcess, options: ChildOptions): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    const fail = (message: string): void => {
      reject(new LeewardError("configuration-invalid", message, {}, { hint: `Its log is ${options.logFile}` }));
    };
    const timer = setTimeout(
      () => fail(`The ${options.name} did not become ready within ${CHILD_READY_MS / 1000} s.`),
      CHILD_READY_MS,
    );
    child.once("error", (error) => fail(`The ${options.name} could not be started: ${error.message}`));
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      fail(
        `The ${options.name} ended (${signal ?? `exit code ${code}`}) before it was ready.${lastWords(options.logFile)}`,
      );
    });
    child.on("message", (message) => {
      const word = message as Readonly<Record<string, unknown>>;
      if (word["kind"] === "ready") resolve(word);
      else if (word["kind"] === "failed") fail(`The ${options.name} did not start: ${String(word["message"])}`);
      else return;
      clearTimeout(timer);
    });
  });
}

function lastWords(logFile: string): string {
  const last = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-3).join("\n");
  return last === "" ? "" : ` Its last words:\n${last.slice(-1000)}`;
}

/** Only what any program needs to run: the child does not inherit the settings of the supervisor's user. */
function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR", "TZ", "LANG", "SystemRoot", "TEMP"];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
