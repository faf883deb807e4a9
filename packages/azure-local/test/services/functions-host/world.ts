import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { QueueServiceClient } from "@azure/storage-queue";
import { SYSTEM_CLOCK } from "../../../functions-host/clock.ts";
import { type FunctionsHost, type HostOptions, startHost } from "../../../functions-host/host.ts";
import type { HostEvent } from "../../../functions-host/log.ts";
import type { HostMessage } from "../../../functions-host/main.ts";
import { type LocalStorage, startStorage } from "../../../storage/storage.ts";

const HOST = join(import.meta.dirname, "../../../functions-host/main.ts");

/** Where npm has put a package: beside this one, or in a folder above it. */
function packageFolder(name: string): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const found = join(folder, "node_modules", name);
    if (existsSync(found)) return found;
    if (folder === dirname(folder)) throw new Error(`${name} is not installed`);
  }
}

export const KEYS = { functionKey: "function-key", masterKey: "master-key" };

/**
 * A built app in a folder of its own: what `npm run build` leaves behind, with the real `@azure/functions` and
 * `durable-functions` beside it.
 */
export interface AppFolder extends AsyncDisposable {
  readonly folder: string;
}

export interface AppOptions {
  /** The text of `dist/functions/index.js`, an ES module that finds `app` imported. */
  readonly source: string;
  readonly hostJson?: unknown;
  readonly packageJson?: unknown;
  /** Further files by path. */
  readonly files?: Readonly<Record<string, string>>;
}

export async function makeApp({ source, hostJson, packageJson, files = {} }: AppOptions): Promise<AppFolder> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-app-"));
  const all = {
    "package.json": JSON.stringify(packageJson ?? { name: "fixture", type: "module", main: "dist/functions/index.js" }),
    "host.json": JSON.stringify(hostJson ?? { version: "2.0" }),
    "dist/functions/index.js": `import { app } from "@azure/functions";\n${source}`,
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  await mkdir(join(folder, "node_modules/@azure"), { recursive: true });
  for (const name of ["@azure/functions", "durable-functions"])
    await symlink(packageFolder(name), join(folder, "node_modules", name));
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

/** The host in this process, with everything it logged. */
export interface RunningHost extends AsyncDisposable {
  readonly host: FunctionsHost;
  readonly events: readonly HostEvent[];
}

export async function runHost(app: AppFolder, options: Partial<HostOptions> = {}): Promise<RunningHost> {
  const events: HostEvent[] = [];
  const host = await startHost({
    appFolder: app.folder,
    host: "127.0.0.1",
    port: 0,
    keys: KEYS,
    environment: {},
    clock: SYSTEM_CLOCK,
    random: Math.random,
    log: (event) => events.push(event),
    ...options,
  });
  return { host, events, [Symbol.asyncDispose]: () => host.close() };
}

/** The host as the supervisor starts it: a process of its own. */
export interface HostProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** The first message over IPC; undefined when the process ended without one. */
  readonly first: Promise<HostMessage | undefined>;
  /** The exit code, or the signal that ended it. */
  readonly exited: Promise<number | string | null>;
  /** What it wrote to stdout so far. */
  output(): string;
}

export function forkHost(
  app: AppFolder,
  environment: NodeJS.ProcessEnv = {},
  parameters: readonly string[] = ["--port", "0"],
): HostProcess {
  const child = fork(HOST, ["--app", app.folder, ...parameters], {
    env: {
      PATH: process.env["PATH"],
      AZURE_LOCAL_FUNCTION_KEY: KEYS.functionKey,
      AZURE_LOCAL_MASTER_KEY: KEYS.masterKey,
      ...environment,
    },
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let output = "";
  child.stdout?.on("data", (text) => (output += String(text)));
  child.stderr?.on("data", (text) => (output += String(text)));
  const exited = once(child, "exit").then(([code, signal]) => (code ?? signal) as number | string | null);
  const first = Promise.race([
    once(child, "message").then(([message]) => message as HostMessage),
    exited.then(() => undefined),
  ]);
  return {
    child,
    first,
    exited,
    output: () => output,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

export async function addressOf(running: HostProcess): Promise<string> {
  const message = await running.first;
  if (message?.kind !== "ready")
    throw new Error(`The host did not start: ${JSON.stringify(message)}\n${running.output()}`);
  return message.url;
}

export interface StorageWorld extends AsyncDisposable {
  readonly storage: LocalStorage;
  readonly connection: string;
  readonly queues: QueueServiceClient;
}

export async function makeStorage(): Promise<StorageWorld> {
  const folder = await mkdtemp(join(tmpdir(), "leeward-functions-"));
  const storage = await startStorage({
    folder,
    persistence: "memory",
    accounts: [{ name: "hostne", region: "northeurope", blobPort: 0, queuePort: 0 }],
    key: (account) => createHash("sha256").update(account).digest("base64"),
  });
  const connection = storage.account("hostne").connectionString;
  return {
    storage,
    connection,
    queues: QueueServiceClient.fromConnectionString(connection),
    [Symbol.asyncDispose]: async () => {
      await storage.close();
      await rm(folder, { recursive: true });
    },
  };
}

export const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
