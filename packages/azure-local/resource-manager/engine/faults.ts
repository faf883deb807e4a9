import { allocationFailures, type AllocationChance } from "./allocation-failures.ts";
import { ArmError } from "./arm-error.ts";
import type { OperationError } from "./operation-record.ts";
import type { Past, PastSwitches } from "./past.ts";
import { createRequestBuckets, type RequestBuckets, type RequestRates } from "./request-buckets.ts";

/**
 * An ordered failure. `request` refuses before anything happens, `throttle` refuses with 429 and Retry-After, `async`
 * accepts and fails the operation later, `lost-answer` executes the request but cuts the connection instead of
 * answering.
 */
interface Fault {
  readonly phase: "request" | "throttle" | "async" | "lost-answer";
  /** GET, PUT, PATCH, DELETE, POST; undefined for any. */
  readonly method?: string;
  /** As in `Microsoft.Compute/virtualMachines`; undefined for any. */
  readonly type?: string;
  /** Of the resource; undefined for any. */
  readonly name?: string;
  /** Of a POST, as in `start`; undefined for any. */
  readonly action?: string;
  /** How often it occurs. */
  readonly times: number;
  /** 409 by default; 429 for a throttle. */
  readonly status?: number;
  readonly code?: string;
  readonly message?: string;
  readonly retryAfterSeconds?: number;
}

export interface RequestFacts {
  readonly method: string;
  readonly type: string;
  readonly name: string;
  readonly action: string | undefined;
}

/** The switches of a running Resource Manager, in memory only: a restart clears them. */
export interface Faults extends PastSwitches {
  add(fault: Fault): void;
  /** Limits requests of the subscription by kind, as Azure does (`AZURE_REQUEST_RATES`); undefined: no limit. */
  limitRequests(rates: RequestRates | undefined): void;
  /** Machines fail with `AllocationFailed` at random; undefined: none. */
  failAllocations(chance: AllocationChance | undefined): void;
  /** True: operations that move bytes or make many things take longer, the more the longer, at pace 1 as in Azure. */
  timeBySize(isOn: boolean): void;
  /** Whether durations depend on size. */
  isTimedBySize(): boolean;
  /** What `limitRequests` limits. */
  readonly requests: RequestBuckets;
  /** Clears all, even the lags. */
  clear(): void;
  /** Throws for `request` and `throttle`. */
  refuse(request: RequestFacts): void;
  /** The error this request's operation will end with. */
  failureOf(request: RequestFacts): OperationError | undefined;
  losesAnswer(request: RequestFacts): boolean;
}

export function createFaults(past: Past): Faults {
  const buckets = createRequestBuckets();
  let waiting: { readonly fault: Fault; left: number }[] = [];
  let allocate: ReturnType<typeof allocationFailures> | undefined;
  let isBySize = false;
  const strike = (phase: Fault["phase"], request: RequestFacts): Fault | undefined => {
    const hit = waiting.find(({ fault, left }) => left > 0 && fault.phase === phase && matches(fault, request));
    if (hit === undefined) return undefined;
    hit.left -= 1;
    waiting = waiting.filter(({ left }) => left > 0);
    return hit.fault;
  };
  return {
    add: (fault) => void waiting.push({ fault, left: fault.times }),
    limitRequests: (rates) => buckets.limit(rates),
    failAllocations: (chance) => void (allocate = chance === undefined ? undefined : allocationFailures(chance)),
    timeBySize: (isOn) => void (isBySize = isOn),
    isTimedBySize: () => isBySize,
    requests: buckets,
    clear: () => {
      [waiting, allocate, isBySize] = [[], undefined, false];
      buckets.limit(undefined);
      past.clear();
    },
    staleLists: (lag) => past.staleLists(lag),
    lag: (lag) => past.lag(lag),
    lateReleases: (late) => past.lateReleases(late),
    refuse: (request) => {
      const throttle = strike("throttle", request);
      if (throttle !== undefined) {
        const { code = "TooManyRequests", message = "The request was throttled.", retryAfterSeconds = 1 } = throttle;
        throw new ArmError(throttle.status ?? 429, code, message, { retryAfterSeconds });
      }
      const refusal = strike("request", request);
      if (refusal !== undefined)
        throw new ArmError(refusal.status ?? 409, refusal.code ?? "Conflict", refusal.message ?? "Refused on purpose.");
    },
    failureOf: (request) => {
      const fault = strike("async", request);
      if (fault === undefined) return allocate?.(request);
      return {
        status: fault.status ?? 409,
        code: fault.code ?? "InternalExecutionError",
        message: fault.message ?? "Failed on purpose.",
      };
    },
    losesAnswer: (request) => strike("lost-answer", request) !== undefined,
  };
}

function matches(fault: Fault, request: RequestFacts): boolean {
  const same = (wanted: string | undefined, found: string | undefined): boolean =>
    wanted === undefined || wanted.toLowerCase() === found?.toLowerCase();
  return (
    same(fault.method, request.method) &&
    same(fault.type, request.type) &&
    same(fault.name, request.name) &&
    same(fault.action, request.action)
  );
}
