import { join } from "node:path";
import type { LocalStorage } from "@leeward/azure-local/storage";
import { LeewardError } from "../../replication/errors.ts";
import { startChild, type Child } from "./child.ts";
import { keepChild, type KeptChild } from "./kept-child.ts";
import { freePort } from "./ports.ts";
import { appFolder, hostProgram } from "./programs.ts";
import type { CloudSecrets } from "./secrets.ts";

export interface FunctionAppOptions {
  readonly storage: LocalStorage;
  readonly secrets: CloudSecrets;
  readonly accounts: { readonly cache: string; readonly target: string };
  /** Where the app makes resources, and the group of its deployment. */
  readonly resourceManager: { readonly url: string; readonly token: string; readonly subscriptionId: string };
  /** Where the app publishes its events. */
  readonly topic: { readonly endpoint: string; readonly key: string };
  readonly resourceGroup: string;
  readonly port: number;
  readonly logFolder: string;
  /** Keeps the orchestrations when the app is killed. */
  readonly durableFolder: string;
  /** NCRONTAB, six fields: when items with a due point are woken, and when the sweep runs. */
  readonly schedules: { readonly points: string; readonly sweep: string };
  /** Beside the settings. */
  readonly environment: Readonly<Record<string, string>>;
  /** Receives reports of its deaths. */
  readonly say: (text: string) => void;
  /** Aborting it ends the start. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The function app in the local Functions host, a separate process that can be killed and restarted at the same
 * address. When it dies by itself it is restarted, and resumes what was under way.
 */
export interface FunctionApp {
  /** Without `/api`. */
  readonly url: string;
  readonly running: boolean;
  readonly state: KeptChild["state"];
  readonly pid: number;
  /** SIGKILL, at once; the promise settles when the process is gone. */
  kill(): Promise<void>;
  /** Restarts it after a kill, or when it is down. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Invocations by function since the last start, as counted by the host. */
  invocations(): Promise<Readonly<Record<string, unknown>>>;
}

export async function startFunctionApp(options: FunctionAppOptions): Promise<FunctionApp> {
  const port = options.port === 0 ? await freePort() : options.port;
  const url = `http://127.0.0.1:${port}`;
  const logFile = join(options.logFolder, "app.jsonl");
  const { say, signal } = options;
  const kept = await keepChild({
    name: NAME,
    logFile,
    say,
    signal,
    start: (how) => startHost({ ...options, ...how }, port, logFile),
  });
  return {
    url,
    get running() {
      return kept.child.running;
    },
    get state() {
      return kept.state;
    },
    get pid() {
      return kept.child.pid;
    },
    kill: () => kept.kill(),
    restart: () => kept.start(),
    stop: () => kept.stop(),
    invocations: async () => {
      const answer = await fetch(`${url}/admin/host/invocations`, {
        headers: { "x-functions-key": options.secrets.masterKey },
      });
      if (!answer.ok)
        throw new LeewardError("internal", `The host refused to count its invocations (${answer.status}).`);
      return (await answer.json()) as Readonly<Record<string, unknown>>;
    },
  };
}

const NAME = "function app";

interface HostStart extends FunctionAppOptions {
  readonly afterDeath: boolean;
  readonly signal: AbortSignal;
}

function startHost(options: HostStart, port: number, logFile: string): Promise<Child> {
  const cache = options.storage.account(options.accounts.cache).connectionString;
  const target = options.storage.account(options.accounts.target).connectionString;
  return startChild({
    name: NAME,
    signal: options.signal,
    script: hostProgram(),
    parameters: ["--app", appFolder(), "--port", String(port)],
    environment: {
      ...options.environment,
      FUNCTIONS_WORKER_RUNTIME: "node",
      AzureWebJobsStorage: target,
      CacheStorage: cache,
      TargetStorage: target,
      // No caller here depends on an answer that violates the contract: it fails instead.
      LEEWARD_CHECK_ANSWERS: "true",
      LEEWARD_POINT_SCHEDULE: options.schedules.points,
      LEEWARD_SWEEP_SCHEDULE: options.schedules.sweep,
      LEEWARD_ARM_ENDPOINT: options.resourceManager.url,
      LEEWARD_ARM_TOKEN: options.resourceManager.token,
      LEEWARD_SUBSCRIPTION_ID: options.resourceManager.subscriptionId,
      LEEWARD_RESOURCE_GROUP: options.resourceGroup,
      LEEWARD_EVENTS_ENDPOINT: options.topic.endpoint,
      LEEWARD_EVENTS_KEY: options.topic.key,
      // Machines of the local cloud run the local build of the service, without a download.
      LEEWARD_MOBILITY_SCRIPT_URL: "https://leeward.invalid/install-mobility.sh",
      LEEWARD_API_URL: `http://127.0.0.1:${port}/api`,
      AZURE_LOCAL_DURABLE_FOLDER: options.durableFolder,
      ...(options.afterDeath ? { AZURE_LOCAL_AFTER_DEATH: "1" } : {}),
      AZURE_LOCAL_FUNCTION_KEY: options.secrets.functionKey,
      AZURE_LOCAL_MASTER_KEY: options.secrets.masterKey,
    },
    logFile,
  });
}
