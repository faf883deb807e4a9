import { randomUUID } from "node:crypto";
import { DURABLE_ACTIVITIES_MAX, DURABLE_EPISODES_MAX } from "../../limits.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import { openRegistration } from "../core.ts";
import { checkFunction } from "../functions.ts";
import { createInvoker } from "../invocation.ts";
import { createEngine, type DurableEngine } from "./engine/engine.ts";
import { createDurableFunctions } from "./functions.ts";
import { openMemoryStore } from "./stores/memory-store.ts";
import { openSqliteStore } from "./stores/sqlite-store.ts";
import { ACTIVITY_TRIGGER, ORCHESTRATION_TRIGGER } from "./triggers.ts";

/** Orchestrators and activities without a host: no HTTP, no other trigger, nothing logged. */
export interface DurableApp {
  /**
   * An engine for them with its own state, loaded and started: in this SQLite file, or in memory without one. A fault
   * of the store ends the process, as in the host.
   */
  openEngine(file: string | undefined): Promise<DurableEngine>;
}

/**
 * Opens the registration, then has `load` import the module that registers the functions: neither it nor
 * `@azure/functions` may have been imported before. Once per process.
 */
export async function loadDurableApp(load: () => Promise<unknown>): Promise<DurableApp> {
  const registration = openRegistration(() => undefined);
  await load();
  registration.locked = true;
  const functions = createDurableFunctions();
  for (const registered of registration.functions.values()) {
    const { hostFunction, kind } = checkFunction(registered, [ORCHESTRATION_TRIGGER, ACTIVITY_TRIGGER]);
    functions.add(kind === ACTIVITY_TRIGGER ? "activity" : "orchestrator", hostFunction);
  }
  const invoker = createInvoker({
    registration,
    clock: SYSTEM_CLOCK,
    log: () => undefined,
    functionTimeoutMs: undefined,
    inputOf: () => undefined,
    onTimeout: () => undefined,
  });
  return {
    openEngine: async (file) => {
      const engine = createEngine({
        maxActivities: DURABLE_ACTIVITIES_MAX,
        maxEpisodes: DURABLE_EPISODES_MAX,
        store: file === undefined ? openMemoryStore() : openSqliteStore(file),
        functions,
        invoke: (hostFunction, input) => invoker.invoke(hostFunction, input),
        clock: SYSTEM_CLOCK,
        log: () => undefined,
        newExecutionId: randomUUID,
        onFault: (error) => {
          throw error;
        },
      });
      await engine.load();
      engine.start();
      return engine;
    },
  };
}
