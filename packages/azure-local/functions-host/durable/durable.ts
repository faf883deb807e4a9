import { randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { DURABLE_ENDED_MAX_AGE_MS, DURABLE_ENDED_MAX_COUNT } from "../../limits.ts";
import type { Clock } from "../clock.ts";
import type { HostFunction } from "../host-function.ts";
import type { DurableConfiguration } from "../host-json.ts";
import type { HttpExtension } from "../http/extension.ts";
import { type HostKeys, opensExtension, systemKey } from "../http/keys.ts";
import type { InvocationInput, Outcome } from "../invocation.ts";
import type { HostLog } from "../log.ts";
import type { Binding, TypedData } from "../rpc.ts";
import type { TriggerListener } from "../trigger.ts";
import { isClientBinding } from "./client-binding.ts";
import { type DurableEngine, createEngine } from "./engine/engine.ts";
import type { DurableFunctions } from "./functions.ts";
import { empty } from "./management/answers.ts";
import { createManagement } from "./management/api.ts";
import { type ManagementAddress, clientData } from "./management/links.ts";
import { openMemoryStore } from "./stores/memory-store.ts";
import { openSqliteStore } from "./stores/sqlite-store.ts";

export interface DurableOptions {
  /** Of the host. */
  readonly url: string;
  readonly keys: HostKeys;
  readonly configuration: DurableConfiguration;
  readonly functions: DurableFunctions;
  /** Undefined: nothing survives the process. */
  readonly folder: string | undefined;
  readonly clock: Clock;
  readonly log: HostLog;
  readonly onFault: (error: Error) => void;
}

/** Durable Functions of one app. */
export interface Durable {
  /** What a `durableClient` input binding gives; undefined for every other binding. */
  readonly inputOf: (binding: Binding) => TypedData | undefined;
  /** Opens the state and answers the management API; runs nothing. */
  open(invoke: (hostFunction: HostFunction, input: InvocationInput) => Promise<Outcome>): Promise<OpenDurable>;
}

interface OpenDurable extends TriggerListener {
  readonly extension: HttpExtension;
}

const EXTENSION = "durabletask_extension";
const PUBLIC_PATH = "/runtime/webhooks/durabletask";

export function createDurable(options: DurableOptions): Durable {
  const { configuration, functions, folder, clock, log, onFault } = options;
  const address: ManagementAddress = {
    baseUrl: options.url + PUBLIC_PATH,
    hubName: configuration.hubName,
    key: systemKey(EXTENSION, options.keys),
  };
  // The SDK sends no key on this route; an unguessable path keeps it to the app.
  const ownPath = `/runtime/durabletask/${randomBytes(16).toString("hex")}`;
  const client: TypedData = { string: JSON.stringify(clientData(address, `${options.url}${ownPath}/`)) };
  return {
    inputOf: (binding) => (isClientBinding(binding) ? client : undefined),
    async open(invoke) {
      const store =
        folder === undefined ? openMemoryStore() : openSqliteStore(join(folder, `${configuration.hubName}.sqlite`));
      const engine = createEngine({
        store,
        functions,
        invoke,
        clock,
        log,
        maxActivities: configuration.maxConcurrentActivityFunctions,
        maxEpisodes: configuration.maxConcurrentOrchestratorFunctions,
        retention: { maxCount: DURABLE_ENDED_MAX_COUNT, maxAgeMs: DURABLE_ENDED_MAX_AGE_MS },
        newExecutionId: () => randomUUID().replaceAll("-", ""),
        onFault,
      });
      await engine.load();
      return {
        extension: extensionOf(engine, address, ownPath, options.keys),
        start: async () => engine.start(),
        stop: () => engine.stop(),
      };
    },
  };
}

function extensionOf(
  engine: DurableEngine,
  address: ManagementAddress,
  ownPath: string,
  keys: HostKeys,
): HttpExtension {
  const management = createManagement(engine, address);
  const below = (path: string, base: string): string | undefined => {
    const isBelow = path.toLowerCase() === base || path.toLowerCase().startsWith(`${base}/`);
    return isBelow ? path.slice(base.length) : undefined;
  };
  return {
    owns: (path) => below(path, PUBLIC_PATH) !== undefined || below(path, ownPath) !== undefined,
    async answer(request) {
      const own = below(request.url.pathname, ownPath);
      if (own !== undefined) return management.answer({ ...request, path: own });
      if (!opensExtension(request.key, EXTENSION, keys)) return empty(401);
      return management.answer({ ...request, path: below(request.url.pathname, PUBLIC_PATH) ?? "" });
    },
  };
}
