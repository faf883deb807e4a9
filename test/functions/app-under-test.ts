import {
  HttpRequest,
  InvocationContext,
  type HttpFunctionOptions,
  type HttpResponseInit,
  type StorageQueueFunctionOptions,
  type TimerFunctionOptions,
} from "@azure/functions";
import { requireDescribed } from "../../api/check-answer.ts";
import { openServiceGates } from "../../functions/serving/request-gate.ts";
import { openWakeUps } from "../../functions/serving/wake-ups.ts";
import type { Application, ApplicationSource } from "../../functions/wiring.ts";
import { createLargeBatches } from "../../replication/apply/large-batches.ts";
import type { DeltaHeader, EncodedDelta, ExtentContent } from "../../replication/delta/delta.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import type { WorkMessage } from "../../replication/operations/work-queue.ts";
import { createPointCache } from "../../replication/points/point-cache.ts";
import type { DiskDescription, Position } from "../../replication/position.ts";
import { openTickets } from "../../replication/service/tickets.ts";
import { createMemoryRecords } from "../memory/memory-records.ts";
import { type MemoryStores, createMemoryStores } from "../memory/memory-stores.ts";

/** A function app on stores in memory, whose queues only remember what was sent. */
export interface AppInMemory extends MemoryStores {
  /** The control container and the messages too. */
  readonly dump: MemoryStores["dump"];
  readonly source: ApplicationSource;
  readonly sent: { readonly message: WorkMessage; readonly delayMs: number }[];
  /** Moves the clock on. */
  readonly advance: (ms: number) => void;
}

const KEY = { next: (): string => "ab".repeat(16) };

/** What the mobility service of an item sends as its token. */
export const ticketed = (itemId: string, secret: string): Promise<string> =>
  openTickets(createMemoryRecords({ now: () => 0 }), KEY).issue(itemId, secret);

export function appInMemory(): AppInMemory {
  let nowMs = Date.UTC(2026, 10, 22, 12);
  let ids = 0;
  const clock = { now: (): number => nowMs };
  const world = createMemoryStores(clock);
  const wakeUps = openWakeUps(clock);
  const control = createMemoryRecords(clock);
  const sent: { message: WorkMessage; delayMs: number }[] = [];
  const app: Application = {
    stores: world.stores,
    control,
    clock,
    timer: {
      pause: async (durationMs) => {
        nowMs += durationMs;
      },
    },
    ids: { next: () => (ids += 1).toString(16).padStart(32, "0") },
    access: {
      endpoint: async () => "https://cache",
      grantCreate: async (itemId) => ({ containerUrl: `https://cache/${itemId}?sig=GRANT`, expiresMs: nowMs + 1000 }),
    },
    tickets: openTickets(control, KEY),
    gates: openServiceGates(clock),
    restoreAccess: {
      grantRead: async (disk) => ({ url: `https://target/${disk.diskId}?sig=GRANT`, expiresMs: nowMs + 1000 }),
    },
    queue: {
      send: async (message, delayMs) => {
        sent.push({ message, delayMs });
      },
    },
    // Nothing is kept warm: a slice ends when nothing is left, whatever the clock says.
    wakeUps: { ...wakeUps, enter: (itemId) => withoutWaiting(wakeUps.enter(itemId)) },
    processId: "process-1",
    points: createPointCache(clock),
    largeBatches: createLargeBatches(1),
    cursors: new Map(),
    tidied: new Map(),
    management: undefined,
    flows: () => ({ start: async () => undefined, stateOf: async () => undefined }),
    events: undefined,
    checkAnswer: requireDescribed,
  };
  return {
    ...world,
    source: () => app,
    sent,
    dump: () => ({ ...world.dump(), ...control.dump(), sent: JSON.stringify(sent) }),
    advance: (ms) => {
      nowMs += ms;
    },
  };
}

/** Lines that a function wrote to its log. */
interface Log {
  readonly context: InvocationContext;
  readonly lines: string[];
}

let invocations = 0;

function newInvocation(functionName = "test"): Log {
  const lines: string[] = [];
  invocations += 1;
  const context = new InvocationContext({
    functionName,
    invocationId: `invocation-${invocations}`,
    logHandler: (_level, ...parts) => lines.push(parts.join(" ")),
  });
  return { context, lines };
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string>>;
  readonly lines: readonly string[];
}

/** Sends a request to an HTTP function as the worker would. */
export async function call(
  options: HttpFunctionOptions,
  request: {
    readonly params?: Record<string, string>;
    readonly query?: Record<string, string>;
    readonly headers?: Record<string, string>;
    readonly body?: unknown;
    readonly text?: string;
    /** In place of text. */
    readonly bytes?: Uint8Array;
  },
): Promise<Answer> {
  const { context, lines } = newInvocation();
  const method = options.methods?.[0] ?? "GET";
  const body = request.body === undefined || method === "GET" ? undefined : JSON.stringify(request.body);
  const { bytes, text = body } = request;
  const sent = bytes === undefined ? text && { string: text } : { bytes };
  const answer = await options.handler(
    new HttpRequest({
      method,
      url: "http://localhost/api",
      params: request.params ?? {},
      query: request.query ?? {},
      headers: request.headers ?? {},
      ...(sent ? { body: sent } : {}),
    }),
    context,
  );
  const { status = 200, jsonBody, headers } = answer as HttpResponseInit;
  // Through JSON, as the caller gets it: what is undefined is left out.
  return {
    status,
    body: JSON.parse(JSON.stringify(jsonBody ?? null)),
    headers: { ...(headers as Record<string, string>) },
    lines,
  };
}

/** Delivers a message to a queue function. */
export async function deliver(options: StorageQueueFunctionOptions, entry: unknown): Promise<readonly string[]> {
  const { context, lines } = newInvocation();
  await options.handler(entry, context);
  return lines;
}

/** Fires a timer function. */
export async function fire(options: TimerFunctionOptions): Promise<readonly string[]> {
  const { context, lines } = newInvocation();
  const never = new Date(0).toISOString();
  await options.handler(
    {
      isPastDue: false,
      schedule: { adjustForDST: false },
      scheduleStatus: { last: never, next: never, lastUpdated: never },
    },
    context,
  );
  return lines;
}

/** The delta of one epoch that writes whole pages of one value each. */
export function deltaOf(
  itemId: string,
  start: Position,
  disks: readonly DiskDescription[],
  pages: readonly { readonly disk: number; readonly page: number; readonly value: number }[],
  atMs: number,
): EncodedDelta {
  const header: DeltaHeader = {
    itemId,
    stream: start.stream,
    epoch: start.epoch + 1,
    firstWriteMs: atMs,
    lastWriteMs: atMs,
    start,
    disks,
    flags: { consistency: "crash", seeding: false, final: false, groupMark: false },
  };
  const extents: readonly ExtentContent[] = pages.map(({ disk, page, value }) => ({
    kind: "data",
    disk,
    offsetBytes: page * 512,
    bytes: new Uint8Array(512).fill(value),
  }));
  return encodeDelta(header, extents);
}

function withoutWaiting(
  slot: ReturnType<Application["wakeUps"]["enter"]>,
): ReturnType<Application["wakeUps"]["enter"]> {
  return slot === undefined ? undefined : { ...slot, awaitHint: undefined };
}
