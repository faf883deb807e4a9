import { LocalError } from "../../../errors.ts";
import { DURABLE_HISTORY_WARNING_EVENTS, DURABLE_INSTANCES_MAX } from "../../../limits.ts";
import type { Clock } from "../../clock.ts";
import type { HostFunction } from "../../host-function.ts";
import type { InvocationInput, Outcome } from "../../invocation.ts";
import { type HostLog, describeError } from "../../log.ts";
import type { DurableFunctions } from "../functions.ts";
import { type EventBody, openSequenceIds } from "../history.ts";
import { activityFailure, activityInput, activityResult } from "../payload.ts";
import {
  type DurableStore,
  type InstanceRow,
  type Message,
  type Payload,
  type Work,
  hasEnded,
} from "../stores/store.ts";
import { type Conclusion, type Ids, type Placement, begin, conclude } from "./conclude.ts";
import { type DueMessages, createDueMessages } from "./due-messages.ts";
import { type EndedInstances, type Retention, createEndedInstances } from "./ended-instances.ts";
import { runEpisode } from "./episode.ts";
import { instanceIdFault } from "./instance-id.ts";
import { type LiveInstance, liveInstance, readRecorded } from "./instance.ts";
import { type Lane, createLane } from "./lane.ts";
import { selectMessages } from "./select.ts";

export interface EngineOptions {
  readonly store: DurableStore;
  readonly functions: DurableFunctions;
  /** Runs a function once; never rejects. */
  readonly invoke: (hostFunction: HostFunction, input: InvocationInput) => Promise<Outcome>;
  readonly clock: Clock;
  readonly log: HostLog;
  readonly maxActivities: number;
  readonly maxEpisodes: number;
  /** Ended orchestrations beyond it are purged; undefined: never. */
  readonly retention?: Retention;
  /** Random text of 32 hex digits. */
  readonly newExecutionId: () => string;
  /** The store failed: the engine runs nothing more, and the process should end and restart from the store. */
  readonly onFault: (error: Error) => void;
}

interface StartRequest {
  readonly name: string;
  readonly instanceId: string;
  /** JSON text. */
  readonly input: string | null;
  readonly version: string;
}

type Sent = "accepted" | "unknown" | "ended";

/** Runs and persists orchestrations: when a promise resolves, its effect is in the store. */
export interface DurableEngine {
  /** Reads the store. Call it first; afterwards queries and requests are accepted. */
  load(): Promise<void>;
  /** Resumes everything where it stopped. */
  start(): void;
  /** Starts nothing more; resolves when running work has ended and the store is closed. */
  stop(): Promise<void>;
  /** False: an orchestration with this id has not ended. `request-invalid` for an unknown function or an invalid id. */
  create(request: StartRequest): Promise<boolean>;
  send(instanceId: string, event: EventBody): Promise<Sent>;
  find(instanceId: string): InstanceRow | undefined;
  list(): readonly InstanceRow[];
  /** JSON text of each event. */
  history(instanceId: string): Promise<readonly string[]>;
  payload(instanceId: string): Promise<Payload>;
  /** Removes the ended ones; returns their number. */
  purge(instanceIds: readonly string[]): Promise<number>;
  /** Resolves when the instance has ended, or after `limitMs`. */
  ended(instanceId: string, limitMs: number): Promise<void>;
}

interface State {
  readonly options: EngineOptions;
  readonly rows: Map<string, InstanceRow>;
  readonly live: Map<string, LiveInstance>;
  /** Ids whose instances are being written: taken for other callers. */
  readonly coming: Set<string>;
  readonly endings: Map<string, Set<() => void>>;
  readonly ended: EndedInstances;
  readonly episodes: Lane<LiveInstance>;
  readonly activities: Lane<Work>;
  readonly due: DueMessages;
  readonly ids: Ids;
  isFaulty: boolean;
}

export function createEngine(options: EngineOptions): DurableEngine {
  let lastId = 0;
  const state: State = {
    options,
    rows: new Map(),
    live: new Map(),
    coming: new Set(),
    endings: new Map(),
    ended: createEndedInstances(options.retention ?? { maxCount: Infinity, maxAgeMs: Infinity }),
    episodes: createLane(options.maxEpisodes, (instance) => guarded(state, () => takeTurn(state, instance))),
    activities: createLane(options.maxActivities, (work) => guarded(state, () => runWork(state, work))),
    due: createDueMessages(options.clock, (message) => arrive(state, message)),
    ids: { next: () => (lastId += 1), execution: options.newExecutionId },
    isFaulty: false,
  };
  return {
    async load() {
      lastId = await recover(state);
    },
    start() {
      purgeOld(state);
      state.due.start();
      state.episodes.start();
      state.activities.start();
    },
    async stop() {
      await Promise.all([state.due.stop(), state.episodes.stop(), state.activities.stop()]);
      await options.store.close();
    },
    create: (request) => create(state, request),
    send: (instanceId, event) => send(state, instanceId, event),
    find: (instanceId) => state.rows.get(instanceId),
    list: () => [...state.rows.values()],
    history: (instanceId) => options.store.history(instanceId),
    payload: (instanceId) => options.store.payload(instanceId),
    purge: (instanceIds) => purge(state, instanceIds),
    ended: (instanceId, limitMs) => ended(state, instanceId, limitMs),
  };
}

