import { z } from "zod";
import { HOST_VERSION } from "../core.ts";
import type { HostFunction } from "../host-function.ts";
import type { InvocationCounts } from "../invocation.ts";
import type { ManualRuns } from "../manual-runs.ts";
import type { WireResponse } from "./messages.ts";

/** The status the host reports. */
export interface AdminState {
  readonly manualRuns: Pick<ManualRuns, "begin">;
  readonly hostId: string;
  readonly functions: readonly ListedFunction[];
  /** By function name. */
  readonly invocations: () => Readonly<Record<string, InvocationCounts>>;
}

export interface ListedFunction {
  readonly hostFunction: HostFunction;
  readonly isDisabled: boolean;
  /** The address of an HTTP function, with its parameters in braces. */
  readonly invokeUrl: string | undefined;
}

interface AdminRequest {
  readonly method: string;
  /** Percent-encoded. */
  readonly path: string;
  readonly body: Uint8Array;
}

/** The body of a manual run request: the text the trigger passes to the function. */
const manualRun = z.object({ input: z.string().nullish() });

/** Answers `/admin/...`; the caller has checked the master key. */
export function answerAdmin({ method, path, body }: AdminRequest, state: AdminState): WireResponse {
  const name = /^\/admin\/functions\/([\w-]+)\/?$/i.exec(path)?.[1];
  if (name !== undefined && method === "POST") return runByHand(name, body, state);
  if (method !== "GET") return json(405, {});
  switch (path.toLowerCase().replace(/\/$/, "")) {
    case "/admin/host/status":
      return json(200, { id: state.hostId, state: "Running", version: HOST_VERSION });
    case "/admin/functions":
      return json(200, state.functions.map(describe));
    case "/admin/host/invocations":
      return json(200, state.invocations());
    default:
      return json(404, {});
  }
}

function runByHand(name: string, body: Uint8Array, { manualRuns }: AdminState): WireResponse {
  const asked = manualRun.safeParse(parsed(body));
  if (!asked.success) return json(400, { Message: 'The body must be JSON of the form { "input": "..." }.' });
  switch (manualRuns.begin(name, asked.data.input ?? "")) {
    case "begun":
      return { status: 202, headers: new Map(), body: new Uint8Array() };
    case "unknown":
      return json(404, {});
    case "unsuitable":
      return json(400, { Message: `Function ${name} cannot be run by hand: its trigger is no text.` });
  }
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

function describe({ hostFunction, isDisabled, invokeUrl }: ListedFunction): Record<string, unknown> {
  const bindings = Object.entries(hostFunction.metadata.bindings).map(([name, binding]) => ({ ...binding, name }));
  return {
    name: hostFunction.name,
    language: "node",
    isDisabled,
    invoke_url_template: invokeUrl ?? null,
    config: { bindings },
  };
}

function json(status: number, value: unknown): WireResponse {
  return {
    status,
    headers: new Map([["content-type", "application/json; charset=utf-8"]]),
    body: new TextEncoder().encode(JSON.stringify(value)),
  };
}
