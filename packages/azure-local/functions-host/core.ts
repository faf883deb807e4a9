import { Module } from "node:module";
import { LocalError } from "../errors.ts";
import type { FunctionCallback, FunctionMetadata, LogCategory, LogLevel, ProgrammingModel } from "./rpc.ts";

const CORE_ID = "@azure/functions-core";
const WORKER_VERSION = "3.10.1";
/** What `GET /admin/host/status` and the app see as the version of the host. */
export const HOST_VERSION = "4.1036.0";

const HOOK_NAMES = ["appStart", "appTerminate", "preInvocation", "postInvocation", "log"] as const;
export type HookName = (typeof HOOK_NAMES)[number];
type HookCallback = (context: Record<string, unknown>) => unknown;

export interface RegisteredFunction {
  readonly id: string;
  readonly metadata: FunctionMetadata;
  readonly callback: FunctionCallback;
}

/** What one app has registered. `locked` closes it: registering later is an error, as in the real worker. */
export interface Registration {
  readonly functions: Map<string, RegisteredFunction>;
  readonly hooks: Readonly<Record<HookName, HookCallback[]>>;
  readonly appHookData: Record<string, unknown>;
  readonly log: (level: LogLevel, category: LogCategory, message: string) => void;
  locked: boolean;
}

/** The shim is global to the process, as the module it stands in for: apps load one after the other. */
let current: Registration | undefined;
let model: ProgrammingModel | undefined;
let installed = false;

/**
 * Makes `require("@azure/functions-core")` return this shim and opens a registration for the next app. Must run before
 * any copy of `@azure/functions` loads: that library asks once and drops every registration if it gets no answer.
 */
export function openRegistration(log: Registration["log"]): Registration {
  if (!installed) {
    const prototype = Module.prototype as unknown as { require: (this: unknown, id: string) => unknown };
    const original = prototype.require;
    prototype.require = function require(id: string): unknown {
      return id === CORE_ID ? CORE : original.call(this, id);
    };
    installed = true;
  }
  current = {
    functions: new Map(),
    hooks: { appStart: [], appTerminate: [], preInvocation: [], postInvocation: [], log: [] },
    appHookData: {},
    log,
    locked: false,
  };
  return current;
}

/**
 * The model of the loaded library; `configuration-invalid` if the app never registered anything through
 * `@azure/functions`.
 */
export function programmingModel(): ProgrammingModel {
  if (model === undefined) {
    throw new LocalError(
      "configuration-invalid",
      "The app registered no function through @azure/functions (version 4).",
    );
  }
  return model;
}

/** Undoes a registration, as the library's own class of this name. */
class Disposable {
  readonly #onDispose: () => unknown;

  constructor(onDispose: () => unknown) {
    this.#onDispose = onDispose;
  }

  static from(...disposables: readonly { dispose(): unknown }[]): Disposable {
    return new Disposable(() => {
      for (const disposable of disposables) disposable.dispose();
    });
  }

  dispose(): unknown {
    return this.#onDispose();
  }
}

function systemError(error: Error): Error {
  return Object.assign(error, { isAzureFunctionsSystemError: true });
}

function openedRegistration(): Registration {
  if (current === undefined) throw systemError(new Error("No app is being loaded."));
  return current;
}

function registerFunction(metadata: FunctionMetadata, callback: FunctionCallback): Disposable {
  const registration = openedRegistration();
  if (registration.locked) throw systemError(new Error("A function can only be registered during app startup."));
  const id = metadata.functionId ?? metadata.name;
  const taken = [...registration.functions.values()].some(
    (other) => other.metadata.name.toLowerCase() === metadata.name.toLowerCase(),
  );
  if (taken || registration.functions.has(id))
    throw systemError(new Error(`A function with id "${id}" has already been registered.`));
  registration.functions.set(id, { id, metadata, callback });
  return new Disposable(() => {
    if (registration.locked) throw systemError(new Error("A function can only be disposed during app startup."));
    registration.functions.delete(id);
  });
}

function registerHook(name: string, callback: HookCallback): Disposable {
  const registration = openedRegistration();
  const known = HOOK_NAMES.find((hook) => hook === name);
  if (known === undefined) throw systemError(new RangeError(`Unrecognized hook "${name}"`));
  const callbacks = registration.hooks[known];
  callbacks.push(callback);
  return new Disposable(() => {
    const index = callbacks.indexOf(callback);
    if (index >= 0) callbacks.splice(index, 1);
  });
}

const CORE = {
  version: WORKER_VERSION,
  hostVersion: HOST_VERSION,
  registerFunction,
  registerHook,
  setProgrammingModel(next: ProgrammingModel): void {
    model = next;
  },
  getProgrammingModel: (): ProgrammingModel | undefined => model,
  log(level: LogLevel, category: LogCategory, message: string): void {
    openedRegistration().log(level, category, message);
  },
  Disposable,
};
