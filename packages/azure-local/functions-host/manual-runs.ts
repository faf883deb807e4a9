import type { HostFunction } from "./host-function.ts";
import type { Invoker } from "./invocation.ts";
import type { TriggerKind, TriggerListener } from "./trigger.ts";

type ManualRun = "begun" | "unknown" | "unsuitable";

/** Runs functions at an administrator's request (`POST /admin/functions/{name}`), even disabled ones, as on Azure. */
export interface ManualRuns extends TriggerListener {
  /** Does not wait for the run. "unsuitable": the trigger's input cannot be made from text. */
  begin(name: string, input: string): ManualRun;
}

export function createManualRuns(
  functions: readonly { readonly hostFunction: HostFunction; readonly kind: TriggerKind }[],
  invoke: Invoker["invoke"],
): ManualRuns {
  const running = new Set<Promise<unknown>>();
  return {
    begin(name, input) {
      const found = functions.find(({ hostFunction }) => hostFunction.name.toLowerCase() === name.toLowerCase());
      if (found === undefined) return "unknown";
      const made = found.kind.manualInput?.(input);
      if (made === undefined) return "unsuitable";
      const run = invoke(found.hostFunction, made).finally(() => running.delete(run));
      running.add(run);
      return "begun";
    },
    start: () => Promise.resolve(),
    async stop() {
      await Promise.all(running);
    },
  };
}
