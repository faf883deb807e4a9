import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { LocalError } from "../errors.ts";
import { FUNCTIONS_DRAIN_MS, FUNCTIONS_TERMINATE_MS } from "../limits.ts";
import type { Clock } from "./clock.ts";
import { openRegistration, programmingModel, type HookName, type Registration } from "./core.ts";
import { isClientBinding } from "./durable/client-binding.ts";
import { createDurable } from "./durable/durable.ts";
import { createDurableFunctions } from "./durable/functions.ts";
import { ACTIVITY_TRIGGER, ORCHESTRATION_TRIGGER } from "./durable/triggers.ts";
import { checkFunction } from "./functions.ts";
import type { HostFunction } from "./host-function.ts";
import { readHostConfiguration, type HostConfiguration } from "./host-json.ts";
import type { ListedFunction } from "./http/admin.ts";
import type { HostKeys } from "./http/keys.ts";
import { createRoutes, type HttpRoutes } from "./http/routes.ts";
import { startHttpHost, type HttpHost } from "./http/server.ts";
import { HTTP_TRIGGER } from "./http/trigger.ts";
import { type InvocationCounts, type Invoker, createInvoker } from "./invocation.ts";
import { loadEntryPoints } from "./loader.ts";
import { type HostLog, describeError } from "./log.ts";
import { createManualRuns } from "./manual-runs.ts";
import { type InWork, NOT_KEPT, openInWork } from "./queue/in-work.ts";
import { QUEUE_TRIGGER } from "./queue/trigger.ts";
import { type Settings, bodyLimitBytes, isDisabled } from "./settings.ts";
import { TIMER_TRIGGER } from "./timer/trigger.ts";
import type { TriggerContext, TriggerKind, TriggerListener } from "./trigger.ts";

export interface HostOptions {
  /** The folder with the app's package.json and host.json. */
  readonly appFolder: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly keys: HostKeys;
  /** The app's settings. Also set in this process's environment where missing, because the app reads them there. */
  readonly environment: Settings;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: HostLog;
  /** Holds the state of Durable Functions and the messages in work; undefined: they end with the process. */
  readonly durableFolder?: string | undefined;
  /** The previous process died by itself: its work is given back, as by a host whose worker died. */
  readonly afterDeath?: boolean;
  /** Aborting it ends a start cleanly; the start then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * A function ran longer than `functionTimeout`. Azure then replaces the worker; here the caller should end the
   * process. The same goes for Durable Functions state that cannot be written.
   */
  readonly onTimeout?: (error: Error) => void;
}

export interface FunctionsHost {
  readonly url: string;
  readonly functions: readonly string[];
  /** How often each function has run since the start, by name. */
  invocations(): Readonly<Record<string, InvocationCounts>>;
  /** Takes no new work, waits a limited time for running invocations, runs the appTerminate hooks. */
  close(): Promise<void>;
}

const KINDS: readonly TriggerKind[] = [
  HTTP_TRIGGER,
  TIMER_TRIGGER,
  QUEUE_TRIGGER,
  ORCHESTRATION_TRIGGER,
  ACTIVITY_TRIGGER,
];

/**
 * Loads and runs a built function app. Errors: `not-supported` names what the local host does not offer,
 * `configuration-invalid` what is wrong in the app or its settings, `port-in-use` the taken port. One app at a time per
 * process.
 */
export async function startHost(options: HostOptions): Promise<FunctionsHost> {
  const appFolder = resolve(options.appFolder);
  const configuration = readHostConfiguration(appFolder);
  const http = await startHttpHost(options);
  try {
    return await startApp(appFolder, configuration, http, options);
  } catch (error) {
    http.cut();
    await http.stop();
    throw error;
  }
}

