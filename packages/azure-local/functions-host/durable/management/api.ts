import { randomUUID } from "node:crypto";
import { hasCode, LocalError } from "../../../errors.ts";
import { DURABLE_WAIT_MAX_MS } from "../../../limits.ts";
import type { WireResponse } from "../../http/messages.ts";
import type { DurableEngine } from "../engine/engine.ts";
import { type EventBody, type HistoryEvent, EventType } from "../history.ts";
import { type InstanceRow, hasEnded } from "../stores/store.ts";
import { empty, fault, json } from "./answers.ts";
import { viewHistory } from "./history-view.ts";
import { type ManagementAddress, checkStatusPayload } from "./links.ts";
import { matches, pageOf, readCondition } from "./query.ts";
import { describeStatus, parseOrText } from "./status.ts";

interface ManagementRequest {
  readonly method: string;
  readonly url: URL;
  /** Below the base, percent-encoded, without a slash at either end. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

/** The management HTTP API of Durable Functions; callers are already authorized. */
export interface Management {
  answer(request: ManagementRequest): Promise<WireResponse>;
}

interface Call extends ManagementRequest {
  readonly engine: DurableEngine;
  readonly address: ManagementAddress;
  readonly query: URLSearchParams;
}

export function createManagement(engine: DurableEngine, address: ManagementAddress): Management {
  return {
    async answer(request) {
      const segments = decodeSegments(request.path);
      if (segments === undefined) return empty(404);
      const call = { ...request, engine, address, query: caseless(request.url.searchParams) };
      try {
        return await route(call, segments);
      } catch (error) {
        if (hasCode(error, "request-invalid"))
          return fault(400, "One or more of the arguments submitted is incorrect", error.message);
        const message = error instanceof Error ? error.message : String(error);
        return fault(500, "Something went wrong while processing your request", message);
      }
    },
  };
}

async function route(call: Call, segments: readonly string[]): Promise<WireResponse> {
  const [head, first, second, third] = segments;
  switch (head?.toLowerCase() ?? "") {
    case "orchestrators":
      if (first === undefined || segments.length > 3 || call.method !== "POST") return empty(404);
      return startNew(call, first, second ?? newInstanceId());
    case "instances":
      if (first === undefined) return byMethod(call, { GET: listInstances, DELETE: purgeBy });
      if (second === undefined) {
        return byMethod(call, { GET: () => showInstance(call, first), DELETE: () => purgeOne(call, first) });
      }
      if (call.method !== "POST") return empty(404);
      if (segments.length === 4 && second.toLowerCase() === "raiseevent") return raiseEvent(call, first, third ?? "");
      return segments.length === 3 ? operate(call, first, second.toLowerCase()) : empty(404);
    case "entities":
      return fault(501, "Durable entities are not offered by the local Functions host.");
    default:
      return empty(404);
  }
}

const byMethod = async (
  call: Call,
  handlers: Readonly<Record<string, (call: Call) => Promise<WireResponse>>>,
): Promise<WireResponse> => (await handlers[call.method]?.(call)) ?? empty(404);

const newInstanceId = (): string => randomUUID().replaceAll("-", "");

async function startNew(call: Call, name: string, instanceId: string): Promise<WireResponse> {
  const input = jsonBody(call.body);
  if (input === undefined) return fault(400, "Invalid JSON content");
  const version = call.query.get("version") ?? "";
  if (!(await call.engine.create({ name, instanceId, input: input.text, version }))) {
    return fault(409, `An Orchestration instance with the ID ${instanceId} already exists.`);
  }
  return begun(call, instanceId);
}

/** The answer to a start: the status links, or the result when the caller waits and it comes in time. */
async function begun(call: Call, instanceId: string): Promise<WireResponse> {
  const [timeoutMs, intervalMs] = [seconds(call.query.get("timeout")), seconds(call.query.get("pollingInterval"))];
  if (timeoutMs !== undefined && intervalMs !== undefined) {
    if (intervalMs > timeoutMs) {
      const message = `Total timeout ${timeoutMs / 1000} should be bigger than retry timeout ${intervalMs / 1000}`;
      return fault(400, "One or more of the arguments submitted is incorrect", message);
    }
    await call.engine.ended(instanceId, Math.min(timeoutMs, DURABLE_WAIT_MAX_MS));
    const row = call.engine.find(instanceId);
    if (row?.status === "Completed") return json(200, parseOrText((await call.engine.payload(instanceId)).output));
    if (row !== undefined && hasEnded(row.status)) return showInstance(call, instanceId);
  }
  const payload = checkStatusPayload(call.address, instanceId, call.url.origin);
  return json(202, payload, { location: payload["statusQueryGetUri"] ?? "", "retry-after": "10" });
}

async function showInstance(call: Call, instanceId: string): Promise<WireResponse> {
  const row = call.engine.find(instanceId);
  if (row === undefined) return empty(404);
  const showInput = flag(call.query, "showInput", true);
  const status = describeStatus(row, await call.engine.payload(instanceId), showInput);
  if (flag(call.query, "showHistory", false)) {
    const events = (await call.engine.history(instanceId)).map((text) => JSON.parse(text) as HistoryEvent);
    status["historyEvents"] = viewHistory(events, {
      showInput,
      showOutput: flag(call.query, "showHistoryOutput", false),
    });
  }
  if (!hasEnded(row.status)) return json(202, status, { location: call.url.href, "retry-after": "5" });
  const isFault = row.status === "Failed" && flag(call.query, "returnInternalServerErrorOnFailure", false);
  return json(isFault ? 500 : 200, status);
}

async function listInstances(call: Call): Promise<WireResponse> {
  const { engine, query, headers } = call;
  const token = headers["x-ms-continuation-token"];
  const top = query.get("top");
  const page = pageOf(
    engine.list(),
    readCondition(query),
    top === null ? undefined : Number(top),
    typeof token === "string" ? token : undefined,
  );
  const showInput = flag(query, "showInput", true);
  const statuses = await Promise.all(
    page.rows.map(async (row) => describeStatus(row, await engine.payload(row.id), showInput)),
  );
  return json(200, statuses, page.token === undefined ? {} : { "x-ms-continuation-token": page.token });
}

async function purgeOne({ engine }: Call, instanceId: string): Promise<WireResponse> {
  if (engine.find(instanceId) === undefined) return empty(404);
  return json(200, { instancesDeleted: await engine.purge([instanceId]) });
}

async function purgeBy({ engine, query }: Call): Promise<WireResponse> {
  const condition = readCondition(query);
  if (condition.createdFromMs === undefined) return json(400, "Please provide value for 'createdTimeFrom' parameter.");
  const chosen = engine.list().filter((row) => hasEnded(row.status) && matches(condition, row));
  const instancesDeleted = await engine.purge(chosen.map(({ id }) => id));
  return instancesDeleted === 0 ? empty(404) : json(200, { instancesDeleted });
}

async function raiseEvent(call: Call, instanceId: string, name: string): Promise<WireResponse> {
  const gone = goneOrUnknown(call.engine.find(instanceId));
  if (gone !== undefined) return gone;
  const type = String(call.headers["content-type"] ?? "").split(";")[0];
  if (type?.trim().toLowerCase() !== "application/json")
    return fault(400, "Only application/json request content is supported");
  const input = jsonBody(call.body);
  if (input === undefined) return fault(400, "Invalid JSON content");
  return sent(call, instanceId, { EventType: EventType.EventRaised, EventId: -1, Name: name, Input: input.text });
}

async function operate(call: Call, instanceId: string, operation: string): Promise<WireResponse> {
  const reason = call.query.get("reason") ?? "";
  switch (operation) {
    case "terminate":
      return sent(call, instanceId, { EventType: EventType.ExecutionTerminated, EventId: -1, Input: reason });
    case "suspend":
    case "resume":
      return pause(call, instanceId, operation);
    case "restart":
      return restart(call, instanceId);
    case "rewind": {
      const row = call.engine.find(instanceId);
      if (row?.status !== "Failed")
        return (
          goneOrUnknown(row) ?? json(412, "The rewind operation is only supported on failed orchestration instances.")
        );
      return json(501, "The rewind operation is not offered by the local Functions host.");
    }
    default:
      return empty(404);
  }
}

/** As newer real hosts: suspends only what runs, resumes only what is suspended (500 otherwise). */
async function pause(call: Call, instanceId: string, operation: "suspend" | "resume"): Promise<WireResponse> {
  const row = call.engine.find(instanceId);
  const isWrong =
    row !== undefined && !hasEnded(row.status) && (row.status === "Suspended") !== (operation === "resume");
  if (isWrong)
    throw new LocalError("internal", `Cannot ${operation} orchestration instance in the ${row.status} state.`);
  const EventId = -1;
  const Reason = call.query.get("reason") ?? "";
  return operation === "suspend"
    ? sent(call, instanceId, { EventType: EventType.ExecutionSuspended, EventId, Reason })
    : sent(call, instanceId, { EventType: EventType.ExecutionResumed, EventId, Reason });
}

async function sent(call: Call, instanceId: string, event: EventBody): Promise<WireResponse> {
  const STATUSES = { accepted: 202, unknown: 404, ended: 410 };
  return empty(STATUSES[await call.engine.send(instanceId, event)]);
}

/** Starts the same orchestrator with the same input again, under a new id unless the caller keeps the old. */
async function restart(call: Call, instanceId: string): Promise<WireResponse> {
  const row = call.engine.find(instanceId);
  if (row === undefined) return fault(400, "InstanceId does not match a valid orchestration instance.");
  const id = flag(call.query, "restartWithNewInstanceId", true) ? newInstanceId() : instanceId;
  const { input } = await call.engine.payload(instanceId);
  if (!(await call.engine.create({ name: row.name, instanceId: id, input, version: row.version }))) {
    return fault(409, `An Orchestration instance with the ID ${id} already exists.`);
  }
  return begun(call, id);
}

function goneOrUnknown(row: InstanceRow | undefined): WireResponse | undefined {
  if (row === undefined) return empty(404);
  return hasEnded(row.status) ? empty(410) : undefined;
}

/** The JSON text of a body, null for an empty one; undefined when it is not JSON. */
function jsonBody(body: Uint8Array): { readonly text: string | null } | undefined {
  if (body.length === 0) return { text: null };
  try {
    return { text: JSON.stringify(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body))) };
  } catch {
    return undefined;
  }
}

