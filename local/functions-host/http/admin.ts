import { HOST_VERSION } from "../core.ts";
import type { InvocationCounts } from "../invocation.ts";
import type { HostFunction } from "../host-function.ts";
import type { WireResponse } from "./messages.ts";

/** What the host says about itself. */
export interface AdminState {
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

/** Answers `/admin/...`; the caller has checked the master key. */
export function answerAdmin(method: string, path: string, state: AdminState): WireResponse {
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

function describe({ hostFunction, isDisabled, invokeUrl }: ListedFunction): Record<string, unknown> {
  const bindings = Object.entries(hostFunction.metadata.bindings).map(([name, binding]) => ({ ...binding, name }));
  return { name: hostFunction.name, language: "node", isDisabled, invoke_url_template: invokeUrl ?? null, config: { bindings } };
}

function json(status: number, value: unknown): WireResponse {
  return {
    status,
    headers: new Map([["content-type", "application/json; charset=utf-8"]]),
    body: new TextEncoder().encode(JSON.stringify(value)),
  };
}
