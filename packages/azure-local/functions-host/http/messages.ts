import type { IncomingHttpHeaders } from "node:http";
import type { HttpCookie, HttpData, TypedData } from "../rpc.ts";

/** An answer ready to send. */
export interface WireResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string | readonly string[]>;
  readonly body: Uint8Array;
}

/** A request as the function's library expects it. */
export function toHttpData(
  method: string,
  url: URL,
  headers: IncomingHttpHeaders,
  parameters: Readonly<Record<string, string>>,
  body: Uint8Array,
): HttpData {
  const joined = Object.entries(headers).flatMap(([name, value]): [string, string][] => {
    if (value === undefined) return [];
    return [[name, Array.isArray(value) ? value.join(",") : value]];
  });
  return {
    method,
    url: url.href,
    headers: Object.fromEntries(joined),
    // The library reads the query from the URL, repeated names included, when it is not given here.
    nullableParams: Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, { value }])),
    body: { bytes: body },
  };
}

/** Set by the server itself; values from the app would break the framing of the answer. */
const FRAMING_HEADERS = ["connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"];

/** The answer of a function. A function that returned nothing answers 204. */
export function toWireResponse(value: TypedData | null | undefined): WireResponse {
  const http = value?.http;
  if (http === undefined) return { status: 204, headers: new Map(), body: new Uint8Array() };
  const headers = new Map<string, string | readonly string[]>();
  for (const [name, text] of Object.entries(http.headers ?? {})) {
    if (!FRAMING_HEADERS.includes(name.toLowerCase())) headers.set(name.toLowerCase(), text);
  }
  const cookies = (http.cookies ?? []).map(formatCookie);
  if (cookies.length > 0) {
    const own = headers.get("set-cookie");
    headers.set("set-cookie", [...(typeof own === "string" ? [own] : []), ...cookies]);
  }
  const status = Number(http.statusCode ?? 200);
  return {
    status: Number.isInteger(status) && status >= 200 && status <= 599 ? status : 500,
    headers,
    body: bodyBytes(http.body),
  };
}

function bodyBytes(body: TypedData | null | undefined): Uint8Array {
  if (body?.bytes !== undefined) return body.bytes;
  return new TextEncoder().encode(body?.string ?? body?.json ?? "");
}

/** A cookie as RFC 6265 writes it, value percent-encoded. */
export function formatCookie(cookie: HttpCookie): string {
  const expires = cookie.expires?.value?.seconds;
  const sameSite = { lax: "Lax", strict: "Strict", explicitNone: "None", none: undefined }[cookie.sameSite ?? "none"];
  return [
    `${cookie.name ?? ""}=${encodeURIComponent(cookie.value ?? "")}`,
    cookie.maxAge?.value === undefined ? undefined : `max-age=${Math.trunc(cookie.maxAge.value)}`,
    cookie.domain?.value === undefined ? undefined : `domain=${cookie.domain.value}`,
    cookie.path?.value === undefined ? undefined : `path=${cookie.path.value}`,
    expires === undefined ? undefined : `expires=${new Date(expires * 1000).toUTCString()}`,
    cookie.secure?.value === true ? "secure" : undefined,
    cookie.httpOnly?.value === true ? "httponly" : undefined,
    sameSite === undefined ? undefined : `samesite=${sameSite}`,
  ]
    .filter((part) => part !== undefined)
    .join("; ");
}
