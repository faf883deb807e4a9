import { ArmError } from "./arm-error.ts";
import type { Faults } from "./faults.ts";
import type { JsonObject } from "./json.ts";
import type { OperationError, OperationRecord } from "./operation-record.ts";
import type { ResourceRecord, ResourceType, Runtime, Verb, World } from "./resource-type.ts";
import type { ArmStore } from "./store.ts";

export interface OperationsParts {
  readonly store: ArmStore;
  readonly runtime: Runtime;
  readonly now: () => number;
  readonly newGuid: () => string;
  /** The operation's share of Azure's durations; 0: as long as its work. */
  readonly pace: number;
  readonly isReachable: (region: string) => boolean;
  readonly faults: Pick<Faults, "isTimedBySize">;
}

interface OperationStart {
  readonly record: ResourceRecord;
  readonly verbName: string;
  readonly subscriptionId: string;
  readonly input: JsonObject;
  readonly failure: OperationError | undefined;
}

/**
 * Long-running operations. Accepting one records it; its work runs beside the requests. The first request after it is
 * due and its work has ended decides it and changes its resource. After a kill, the work of all open operations starts
 * again.
 */
export interface Operations {
  begin(start: OperationStart): OperationRecord;
  isBusy(lock: string): boolean;
  /**
   * Decides everything due, inside a transaction. Each request does it first, or dependants would see outdated state.
   */
  settleDue(): void;
  /** Starts the open operations' work, after their transaction. */
  startWork(): void;
  /** Starts no more work and waits for what runs. Its results are not recorded: the next start repeats it. */
  close(): Promise<void>;
}

export function createOperations(parts: OperationsParts): Operations {
  const { store, runtime, now } = parts;
  const working = new Map<string, Promise<void>>();
  let isClosed = false;
  const verbOf = (operation: OperationRecord): Verb =>
    verbNamed(runtime.world().typeOf(operation.type), operation.verb);
  const run = async (operation: OperationRecord, verb: Verb): Promise<void> => {
    const outcome = await outcomeOf(operation, verb, store.resource(operation.resourceKey), runtime);
    working.delete(operation.id);
    if (isClosed) return;
    store.transaction(() => {
      const current = store.operation(operation.id);
      if (current?.status !== "InProgress") return;
      const result = outcome.kind === "done" ? (outcome.result ?? {}) : {};
      const record = parts.faults.isTimedBySize() ? store.resource(operation.resourceKey) : undefined;
      const moreMs = record === undefined ? 0 : (verb.bySizeMs?.(record, result) ?? 0);
      store.putOperation({ ...current, outcome, dueMs: current.dueMs + Math.round(moreMs * parts.pace) });
    });
  };
  return {
    begin: (start) => {
      const operation = newOperation(start, runtime.world().typeOf(start.record.type), parts);
      store.putOperation(operation);
      return operation;
    },
    isBusy: (lock) => store.openOperations().some((operation) => operation.lock === lock),
    settleDue: () => {
      for (const operation of store.openOperations()) {
        if (operation.dueMs > now() || !parts.isReachable(operation.region)) continue;
        const verb = verbOf(operation);
        const waitsForWork =
          verb.work !== undefined && operation.failure === undefined && operation.outcome === undefined;
        if (!waitsForWork) decide(operation, verb, store, runtime.world());
      }
    },
    startWork: () => {
      if (isClosed) return;
      for (const operation of store.openOperations()) {
        const verb = verbOf(operation);
        const hasWork = verb.work !== undefined && operation.failure === undefined && operation.outcome === undefined;
        if (hasWork && !working.has(operation.id)) working.set(operation.id, run(operation, verb));
      }
    },
    close: async () => {
      isClosed = true;
      await Promise.allSettled(working.values());
    },
  };
}

export function verbNamed(type: ResourceType, name: string): Verb {
  if (name === "put") return type.put;
  if (name === "delete") return type.delete;
  const verb = type.actions[name];
  if (verb === undefined) throw new Error(`${type.name} has no operation ${name}`);
  return verb;
}

/**
 * Children change under their parent's lock: a subnet's network and a machine's extensions take one operation at a
 * time.
 */
export const lockOf = (record: ResourceRecord): string => record.parentKey ?? record.key;

function newOperation(
  start: OperationStart,
  type: ResourceType,
  { now, newGuid, pace }: OperationsParts,
): OperationRecord {
  const { record, verbName, failure } = start;
  const verb = verbNamed(type, verbName);
  return {
    id: newGuid(),
    resourceId: record.id,
    resourceKey: record.key,
    lock: lockOf(record),
    type: type.name,
    verb: verbName,
    form: verb.form,
    subscriptionId: start.subscriptionId,
    region: record.location,
    startMs: now(),
    dueMs: now() + Math.round(verb.durationMs * pace),
    status: "InProgress",
    input: start.input,
    ...(failure === undefined ? {} : { failure }),
  };
}

async function outcomeOf(
  operation: OperationRecord,
  verb: Verb,
  record: ResourceRecord | undefined,
  runtime: Runtime,
): Promise<NonNullable<OperationRecord["outcome"]>> {
  try {
    if (record === undefined)
      throw new ArmError(404, "ResourceNotFound", `The resource ${operation.resourceId} is gone.`);
    const result = (await verb.work?.(record, runtime, operation.input ?? {})) ?? undefined;
    return { kind: "done", result };
  } catch (error) {
    if (error instanceof ArmError) {
      const { status, code, message, details } = error;
      return { kind: "failed", error: { status, code, message, details } };
    }
    // An unforeseen error fails the operation and becomes its reason.
    const message = error instanceof Error ? error.message : String(error);
    return { kind: "failed", error: { status: 500, code: "InternalServerError", message } };
  }
}

function decide(operation: OperationRecord, verb: Verb, store: ArmStore, world: World): void {
  const { outcome } = operation;
  const error = operation.failure ?? (outcome?.kind === "failed" ? outcome.error : undefined);
  const record = store.resource(operation.resourceKey);
  const endMs = world.nowMs;
  if (error !== undefined) {
    if (record !== undefined) verb.failed?.(record, world);
    if (record !== undefined && verb.state !== undefined)
      finish({ ...record, hidden: { ...record.hidden, lastError: error } }, "Failed", verb, world);
    return store.putOperation({ ...operation, status: "Failed", endMs, error });
  }
  const result =
    (verb.work === undefined ? operation.input : outcome?.kind === "done" ? outcome.result : undefined) ?? {};
  if (record !== undefined) {
    const settled = verb.settle?.(record, world, result) ?? record;
    if (operation.verb === "delete") {
      for (const child of world.children(record.id)) world.remove(child.key);
      world.remove(record.key);
    } else {
      const { lastError: _, ...hidden } = settled.hidden;
      finish({ ...settled, hidden }, "Succeeded", verb, world);
    }
  }
  store.putOperation({
    ...operation,
    status: "Succeeded",
    endMs,
    ...(verb.result === undefined ? {} : { result: verb.result(result) }),
  });
}

/** Children changed together with their parent end as it does. */
function finish(record: ResourceRecord, state: string, verb: Verb, world: World): void {
  const provisioningState = verb.state === undefined ? record.provisioningState : state;
  const { transition: _, ...hidden } = record.hidden;
  world.put({ ...record, hidden, provisioningState, etag: world.newGuid() });
  for (const child of world.children(record.id)) {
    if (verb.state !== undefined && child.provisioningState === verb.state)
      world.put({ ...child, provisioningState: state });
  }
}
