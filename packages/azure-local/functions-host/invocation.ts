import { randomUUID } from "node:crypto";
import type { Clock } from "./clock.ts";
import { type Registration, programmingModel } from "./core.ts";
import type { HostFunction } from "./host-function.ts";
import { type HostLog, describeError } from "./log.ts";
import type { Binding, CoreInvocationContext, InvocationRequest, InvocationResponse, TypedData } from "./rpc.ts";

/** What a trigger passes to a run. */
export interface InvocationInput {
  readonly data: TypedData;
  readonly metadata: Readonly<Record<string, TypedData>>;
}

export type Outcome =
  | { readonly kind: "succeeded"; readonly response: InvocationResponse }
  | { readonly kind: "failed"; readonly error: unknown };

/** How often a function has run since the host started. */
export interface InvocationCounts {
  readonly started: number;
  readonly succeeded: number;
  readonly failed: number;
}

export interface InvokerOptions {
  readonly registration: Registration;
  readonly clock: Clock;
  readonly log: HostLog;
  readonly functionTimeoutMs: number | undefined;
  /** The value of another input binding; undefined for none. */
  readonly inputOf: (binding: Binding) => TypedData | undefined;
  /** Called after a run longer than `functionTimeout`: Azure then replaces the worker process. */
  readonly onTimeout: (error: Error) => void;
}

export interface Invoker {
  readonly invoke: (hostFunction: HostFunction, input: InvocationInput) => Promise<Outcome>;
  counts(): Readonly<Record<string, InvocationCounts>>;
}

/** Runs functions through the loaded library's programming model, counts the runs and logs each start and end. */
export function createInvoker(options: InvokerOptions): Invoker {
  const counts = new Map<string, { started: number; succeeded: number; failed: number }>();
  return {
    counts: () => Object.fromEntries([...counts].map(([name, count]) => [name, { ...count }])),
    async invoke(hostFunction, input) {
      const count = counts.get(hostFunction.name) ?? { started: 0, succeeded: 0, failed: 0 };
      counts.set(hostFunction.name, count);
      const invocationId = randomUUID();
      const line = { function: hostFunction.name, invocationId, trigger: hostFunction.trigger.type };
      const startedMs = options.clock.nowMs();
      count.started += 1;
      options.log({
        level: "information",
        event: "invocation-started",
        message: `Executing ${hostFunction.name}`,
        ...line,
      });
      const outcome = await runWithTimeout(hostFunction, invocationId, input, options);
      const durationMs = options.clock.nowMs() - startedMs;
      if (outcome.kind === "succeeded") {
        count.succeeded += 1;
        options.log({
          level: "information",
          event: "invocation-succeeded",
          message: `Executed ${hostFunction.name}`,
          durationMs,
          ...line,
        });
      } else {
        count.failed += 1;
        options.log({
          level: "error",
          event: "invocation-failed",
          message: describeError(outcome.error),
          durationMs,
          ...line,
        });
      }
      return outcome;
    },
  };
}

async function runWithTimeout(
  hostFunction: HostFunction,
  invocationId: string,
  input: InvocationInput,
  options: InvokerOptions,
): Promise<Outcome> {
  const run = runOnce(hostFunction, invocationId, input, options).then(
    (response): Outcome => ({ kind: "succeeded", response }),
    (error: unknown): Outcome => ({ kind: "failed", error }),
  );
  const limitMs = options.functionTimeoutMs;
  if (limitMs === undefined) return await run;
  const ended = new AbortController();
  const expired = options.clock.sleep(limitMs, ended.signal).then(() => {
    return new Error(`Timeout value of ${limitMs / 1000} s exceeded by function: ${hostFunction.name}`);
  });
  const first = await Promise.race([run, expired]);
  ended.abort();
  if (!(first instanceof Error)) return first;
  options.onTimeout(first);
  return { kind: "failed", error: first };
}

/**
 * One run as the real worker does it: arguments, preInvocation hooks, the function, postInvocation hooks, response.
 * Rejects when the function does.
 */
async function runOnce(
  hostFunction: HostFunction,
  invocationId: string,
  input: InvocationInput,
  { registration, log, inputOf }: InvokerOptions,
): Promise<InvocationResponse> {
  const hookData: Record<string, unknown> = {};
  let userContext: unknown;
  const context: CoreInvocationContext = {
    invocationId,
    request: describeRequest(hostFunction, invocationId, input, inputOf),
    metadata: hostFunction.metadata,
    state: undefined,
    log(level, category, message) {
      const line = {
        level,
        category,
        message,
        hookData,
        appHookData: registration.appHookData,
        invocationContext: userContext,
      };
      for (const hook of registration.hooks.log) hook(line);
      if (line.level === "none") return;
      log({
        level: line.level,
        event: "function-log",
        message: line.message,
        function: hostFunction.name,
        invocationId,
      });
    },
  };
  const model = programmingModel().getInvocationModel(context);
  const { context: ownContext, inputs } = await model.getArguments();
  userContext = ownContext;
  const { preInvocation, postInvocation } = registration.hooks;
  const common = { hookData, appHookData: registration.appHookData, invocationContext: userContext };

  const before = { ...common, inputs, functionCallback: hostFunction.callback };
  context.state = "preInvocationHooks";
  for (const hook of preInvocation) await hook(before);

  context.state = "invocation";
  const after: Record<string, unknown> = { ...common, inputs: before.inputs, result: null, error: null };
  try {
    after["result"] = await model.invokeFunction(userContext, before.inputs, before.functionCallback);
  } catch (error) {
    // A function may throw anything, even undefined; the hooks and the host need an error.
    after["error"] = error ?? new Error("The function threw undefined.");
  }

  context.state = "postInvocationHooks";
  for (const hook of postInvocation) await hook(after);
  context.state = undefined;
  if (after["error"] !== null && after["error"] !== undefined) throw after["error"];
  return await model.getResponse(userContext, after["result"]);
}

function describeRequest(
  hostFunction: HostFunction,
  invocationId: string,
  input: InvocationInput,
  inputOf: InvokerOptions["inputOf"],
): InvocationRequest {
  const extra = Object.entries(hostFunction.metadata.bindings).flatMap(([name, binding]) => {
    const data = inputOf(binding);
    return data === undefined ? [] : [{ name, data }];
  });
  const hex = (uuid: string): string => uuid.replaceAll("-", "");
  return {
    invocationId,
    functionId: hostFunction.id,
    inputData: [{ name: hostFunction.triggerKey, data: input.data }, ...extra],
    triggerMetadata: input.metadata,
    traceContext: {
      traceParent: `00-${hex(randomUUID())}-${hex(invocationId).slice(0, 16)}-00`,
      traceState: "",
      attributes: {},
    },
  };
}
