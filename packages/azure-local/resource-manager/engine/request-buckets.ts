import { ArmError } from "./arm-error.ts";

/** How many requests of a kind there may be: a bucket that is full at first, and what flows in each second. */
interface Rate {
  readonly size: number;
  readonly perSecond: number;
}

export type RequestKind = "reads" | "writes" | "deletes";
export type RequestRates = Readonly<Record<RequestKind, Rate>>;

/** Azure's limits of a subscription (learn.microsoft.com, request-limits-and-throttling). */
export const AZURE_REQUEST_RATES: RequestRates = {
  reads: { size: 250, perSecond: 25 },
  writes: { size: 200, perSecond: 10 },
  deletes: { size: 200, perSecond: 10 },
};

/** The token buckets of the subscription, one for each kind of request; off by default. */
export interface RequestBuckets {
  /** Full buckets of these rates; undefined: no limit. */
  limit(rates: RequestRates | undefined): void;
  /** Errors: ArmError 429 with Retry-After when the bucket is empty. */
  take(method: string, nowMs: number): void;
  /** Requests left; a full bucket of Azure's when there is no limit. */
  left(method: string, nowMs: number): number;
}

export function createRequestBuckets(): RequestBuckets {
  let rates: RequestRates | undefined;
  const buckets = new Map<RequestKind, { readonly tokens: number; readonly atMs: number }>();
  const tokensOf = (kind: RequestKind, { size, perSecond }: Rate, nowMs: number): number => {
    const { tokens, atMs } = buckets.get(kind) ?? { tokens: size, atMs: nowMs };
    return Math.min(size, tokens + (Math.max(0, nowMs - atMs) / 1_000) * perSecond);
  };
  return {
    limit: (given) => {
      rates = given;
      buckets.clear();
    },
    take: (method, nowMs) => {
      if (rates === undefined) return;
      const kind = requestKind(method);
      const rate = rates[kind];
      const tokens = tokensOf(kind, rate, nowMs);
      if (tokens < 1) throw throttled(kind, (1 - tokens) / rate.perSecond);
      buckets.set(kind, { tokens: tokens - 1, atMs: nowMs });
    },
    left: (method, nowMs) => {
      const kind = requestKind(method);
      return rates === undefined ? AZURE_REQUEST_RATES[kind].size - 1 : Math.floor(tokensOf(kind, rates[kind], nowMs));
    },
  };
}

/** Azure counts reads, writes and deletes apart; an action is a write. */
export function requestKind(method: string): RequestKind {
  if (method === "GET" || method === "HEAD") return "reads";
  return method === "DELETE" ? "deletes" : "writes";
}

function throttled(kind: RequestKind, seconds: number): ArmError {
  const retryAfterSeconds = Math.max(1, Math.ceil(seconds));
  const message = `Number of '${kind}' requests for the subscription exceeded its limit. Please try again after '${retryAfterSeconds}' seconds.`;
  return new ArmError(429, "SubscriptionRequestsThrottled", message, { retryAfterSeconds });
}
