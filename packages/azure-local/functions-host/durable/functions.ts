import type { HostFunction } from "../host-function.ts";

/** The orchestrators and activities of the app. Names are compared without regard to case. */
export interface DurableFunctions {
  add(kind: DurableKind, hostFunction: HostFunction): void;
  find(kind: DurableKind, name: string): HostFunction | undefined;
  /** The real host's text for a function that cannot be called; undefined when it can. */
  readonly missing: (kind: DurableKind, name: string) => string | undefined;
  readonly count: number;
}

export type DurableKind = "orchestrator" | "activity";

export function createDurableFunctions(): DurableFunctions {
  const known: Readonly<Record<DurableKind, Map<string, HostFunction>>> = {
    orchestrator: new Map(),
    activity: new Map(),
  };
  return {
    add(kind, hostFunction) {
      known[kind].set(hostFunction.name.toLowerCase(), hostFunction);
    },
    find: (kind, name) => known[kind].get(name.toLowerCase()),
    missing(kind, name) {
      if (known[kind].has(name.toLowerCase())) return undefined;
      const names = [...known[kind].values()].map((hostFunction) => hostFunction.name);
      const others =
        names.length === 0
          ? `No ${kind} functions are currently registered!`
          : `The following are the known ${kind} functions: '${names.join("', '")}'.`;
      return `The function '${name}' doesn't exist, is disabled, or is not an ${kind} function. Additional info: ${others}`;
    },
    get count() {
      return known.orchestrator.size + known.activity.size;
    },
  };
}