async function startApp(
  appFolder: string,
  configuration: HostConfiguration,
  http: HttpHost,
  options: HostOptions,
): Promise<FunctionsHost> {
  const { clock, log } = options;
  const settings: Settings = {
    WEBSITE_HOSTNAME: `localhost:${http.port}`,
    FUNCTIONS_WORKER_RUNTIME: "node",
    ...options.environment,
  };
  const bodyMaxBytes = bodyLimitBytes(settings);
  setEnvironment(settings);
  const registration = await loadApp(appFolder, log);
  options.signal?.throwIfAborted();
  const onTimeout = options.onTimeout ?? (() => undefined);
  const durableFunctions = createDurableFunctions();
  const durable = createDurable({
    url: http.url,
    keys: options.keys,
    configuration: configuration.durableTask,
    functions: durableFunctions,
    folder: options.durableFolder,
    clock,
    log,
    onFault: onTimeout,
  });
  const { functionTimeoutMs } = configuration;
  const invoker = createInvoker({ registration, clock, log, functionTimeoutMs, inputOf: durable.inputOf, onTimeout });
  const routes = createRoutes(configuration.routePrefix);
  const hostId = settings["AzureFunctionsWebHost__hostid"] ?? hostIdOf(appFolder);
  const inWork = keepInWork(options);
  const { invoke } = invoker;
  const { random } = options;
  const context = { hostId, configuration, settings, clock, random, log, routes, durableFunctions, inWork, invoke };
  const prepared = prepareFunctions(registration, context);
  const opened = usesDurable(registration) ? await durable.open(invoker.invoke) : undefined;
  const manualRuns = createManualRuns(prepared, invoker.invoke);
  // Durable comes last: the work it resumes may use everything else.
  const listeners = [manualRuns, ...prepared.map(({ listener }) => listener), opened].filter(
    (listener) => listener !== undefined,
  );
  const functions = prepared.map(({ hostFunction, disabled }) =>
    list(hostFunction, disabled, routes, configuration, http.url),
  );
  const invocations = (): Readonly<Record<string, InvocationCounts>> => withIdle(functions, invoker);
  const admin = { hostId, functions, invocations, manualRuns };
  const extensions = opened === undefined ? [] : [opened.extension];
  const { customHeaders } = configuration;
  http.open({ routes, invoker, keys: options.keys, customHeaders, admin, extensions, bodyMaxBytes });
  await startAll(listeners, options.signal);
  const message = `Host started with ${functions.length} functions at ${http.url}`;
  log({ level: "information", event: "host", message });
  let closing: Promise<void> | undefined;
  return {
    url: http.url,
    functions: functions.map(({ hostFunction }) => hostFunction.name),
    invocations,
    close: () => (closing ??= closeHost(listeners, http, registration, appFolder, options)),
  };
}

function prepareFunctions(registration: Registration, context: TriggerContext) {
  return [...registration.functions.values()].map((registered) => {
    const { hostFunction, kind } = checkFunction(registered, KINDS);
    const disabled = isDisabled(hostFunction.name, context.settings);
    return { hostFunction, kind, disabled, listener: disabled ? undefined : kind.prepare(hostFunction, context) };
  });
}

/** The same for the same folder, so that locks and leases are found again. */
function hostIdOf(appFolder: string): string {
  return `local-${createHash("sha256").update(appFolder).digest("hex").slice(0, 12)}`;
}

/** An app without Durable Functions has no state and no endpoints for them. */
function usesDurable({ functions }: Registration): boolean {
  const kinds = [ORCHESTRATION_TRIGGER, ACTIVITY_TRIGGER].map(({ type }) => type);
  return [...functions.values()].some(({ metadata }) =>
    Object.values(metadata.bindings).some(
      (binding) => isClientBinding(binding) || kinds.includes(binding.type.toLowerCase()),
    ),
  );
}

function keepInWork({ durableFolder, afterDeath = false }: HostOptions): InWork {
  return durableFolder === undefined ? NOT_KEPT : openInWork(join(durableFolder, "in-work.json"), afterDeath);
}

