import type { OrchestrationHandler } from "durable-functions";
import { createEngine, type DurableEngine, type EngineOptions } from "../../../functions-host/durable/engine/engine.ts";
import { createDurableFunctions } from "../../../functions-host/durable/functions.ts";
import { type EventBody, type HistoryEvent, EventType } from "../../../functions-host/durable/history.ts";
import { parseOrText } from "../../../functions-host/durable/management/status.ts";
import { openMemoryStore } from "../../../functions-host/durable/stores/memory-store.ts";
import type { DurableStore, Loaded } from "../../../functions-host/durable/stores/store.ts";
import type { HostFunction } from "../../../functions-host/host-function.ts";
import type { HostEvent } from "../../../functions-host/log.ts";
import { type FakeClock, fakeClock, settle } from "../fake-clock.ts";
import { invokeOrchestrator } from "./sdk.ts";

export const START_MS = Date.parse("2026-01-02T03:04:05.000Z");

export interface Functions {
  readonly orchestrators: Readonly<Record<string, OrchestrationHandler>>;
  readonly activities?: Readonly<Record<string, (input: unknown, instanceId: string) => unknown>>;
}

export interface World extends AsyncDisposable {
  readonly engine: DurableEngine;
  readonly clock: FakeClock;
  readonly events: readonly HostEvent[];
  /** Runs of activities in their order. */
  readonly runs: readonly string[];
  /** Waits until so many durable timers are waiting. */
  asleep(timers?: number): Promise<void>;
  terminate(instanceId: string, reason: string): Promise<void>;
  suspend(instanceId: string): Promise<void>;
  resume(instanceId: string): Promise<void>;
  /** Runs everything that is ready. */
  idle(): Promise<void>;
  untilHistory(
    instanceId: string,
    holds: (events: readonly HistoryEvent[]) => boolean,
  ): Promise<readonly HistoryEvent[]>;
  untilStored(store: DurableStore, holds: (loaded: Loaded) => boolean): Promise<void>;
  /** Starts an orchestration; the id when it has one. */
  start(name: string, input?: unknown, instanceId?: string): Promise<string>;
  raise(instanceId: string, name: string, input?: unknown): Promise<void>;
  /** Polls `show` until its result is not undefined, and returns that. */
  until<T>(show: () => T | undefined): Promise<T>;
  /** The instance when it has ended: status and output. */
  ended(instanceId: string): Promise<readonly [string, unknown]>;
  history(instanceId: string): Promise<readonly HistoryEvent[]>;
}

export interface WorldOptions {
  readonly store?: DurableStore;
  readonly startMs?: number;
  readonly engine?: Partial<EngineOptions>;
}

let lastExecution = 0;

/** The engine with orchestrators of the real SDK and activities of a test, on a clock that is moved by hand. */
export async function makeWorld(functions: Functions, options: WorldOptions = {}): Promise<World> {
  const events: HostEvent[] = [];
  const runs: string[] = [];
  const clock = fakeClock(options.startMs ?? START_MS);
  const known = createDurableFunctions();
  for (const name of Object.keys(functions.orchestrators))
    known.add("orchestrator", hostFunction(name, "orchestrationTrigger"));
  for (const name of Object.keys(functions.activities ?? {}))
    known.add("activity", hostFunction(name, "activityTrigger"));
  const store = options.store ?? openMemoryStore();
  const engine = createEngine({
    store,
    functions: known,
    clock,
    log: (event) => events.push(event),
    maxActivities: 10,
    maxEpisodes: 10,
    retention: { maxCount: 1_000, maxAgeMs: 7 * 24 * 60 * 60_000 },
    newExecutionId: () => `execution${(lastExecution += 1)}`,
    onFault: (error) => {
      throw error;
    },
    async invoke({ name }, input) {
      const orchestrator = functions.orchestrators[name];
      if (orchestrator !== undefined) return invokeOrchestrator(orchestrator, input);
      runs.push(name);
      try {
        const instanceId = String(JSON.parse(input.metadata["instanceId"]?.string ?? "null"));
        const result = await functions.activities?.[name]?.(
          JSON.parse(input.data.string ?? input.data.json ?? "null"),
          instanceId,
        );
        const returnValue =
          result === undefined
            ? undefined
            : typeof result === "string"
              ? { string: result }
              : { json: JSON.stringify(result) };
        return { kind: "succeeded", response: { invocationId: "", returnValue } };
      } catch (error) {
        return { kind: "failed", error };
      }
    },
    ...options.engine,
  });
  await engine.load();
  engine.start();
  const until = async <T>(show: () => T | undefined): Promise<T> => {
    for (;;) {
      const shown = show();
      if (shown !== undefined) return shown;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const history = async (instanceId: string): Promise<readonly HistoryEvent[]> =>
    (await engine.history(instanceId)).map((text) => JSON.parse(text) as HistoryEvent);
  const send = async (instanceId: string, event: EventBody): Promise<void> =>
    void (await engine.send(instanceId, event));
  return {
    async asleep(timers = 1) {
      while ((await store.load()).messages.filter(({ dueMs }) => dueMs !== undefined).length < timers) await settle();
    },
    terminate: (instanceId, reason) =>
      send(instanceId, { EventType: EventType.ExecutionTerminated, EventId: -1, Input: reason }),
    suspend: (instanceId) => send(instanceId, { EventType: EventType.ExecutionSuspended, EventId: -1, Reason: "" }),
    resume: (instanceId) => send(instanceId, { EventType: EventType.ExecutionResumed, EventId: -1, Reason: "" }),
    idle: async () => {
      for (let turn = 0; turn < 4; turn += 1) await settle();
    },
    async untilHistory(instanceId, holds) {
      for (;;) {
        const events = await history(instanceId);
        if (holds(events)) return events;
        await settle();
      }
    },
    async untilStored(kept, holds) {
      while (!holds(await kept.load())) await settle();
    },
    engine,
    clock,
    events,
    runs,
    until,
    async start(name, input, instanceId = `${name}-1`) {
      await engine.create({ name, instanceId, input: input === undefined ? null : JSON.stringify(input), version: "" });
      return instanceId;
    },
    async raise(instanceId, name, input) {
      await engine.send(instanceId, raised(name, input));
    },
    async ended(instanceId) {
      const row = await until(() => {
        const found = engine.find(instanceId);
        return found !== undefined && ["Completed", "Failed", "Terminated"].includes(found.status) ? found : undefined;
      });
      return [row.status, parseOrText((await engine.payload(instanceId)).output)];
    },
    history,
    [Symbol.asyncDispose]: () => engine.stop(),
  };
}

function raised(name: string, input?: unknown): EventBody {
  return {
    EventType: EventType.EventRaised,
    EventId: -1,
    Name: name,
    Input: input === undefined ? null : JSON.stringify(input),
  };
}

function hostFunction(name: string, type: string): HostFunction {
  const trigger = { type, direction: "in" };
  return {
    id: name,
    name,
    triggerKey: "t",
    trigger,
    metadata: { name, bindings: { t: trigger } },
    callback: () => undefined,
  };
}
