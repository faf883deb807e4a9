import type { Clock } from "./clock.ts";
import type { DurableFunctions } from "./durable/functions.ts";
import type { HostFunction } from "./host-function.ts";
import type { HostConfiguration } from "./host-json.ts";
import type { HttpRoutes } from "./http/routes.ts";
import type { InvocationInput, Outcome } from "./invocation.ts";
import type { HostLog } from "./log.ts";
import type { InWork } from "./queue/in-work.ts";
import type { Settings } from "./settings.ts";

/** What a trigger needs from the host. */
export interface TriggerContext {
  readonly hostId: string;
  readonly configuration: HostConfiguration;
  readonly settings: Settings;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: HostLog;
  readonly routes: HttpRoutes;
  readonly durableFunctions: DurableFunctions;
  readonly inWork: InWork;
  /** Runs the function once; never rejects. */
  readonly invoke: (hostFunction: HostFunction, input: InvocationInput) => Promise<Outcome>;
}

/** Fires one function. `stop` is called once, even when the host gives up before `start`. */
export interface TriggerListener {
  start(): Promise<void>;
  /** Takes no new work; resolves when the running invocations have ended. */
  stop(): Promise<void>;
}

/**
 * A kind of trigger, looked up by binding type. `prepare` runs while the app loads: it checks the binding and refuses
 * what the local host cannot do (`not-supported`) or what is wrong (`configuration-invalid`); it does no I/O.
 */
export interface TriggerKind {
  /** Lower case. */
  readonly type: string;
  /** Output bindings by their lower-case types, beside the trigger. */
  readonly outputTypes: readonly string[];
  /** The input of a run through `POST /admin/functions/{name}`; undefined: the function cannot be run by hand. */
  readonly manualInput?: (input: string) => InvocationInput;
  prepare(hostFunction: HostFunction, context: TriggerContext): TriggerListener;
}
