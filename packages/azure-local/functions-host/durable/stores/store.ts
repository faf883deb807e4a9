import type { EventBody, ParentInstance } from "../history.ts";

/** The words of the real host. `Canceled` and `ContinuedAsNew` exist there and never here. */
export type Status = "Pending" | "Running" | "Suspended" | "Completed" | "Failed" | "Terminated";

export const hasEnded = (status: Status): boolean =>
  status === "Completed" || status === "Failed" || status === "Terminated";

/** One orchestration, without its history, input and output. */
export interface InstanceRow {
  readonly id: string;
  /** The execution that counts: continueAsNew makes a new one, and what is sent to an older one is ignored. */
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

/** What an instance was started with and what it ended with. */
export interface Payload {
  readonly input: string | null;
  readonly output: string | null;
}

/** Something that an instance has yet to take into its history. */
export interface Message {
  /** Messages are taken in this order. */
  readonly id: number;
  readonly instanceId: string;
  /** Undefined: for whichever execution takes it. */
  readonly executionId?: string;
  /** Not before this moment, Unix milliseconds. */
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

/** One step of the engine: all of it becomes durable, or nothing. Removals come before additions. */
export interface Batch {
  /** With history and payload; their messages and work are named on their own. */
  readonly removedInstances?: readonly string[];
  readonly clearedHistories?: readonly string[];
  readonly removedMessages?: readonly number[];
  readonly removedWork?: readonly number[];
  readonly instances?: readonly InstanceRow[];
  readonly inputs?: readonly { readonly instanceId: string; readonly input: string | null }[];
  readonly outputs?: readonly { readonly instanceId: string; readonly output: string | null }[];
  /** JSON text of each event, by its place; an event already there is replaced. */
  readonly history?: readonly { readonly instanceId: string; readonly index: number; readonly event: string }[];
  readonly messages?: readonly Message[];
  readonly work?: readonly Work[];
}

export interface Loaded {
  readonly instances: readonly InstanceRow[];
  /** Histories of the instances that have not ended; JSON text of each event. */
  readonly histories: ReadonlyMap<string, readonly string[]>;
  /** In the order of their ids. */
  readonly messages: readonly Message[];
  readonly work: readonly Work[];
}

/** Where a hub is kept. One engine uses it at a time. */
export interface DurableStore {
  /** Everything that an engine goes on with. Once, before anything else. */
  load(): Promise<Loaded>;
  /**
   * Atomic; resolves when the batch survives the death of the process. Batches take effect in the order of the calls.
   */
  commit(batch: Batch): Promise<void>;
  /** Of an instance that was committed; empty for an unknown one. */
  history(instanceId: string): Promise<readonly string[]>;
  /** Nulls for an unknown instance. */
  payload(instanceId: string): Promise<Payload>;
  /** After what was handed in before is durable. Closing twice is harmless. */
  close(): Promise<void>;
}
