import type { EventBody, ParentInstance } from "../history.ts";

/** The real host's names. `Canceled` and `ContinuedAsNew` exist there and never here. */
export type Status = "Pending" | "Running" | "Suspended" | "Completed" | "Failed" | "Terminated";

export const hasEnded = (status: Status): boolean =>
  status === "Completed" || status === "Failed" || status === "Terminated";

/** One orchestration, without its history, input and output. */
export interface InstanceRow {
  readonly id: string;
  /** The current execution: continueAsNew starts a new one, and messages to older ones are ignored. */
  readonly executionId: string;
  readonly name: string;
  readonly version: string;
  readonly status: Status;
  /** JSON text. */
  readonly customStatus: string | null;
  /** Unix milliseconds. */
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly parent: ParentInstance | null;
}

/** The input and output of an instance. */
export interface Payload {
  readonly input: string | null;
  readonly output: string | null;
}

/** A message not yet in an instance's history. */
export interface Message {
  /** Messages are taken in this order. */
  readonly id: number;
  readonly instanceId: string;
  /** Undefined: for any execution. */
  readonly executionId?: string;
  /** Not before this time, Unix milliseconds. */
  readonly dueMs?: number;
  readonly event: EventBody;
}

/** One activity to be run. */
export interface Work {
  readonly id: number;
  readonly instanceId: string;
  readonly executionId: string;
  readonly taskId: number;
  readonly name: string;
  readonly input: string | null;
}

/** One atomic step of the engine, all of it durable or nothing. Removals come before additions. */
export interface Batch {
  /** With history and payload; their messages and work are listed separately. */
  readonly removedInstances?: readonly string[];
  readonly clearedHistories?: readonly string[];
  readonly removedMessages?: readonly number[];
  readonly removedWork?: readonly number[];
  readonly instances?: readonly InstanceRow[];
  readonly inputs?: readonly { readonly instanceId: string; readonly input: string | null }[];
  readonly outputs?: readonly { readonly instanceId: string; readonly output: string | null }[];
  /** JSON text of each event, by index; replaces an event already there. */
  readonly history?: readonly { readonly instanceId: string; readonly index: number; readonly event: string }[];
  readonly messages?: readonly Message[];
  readonly work?: readonly Work[];
}

export interface Loaded {
  readonly instances: readonly InstanceRow[];
  /** Histories of instances that have not ended; JSON text of each event. */
  readonly histories: ReadonlyMap<string, readonly string[]>;
  /** Ordered by id. */
  readonly messages: readonly Message[];
  readonly work: readonly Work[];
}

/** The store of a hub. One engine uses it at a time. */
export interface DurableStore {
  /** Everything an engine resumes with. Call it once, first. */
  load(): Promise<Loaded>;
  /** Atomic; resolves when the batch survives the death of the process. Batches take effect in call order. */
  commit(batch: Batch): Promise<void>;
  /** Of a committed instance; empty for an unknown one. */
  history(instanceId: string): Promise<readonly string[]>;
  /** Nulls for an unknown instance. */
  payload(instanceId: string): Promise<Payload>;
  /** Closes once all submitted is durable. Closing twice is harmless. */
  close(): Promise<void>;
}
