import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { LocalError } from "../errors.ts";
import { EVENT_DEAD_LETTERS_MAX_BYTES, EVENT_LOG_REWRITE_BYTES } from "../limits.ts";
import { decodeFrames, encodeFrame } from "../storage/redo/frames.ts";
import type { BlobCreatedEvent } from "./event.ts";

/** One event on its way to one queue. */
export interface Delivery {
  readonly account: string;
  readonly queue: string;
  readonly event: BlobCreatedEvent;
}

export type Waiting<Kept> = Kept & { readonly number: number };
export type WaitingDelivery = Waiting<Delivery>;

/**
 * Deliveries still waiting, kept in a file so that a killed process delivers them after its restart. Every method has
 * written when it returns.
 */
export interface EventLog<Kept extends object = Delivery> {
  readonly waiting: ReadonlyMap<number, Waiting<Kept>>;
  add(delivery: Kept): Waiting<Kept>;
  finish(number: number): void;
  /** Ends the delivery and puts it in the dead-letter file with the reason. */
  bury(number: number, reason: string, attempts: number): void;
  close(): void;
}

/**
 * Opens the log in `folder`, creating it if missing. Throws `state-damaged` for a damaged file; drops a torn end, which
 * a kill leaves.
 */
export function openEventLog<Kept extends object = Delivery>(folder: string): EventLog<Kept> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "waiting.log");
  const deadLetters = join(folder, "dead-letters.jsonl");
  const waiting = new Map<number, Waiting<Kept>>();
  let next = 0;
  if (existsSync(file)) {
    for (const entry of decodeFrames(readFileSync(file), file).values) {
      if (!isEntry<Kept>(entry))
        throw new LocalError("state-damaged", `The file ${file} is no log of events.`, { file });
      next = Math.max(next, entry.number + 1);
      if (entry.kind === "waiting") waiting.set(entry.number, entry.delivery);
      else waiting.delete(entry.number);
    }
  }
  let descriptor = rewrite(file, waiting);
  let logBytes = 0;
  const append = (entry: Entry<Kept>): void => {
    const frame = encodeFrame(JSON.stringify(entry));
    for (let at = 0; at < frame.length;) at += writeSync(descriptor, frame, at);
    logBytes += frame.length;
    if (logBytes < EVENT_LOG_REWRITE_BYTES) return;
    closeSync(descriptor);
    descriptor = rewrite(file, waiting);
    logBytes = 0;
  };
  const finish = (number: number): void => {
    if (waiting.delete(number)) append({ kind: "finished", number });
  };
  return {
    waiting,
    add: (delivery) => {
      const waitingDelivery = { ...delivery, number: next++ };
      waiting.set(waitingDelivery.number, waitingDelivery);
      append({ kind: "waiting", number: waitingDelivery.number, delivery: waitingDelivery });
      return waitingDelivery;
    },
    finish,
    bury: (number, reason, attempts) => {
      const delivery = waiting.get(number);
      const lengthBytes = existsSync(deadLetters) ? statSync(deadLetters).size : 0;
      if (delivery !== undefined && lengthBytes < EVENT_DEAD_LETTERS_MAX_BYTES) {
        appendFileSync(deadLetters, `${JSON.stringify({ ...delivery, reason, attempts })}\n`);
      }
      finish(number);
    },
    close: () => closeSync(descriptor),
  };
}

type Entry<Kept> =
  | { readonly kind: "waiting"; readonly number: number; readonly delivery: Waiting<Kept> }
  | { readonly kind: "finished"; readonly number: number };

function isEntry<Kept>(value: unknown): value is Entry<Kept> {
  return (
    typeof value === "object" &&
    value !== null &&
    "kind" in value &&
    "number" in value &&
    typeof value.number === "number"
  );
}

/** Rewrites the file with the waiting deliveries only and opens it for appending. */
function rewrite(file: string, waiting: ReadonlyMap<number, { readonly number: number }>): number {
  const frames = [...waiting.values()].map((delivery) =>
    encodeFrame(JSON.stringify({ kind: "waiting", number: delivery.number, delivery })),
  );
  const fresh = `${file}~`;
  writeFileSync(fresh, Buffer.concat(frames));
  renameSync(fresh, file);
  return openSync(file, "a");
}