/** All or none: when one trigger fails to start, or the host is stopped meanwhile, all are stopped. */
async function startAll(listeners: readonly TriggerListener[], signal: AbortSignal | undefined): Promise<void> {
  try {
    for (const listener of listeners) {
      signal?.throwIfAborted();
      await listener.start();
    }
    signal?.throwIfAborted();
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.stop()));
    throw error;
  }
}

/**
 * The start of the real worker: entry points, appStart hooks, capabilities (which lock `app.setup`), then no more
 * registrations.
 */
async function loadApp(appFolder: string, log: HostLog): Promise<Registration> {
  const registration = openRegistration((level, _category, message) => {
    if (level !== "none") log({ level, event: "worker", message });
  });
  await loadEntryPoints(appFolder);
  await runHooks("appStart", registration, appFolder);
  const capabilities = await programmingModel().getCapabilities?.({});
  if (capabilities?.["HttpUri"] !== undefined) {
    throw new LocalError(
      "not-supported",
      "app.setup({ enableHttpStream: true }) is not offered by the local Functions host.",
      {},
      {
        hint: "Leave HTTP streaming off; answers given as streams are then collected before they are sent.",
      },
    );
  }
  registration.locked = true;
  return registration;
}

async function runHooks(
  name: HookName & ("appStart" | "appTerminate"),
  registration: Registration,
  appFolder: string,
): Promise<void> {
  const { appHookData } = registration;
  for (const hook of registration.hooks[name])
    await hook({ functionAppDirectory: appFolder, hookData: {}, appHookData });
}

/** The settings reach the app as the environment; existing variables win, as in the real host. */
function setEnvironment(settings: Settings): void {
  for (const [name, value] of Object.entries(settings)) {
    if (value !== undefined && process.env[name] === undefined) process.env[name] = value;
  }
}

function list(
  hostFunction: HostFunction,
  disabled: boolean,
  routes: HttpRoutes,
  configuration: HostConfiguration,
  url: string,
): ListedFunction {
  const endpoint = routes.endpoints.find((candidate) => candidate.hostFunction === hostFunction);
  const prefix = configuration.routePrefix === "" ? "" : `/${configuration.routePrefix}`;
  const invokeUrl = endpoint === undefined ? undefined : `${url}${prefix}/${endpoint.route.template}`;
  return { hostFunction, isDisabled: disabled, invokeUrl };
}

function withIdle(functions: readonly ListedFunction[], invoker: Invoker): Readonly<Record<string, InvocationCounts>> {
  const idle = functions.map(
    ({ hostFunction }) => [hostFunction.name, { started: 0, succeeded: 0, failed: 0 }] as const,
  );
  return { ...Object.fromEntries(idle), ...invoker.counts() };
}

async function closeHost(
  listeners: readonly TriggerListener[],
  http: HttpHost,
  registration: Registration,
  appFolder: string,
  { clock, log }: HostOptions,
): Promise<void> {
  log({ level: "information", event: "host", message: "Host is stopping" });
  const drained = Promise.all([http.stop(), ...listeners.map((listener) => listener.stop())]);
  if (!(await endsWithin(drained, FUNCTIONS_DRAIN_MS, clock))) {
    log({ level: "warning", event: "host", message: "Invocations that did not end in time are abandoned" });
  }
  http.cut();
  const terminated = runHooks("appTerminate", registration, appFolder).catch((error: unknown) => {
    log({ level: "error", event: "host", message: `An appTerminate hook failed: ${describeError(error)}` });
  });
  if (!(await endsWithin(terminated, FUNCTIONS_TERMINATE_MS, clock))) {
    log({ level: "warning", event: "host", message: "An appTerminate hook did not end in time" });
  }
  log({ level: "information", event: "host", message: "Host stopped" });
}

async function endsWithin(work: Promise<unknown>, limitMs: number, clock: Clock): Promise<boolean> {
  const limit = new AbortController();
  const expired = clock.sleep(limitMs, limit.signal).then(() => false);
  const hasEnded = await Promise.race([work.then(() => true), expired]);
  limit.abort();
  return hasEnded;
}
