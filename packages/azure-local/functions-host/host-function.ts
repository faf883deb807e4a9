import type { RegisteredFunction } from "./core.ts";
import type { Binding } from "./rpc.ts";

/** A registered function with its one trigger. */
export interface HostFunction extends RegisteredFunction {
  readonly name: string;
  readonly triggerKey: string;
  readonly trigger: Binding;
}