/**
 * Resumes everything in the store: redelivers messages, reruns activities that had not ended. Returns the highest id in
 * use.
 */
async function recover(state: State): Promise<number> {
  const loaded = await state.options.store.load();
  for (const row of loaded.instances) {
    state.rows.set(row.id, row);
    if (hasEnded(row.status)) continue;
    state.live.set(row.id, liveInstance(row, (loaded.histories.get(row.id) ?? []).map(readRecorded)));
  }
  const ended = loaded.instances
    .filter(({ status }) => hasEnded(status))
    .toSorted((one, other) => one.updatedMs - other.updatedMs);
  for (const { id, updatedMs } of ended) state.ended.add(id, updatedMs);
  for (const message of loaded.messages) deliver(state, message);
  for (const work of loaded.work) state.activities.add(work);
  if (state.live.size > 0) {
    const message = `Durable Functions goes on with ${state.live.size} orchestrations, ${loaded.work.length} activities begin again`;
    state.options.log({ level: "information", event: "durable", message });
  }
  return Math.max(0, ...[loaded.messages.at(-1)?.id, loaded.work.at(-1)?.id].map((id) => id ?? 0));
}

/** Only the store can fail here, and it holds the truth: the engine stops and the process restarts. */
async function guarded(state: State, step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (state.isFaulty) return;
    state.isFaulty = true;
    void state.episodes.stop();
    void state.activities.stop();
    const fault = error instanceof Error ? error : new Error(String(error));
    state.options.log({
      level: "critical",
      event: "durable",
      message: `Durable Functions stops: ${describeError(fault)}`,
    });
    state.options.onFault(fault);
  }
}

async function create(state: State, { name, instanceId, input, version }: StartRequest): Promise<boolean> {
  const fault = state.options.functions.missing("orchestrator", name) ?? instanceIdFault(instanceId);
  if (fault !== undefined) throw new LocalError("request-invalid", fault, { instanceId });
  if (state.rows.size >= DURABLE_INSTANCES_MAX) {
    const hint = "Purge orchestrations that have ended.";
    throw new LocalError(
      "limit-reached",
      `The hub holds ${state.rows.size} orchestrations, which is the limit.`,
      {},
      { hint },
    );
  }
  const placement = place(state, instanceId);
  if (placement.kind === "refused") return false;
  const { row, message } = begin(
    { id: instanceId, name, version, input, parent: null, nowMs: state.options.clock.nowMs() },
    state.ids,
  );
  state.coming.add(instanceId);
  try {
    await state.options.store.commit({
      removedInstances: placement.isEnded ? [instanceId] : [],
      instances: [row],
      inputs: [{ instanceId, input }],
      messages: [message],
    });
  } finally {
    state.coming.delete(instanceId);
  }
  enter(state, row);
  deliver(state, message);
  purgeOld(state);
  return true;
}

function place(state: State, instanceId: string): Placement {
  const fault = instanceIdFault(instanceId);
  if (fault !== undefined) return { kind: "refused", reason: fault };
  const row = state.rows.get(instanceId);
  if (state.coming.has(instanceId) || (row !== undefined && !hasEnded(row.status))) {
    return { kind: "refused", reason: `An Orchestration instance with the ID ${instanceId} already exists.` };
  }
  return { kind: "free", isEnded: row !== undefined };
}

function enter(state: State, row: InstanceRow): void {
  state.ended.remove(row.id);
  state.rows.set(row.id, row);
  state.live.set(row.id, liveInstance(row, []));
}

async function send(state: State, instanceId: string, event: EventBody): Promise<Sent> {
  const row = state.rows.get(instanceId);
  if (row === undefined) return "unknown";
  if (hasEnded(row.status)) return "ended";
  const message: Message = { id: state.ids.next(), instanceId, event };
  await state.options.store.commit({ messages: [message] });
  deliver(state, message);
  return "accepted";
}

/** Routes a durable message: a timer to the queue of due messages, everything else to the inbox. */
function deliver(state: State, message: Message): void {
  const { dueMs } = message;
  const instance = state.live.get(message.instanceId);
  if (dueMs === undefined || dueMs <= state.options.clock.nowMs() || instance === undefined)
    return arrive(state, message);
  instance.timers.add(message.id);
  state.due.add({ ...message, dueMs });
}

function arrive(state: State, message: Message): void {
  const instance = state.live.get(message.instanceId);
  if (instance === undefined) {
    // An ended instance reads no more messages.
    void guarded(state, () => state.options.store.commit({ removedMessages: [message.id] }));
    return;
  }
  instance.timers.delete(message.id);
  instance.inbox.push(message);
  queue(state, instance);
}

