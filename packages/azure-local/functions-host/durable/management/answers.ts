import type { WireResponse } from "../../http/messages.ts";

/** An answer with JSON in it. */
export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): WireResponse {
  return {
    status,
    headers: new Map([["content-type", "application/json; charset=utf-8"], ...Object.entries(headers)]),
    body: new TextEncoder().encode(JSON.stringify(value ?? null)),
  };
}

export const empty = (status: number): WireResponse => ({ status, headers: new Map(), body: new Uint8Array() });

/** A refusal in the form of the real host. */
export const fault = (status: number, message: string, exceptionMessage?: string): WireResponse =>
  json(status, { Message: message, ...(exceptionMessage === undefined ? {} : { ExceptionMessage: exceptionMessage }) });