/** .NET ignores case in query parameter names. */
function caseless(query: URLSearchParams): URLSearchParams {
  const names = [
    "createdTimeFrom",
    "createdTimeTo",
    "instanceIdPrefix",
    "pollingInterval",
    "reason",
    "restartWithNewInstanceId",
    "returnInternalServerErrorOnFailure",
    "runtimeStatus",
    "showHistory",
    "showHistoryOutput",
    "showInput",
    "timeout",
    "top",
    "version",
  ];
  return new URLSearchParams(
    [...query].map(([name, value]): [string, string] => [
      names.find((known) => known.toLowerCase() === name.toLowerCase()) ?? name,
      value,
    ]),
  );
}

function flag(query: URLSearchParams, name: string, fallback: boolean): boolean {
  const text = query.get(name)?.toLowerCase();
  return text === "true" ? true : text === "false" ? false : fallback;
}

function seconds(text: string | null): number | undefined {
  const value = Number(text ?? Number.NaN);
  return text !== "" && Number.isFinite(value) && value >= 0 ? value * 1000 : undefined;
}

/** Undefined when a segment is not valid percent-encoding. */
function decodeSegments(path: string): readonly string[] | undefined {
  try {
    return path
      .split("/")
      .filter((segment) => segment !== "")
      .map(decodeURIComponent);
  } catch {
    return undefined;
  }
}
