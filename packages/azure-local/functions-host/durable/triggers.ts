import type { TriggerKind } from "../trigger.ts";
import type { DurableKind } from "./functions.ts";
import { activityInput } from "./payload.ts";

/** Orchestrators and activities have no listener: they are registered here, and the engine calls them. */
const durableTrigger = (kind: DurableKind, type: string, more: Pick<TriggerKind, "manualInput"> = {}): TriggerKind => ({
  type,
  outputTypes: [],
  ...more,
  prepare(hostFunction, context) {
    context.durableFunctions.add(kind, hostFunction);
    return { start: () => Promise.resolve(), stop: () => Promise.resolve() };
  },
});

export const ORCHESTRATION_TRIGGER = durableTrigger("orchestrator", "orchestrationtrigger");
export const ACTIVITY_TRIGGER = durableTrigger("activity", "activitytrigger", {
  manualInput: (text) => activityInput("", text),
});
