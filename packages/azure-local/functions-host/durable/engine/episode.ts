import type { Clock } from "../../clock.ts";
import type { HostFunction } from "../../host-function.ts";
import type { InvocationInput, Outcome } from "../../invocation.ts";
import type { HostLog } from "../../log.ts";
import type { DurableFunctions } from "../functions.ts";
import { type EventBody, EventType } from "../history.ts";
import { orchestratorInput } from "../payload.ts";
import { readAnswer } from "../replay/answer.ts";
import { type Decided, type Verdict, decide, failed } from "../replay/decide.ts";
import type { Respelling } from "../replay/walk.ts";
import type { Message } from "../stores/store.ts";
import type { Episode } from "./conclude.ts";
import { type LiveInstance, type Recorded, record } from "./instance.ts";
import type { Selection } from "./select.ts";

/** What an episode needs of the engine. */
interface EpisodeOptions {
  readonly functions: DurableFunctions;
  /** Runs a function once; never rejects. */
  readonly invoke: (hostFunction: HostFunction, input: InvocationInput) => Promise<Outcome>;
  readonly clock: Clock;
  readonly log: HostLog;
}

/** Takes the selected messages into an instance's history and asks the orchestrator what follows. */
export async function runEpisode(
  instance: LiveInstance,
  { accepted, consumed }: Selection,
  options: EpisodeOptions,
): Promise<Episode> {
  const nowMs = momentOf(instance, accepted, options.clock.nowMs());
  const bodies: EventBody[] = [
    { EventType: EventType.OrchestratorStarted, EventId: -1 },
    ...accepted.map(({ event }) => event),
  ];
  const taken = bodies.map((body) => record(body, nowMs));
  const common = { instance, consumed, nowMs, past: instance.history, decisions: [], customStatus: undefined };
  const last = accepted.at(-1)?.event;
  if (last?.EventType === EventType.ExecutionTerminated)
    return { ...common, taken, next: { kind: "terminate", reason: last.Input } };
  if (last?.EventType === EventType.ExecutionSuspended) return { ...common, taken, next: { kind: "suspend" } };
  const { verdict, past, fresh } = await ask(instance, taken, options);
  if (verdict.hasRetryTimeout) {
    const message = `${instance.row.name} uses retryTimeoutInMilliseconds, which the SDK for JavaScript does not follow: attempts end with maxNumberOfAttempts.`;
    options.log({ level: "warning", event: "durable", message, function: instance.row.name });
  }
  return {
    ...common,
    past,
    taken: fresh,
    decisions: verdict.decisions,
    next: verdict.next,
    customStatus: verdict.customStatus,
  };
}

/** Never earlier than any recorded event or a firing timer: the SDK checks whether a long timer is over. */
function momentOf({ history }: LiveInstance, accepted: readonly Message[], nowMs: number): number {
  const lastMs = Date.parse(history.at(-1)?.event.Timestamp ?? "") || 0;
  return Math.max(nowMs, lastMs, ...accepted.map(({ dueMs }) => dueMs ?? 0));
}

interface Asked {
  readonly verdict: Decided;
  /** Both as recorded from now on. */
  readonly past: readonly Recorded[];
  readonly fresh: readonly Recorded[];
}

async function ask(instance: LiveInstance, taken: readonly Recorded[], options: EpisodeOptions): Promise<Asked> {
  let past = instance.history;
  let fresh = taken;
  // Each round respells at least one event as it is awaited, so there are at most as many rounds as events.
  for (let rounds = past.length + fresh.length; rounds > 0; rounds -= 1) {
    const verdict = await askOnce(instance, past, fresh, options);
    if (verdict.kind === "decided") return { verdict, past, fresh };
    const changed = respell([...past, ...fresh], verdict.respellings);
    past = changed.slice(0, past.length);
    fresh = changed.slice(past.length);
  }
  return {
    verdict: failed(`Orchestrator function '${instance.row.name}' failed: it awaits its events in ever new spellings.`),
    past,
    fresh,
  };
}

async function askOnce(
  { row }: LiveInstance,
  past: readonly Recorded[],
  fresh: readonly Recorded[],
  { functions, invoke }: EpisodeOptions,
): Promise<Verdict> {
  const history = [...past, ...fresh].map(({ event }) => event);
  const facts = { history, executionId: row.executionId, functionName: row.name, missing: functions.missing };
  const orchestrator = functions.find("orchestrator", row.name);
  if (orchestrator === undefined) {
    return decide({ kind: "broken", reason: functions.missing("orchestrator", row.name) ?? "" }, facts);
  }
  const started = history.find((event) => event.EventType === EventType.ExecutionStarted);
  const input = orchestratorInput({
    instanceId: row.id,
    parentInstanceId: row.parent?.OrchestrationInstance.InstanceId ?? null,
    input: started?.Input ?? null,
    history: [
      ...past.map(({ text }) => text),
      ...fresh.map(({ event }) => JSON.stringify({ ...event, IsPlayed: false })),
    ],
  });
  return decide(readAnswer(await invoke(orchestrator, input)), facts);
}

function respell(history: readonly Recorded[], respellings: readonly Respelling[]): readonly Recorded[] {
  const names = new Map(respellings.map(({ index, name }) => [index, name]));
  return history.map((recorded, index) => {
    const name = names.get(index);
    if (name === undefined || recorded.event.EventType !== EventType.EventRaised) return recorded;
    const event = { ...recorded.event, Name: name };
    return { event, text: JSON.stringify(event) };
  });
}
