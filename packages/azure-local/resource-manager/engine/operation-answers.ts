import { createHash, createHmac } from "node:crypto";
import { ARM_OPAQUE_QUERY_BYTES } from "../../limits.ts";
import type { Answer } from "./answer.ts";
import { ArmError, errorBody } from "./arm-error.ts";
import type { JsonObject } from "./json.ts";
import type { OperationRecord } from "./operation-record.ts";
import { GROUP_TYPE } from "./target.ts";

export interface OperationAddresses {
  /** Of the whole Resource Manager, without a trailing slash. */
  readonly url: string;
  readonly secret: string;
  /** Sent with each "not yet" answer; tests send none. */
  readonly retryAfterSeconds: number | undefined;
}

/** The headers of an accepted request. */
export function operationHeaders(
  operation: OperationRecord,
  apiVersion: string,
  addresses: OperationAddresses,
): Readonly<Record<string, string>> {
  const status = operationUrl(operation, "status", apiVersion, addresses);
  const result = operationUrl(operation, "result", apiVersion, addresses);
  const { form } = operation;
  return {
    ...(form === "async-operation" || form === "async-operation-and-location"
      ? { "Azure-AsyncOperation": status, "Azure-AsyncNotification": "Enabled" }
      : {}),
    ...(form === "location" || form === "async-operation-and-location" ? { Location: result } : {}),
    ...retryAfter(addresses),
  };
}

/** `Azure-AsyncOperation`: always 200, with the state in the body, and an error for every failure. */
export function statusAnswer(operation: OperationRecord, addresses: OperationAddresses): Answer {
  const time = (ms: number): string => new Date(ms).toISOString().replace("Z", "0000+00:00");
  const { status, error } = operation;
  const body: JsonObject = {
    startTime: time(operation.startMs),
    ...(operation.endMs === undefined ? {} : { endTime: time(operation.endMs) }),
    status,
    ...(error === undefined ? {} : { error: errorBody(error) }),
    name: operation.id,
  };
  // Microsoft.Network gives nothing else.
  const short = { status, ...(error === undefined ? {} : { error: errorBody(error) }) };
  const shown = operation.type.startsWith("Microsoft.Network/") ? short : body;
  return { status: 200, headers: status === "InProgress" ? retryAfter(addresses) : {}, body: shown };
}

/** `Location`: 202 until it is done, then the result; a failure is an error answer. */
export function resultAnswer(
  operation: OperationRecord,
  query: URLSearchParams,
  addresses: OperationAddresses,
  resource: () => JsonObject | undefined,
): Answer {
  if (operation.status === "InProgress") {
    // Microsoft.Storage returns a new address with each answer.
    const givenMs = operation.type.startsWith("Microsoft.Storage/") ? askedOf(query) + 1 : operation.startMs;
    const location = operationUrl(operation, "result", query.get("api-version") ?? "", addresses, givenMs);
    return { status: 202, headers: { Location: location, ...retryAfter(addresses) } };
  }
  const { error } = operation;
  if (error !== undefined)
    throw new ArmError(error.status, error.code, error.message, { details: error.details ?? [] });
  if (operation.verb === "put") return { status: 200, headers: {}, body: resource() };
  const hasResult =
    operation.verb !== "delete" && operation.result !== undefined && Object.keys(operation.result).length > 0;
  return { status: 200, headers: {}, body: hasResult ? operation.result : undefined };
}

/** Like Azure, refuses an address whose long query was cut or changed on the way. */
export function checkSignature(operation: OperationRecord, query: URLSearchParams, secret: string): void {
  const wanted = opaqueQuery(operation, secret, askedOf(query));
  if ([...wanted].every(([name, value]) => query.get(name) === value)) return;
  throw new ArmError(
    403,
    "InvalidOperationSignature",
    "The address of the operation is not the one that was given out.",
  );
}

function retryAfter({ retryAfterSeconds }: OperationAddresses): Readonly<Record<string, string>> {
  return retryAfterSeconds === undefined ? {} : { "Retry-After": String(retryAfterSeconds) };
}

function operationUrl(
  operation: OperationRecord,
  view: "status" | "result",
  apiVersion: string,
  { url, secret }: OperationAddresses,
  givenMs = operation.startMs,
): string {
  const scope = `${url}/subscriptions/${operation.subscriptionId}`;
  const query = new URLSearchParams([["api-version", apiVersion], ...opaqueQuery(operation, secret, givenMs)]);
  if (operation.type === GROUP_TYPE)
    return `${scope}/${view === "status" ? "operations" : "operationresults"}/${operation.id}?${query.toString()}`;
  const namespace = operation.type.split("/")[0];
  const segment = view === "status" ? "operations" : "operationResults";
  return `${scope}/providers/${namespace}/locations/${operation.region}/${segment}/${operation.id}?${query.toString()}`;
}

/** When an address was issued: all issued ones stay valid. */
const askedOf = (query: URLSearchParams): number => Number(query.get("t"));

/** Azure signs these addresses and adds a certificate: 3.3 to 3.5 kB. Clients that store one need the space. */
function opaqueQuery(operation: OperationRecord, secret: string, givenMs: number): readonly [string, string][] {
  const certificate: string[] = [];
  for (let part = 0; certificate.join("").length < ARM_OPAQUE_QUERY_BYTES; part++) {
    certificate.push(createHash("sha512").update(`${operation.id}\n${part}`).digest("base64url"));
  }
  const sign = (part: string): string =>
    createHmac("sha512", secret).update(`${operation.id}\n${givenMs}\n${part}`).digest("base64url");
  return [
    ["t", String(givenMs)],
    ["c", certificate.join("").slice(0, ARM_OPAQUE_QUERY_BYTES)],
    ["s", ["1", "2", "3", "4"].map(sign).join("")],
    ["h", sign("h").slice(0, 43)],
  ];
}
