import type { JsonObject } from "./json.ts";

export interface ArmRequest {
  readonly method: string;
  /** Without the query, decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Parsed JSON, undefined without a body. */
  readonly body: unknown;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: JsonObject | undefined;
  /** The connection is cut instead of answered. */
  readonly isCut?: boolean;
  /** The connection stays, but is never answered. */
  readonly isHung?: boolean;
}