function queue(state: State, instance: LiveInstance): void {
  if (instance.isQueued) return;
  instance.isQueued = true;
  state.episodes.add(instance);
}

async function takeTurn(state: State, instance: LiveInstance): Promise<void> {
  const { options } = state;
  const selection = selectMessages(instance);
  if (selection.accepted.length === 0) {
    const removedMessages = [...selection.consumed];
    instance.inbox = instance.inbox.filter(({ id }) => !selection.consumed.has(id));
    instance.isQueued = false;
    if (removedMessages.length > 0) await options.store.commit({ removedMessages });
    return;
  }
  const episode = await runEpisode(instance, selection, options);
  if (state.isFaulty) return;
  const conclusion = conclude(episode, state.ids, (instanceId) => place(state, instanceId));
  for (const child of conclusion.children) state.coming.add(child.id);
  await options.store.commit(conclusion.batch);
  settleInMemory(state, instance, episode.consumed, conclusion);
}

function settleInMemory(
  state: State,
  instance: LiveInstance,
  consumed: ReadonlySet<number>,
  conclusion: Conclusion,
): void {
  const { row, history } = conclusion;
  const isNewExecution = row.executionId !== instance.row.executionId;
  const eventsBefore = instance.history.length;
  instance.row = row;
  instance.history = history;
  instance.open = openSequenceIds(history.map(({ event }) => event));
  instance.inbox = instance.inbox.filter(({ id }) => !consumed.has(id));
  state.rows.set(row.id, row);
  warnOfLength(state, row, eventsBefore, history.length);
  for (const child of conclusion.children) {
    state.coming.delete(child.id);
    enter(state, child);
  }
  if (hasEnded(row.status) || isNewExecution) {
    state.due.remove(instance.timers);
    instance.timers.clear();
  }
  if (hasEnded(row.status)) leave(state, instance);
  for (const message of conclusion.messages) deliver(state, message);
  for (const work of conclusion.work) state.activities.add(work);
  instance.isQueued = false;
  if (!hasEnded(row.status) && instance.inbox.length > 0) queue(state, instance);
}

/** The instance has ended: deletes its unread messages and notifies callers that wait for the end. */
function leave(state: State, instance: LiveInstance): void {
  const { id } = instance.row;
  state.live.delete(id);
  state.ended.add(id, instance.row.updatedMs);
  if (instance.inbox.length > 0) {
    const removedMessages = instance.inbox.map((message) => message.id);
    void guarded(state, () => state.options.store.commit({ removedMessages }));
  }
  for (const tell of state.endings.get(id) ?? []) tell();
  state.endings.delete(id);
  purgeOld(state);
}

/** Callers that wait for an end are notified: purged instances were only kept for queries. */
function purgeOld(state: State): void {
  const old = state.ended.beyond(state.options.clock.nowMs());
  if (old.length > 0) void guarded(state, async () => void (await purge(state, old)));
}

async function runWork(state: State, work: Work): Promise<void> {
  const { options } = state;
  const { instanceId, executionId, taskId, name, input } = work;
  const activity = options.functions.find("activity", name);
  const event =
    activity === undefined
      ? activityFailure(taskId, name, options.functions.missing("activity", name))
      : activityResult(taskId, name, await options.invoke(activity, activityInput(instanceId, input)));
  if (state.isFaulty) return;
  const message: Message = { id: state.ids.next(), instanceId, executionId, event };
  await options.store.commit({ removedWork: [work.id], messages: [message] });
  deliver(state, message);
}

async function purge(state: State, instanceIds: readonly string[]): Promise<number> {
  const removedInstances = instanceIds.filter((id) => {
    const row = state.rows.get(id);
    return row !== undefined && hasEnded(row.status) && !state.coming.has(id);
  });
  for (const id of removedInstances) {
    state.rows.delete(id);
    state.ended.remove(id);
  }
  if (removedInstances.length > 0) await state.options.store.commit({ removedInstances });
  return removedInstances.length;
}

async function ended(state: State, instanceId: string, limitMs: number): Promise<void> {
  if (!state.live.has(instanceId)) return;
  const patience = new AbortController();
  const tells = state.endings.get(instanceId) ?? new Set();
  state.endings.set(instanceId, tells);
  let tell = (): void => undefined;
  const told = new Promise<void>((resolve) => (tell = resolve));
  tells.add(tell);
  await Promise.race([told, state.options.clock.sleep(limitMs, patience.signal)]);
  patience.abort();
  tells.delete(tell);
}

/** Every episode replays the whole history, so long loops slow down; each doubling is logged. */
function warnOfLength(state: State, row: InstanceRow, before: number, after: number): void {
  const threshold =
    DURABLE_HISTORY_WARNING_EVENTS * 2 ** Math.floor(Math.log2(Math.max(1, after / DURABLE_HISTORY_WARNING_EVENTS)));
  if (before >= threshold || after < threshold) return;
  const message = `Orchestration '${row.id}' has a history of ${after} events, which every step replays; let ${row.name} use continueAsNew.`;
  state.options.log({ level: "warning", event: "durable", message, function: row.name });
}
