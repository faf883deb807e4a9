import type { ErrorCode } from "../../replication/errors.ts";
import { SESSION_LEASE_MS } from "../../replication/limits.ts";
import type { Position } from "../../replication/position.ts";
import type { OpenStream } from "../../replication/records/item.ts";
import type { HeartbeatAnswer, RegisterAnswer, SettleAnswer } from "../../replication/service/protocol.ts";

/** The control plane's answer to a registration; undefined when it has another shape. */
export function registerAnswer(value: unknown): RegisterAnswer | undefined {
  const opened = openStream(value);
  const ticket = textAt(value, "ticket");
  const cacheEndpoint = textAt(value, "cacheEndpoint");
  if (opened === undefined || ticket === undefined || cacheEndpoint === undefined || !URL.canParse(cacheEndpoint))
    return undefined;
  return { ...opened, ticket, cacheEndpoint };
}

function openStream(value: unknown): OpenStream | undefined {
  const stream = numberAt(value, "stream");
  const start = positionAt(value, "start");
  const nonce = textAt(value, "nonce");
  return stream === undefined || start === undefined || nonce === undefined ? undefined : { stream, start, nonce };
}

export function heartbeatAnswer(value: unknown): HeartbeatAnswer | undefined {
  const opened = openStream(value);
  const upload = fieldOf(value, "upload");
  const containerUrl = textAt(upload, "containerUrl");
  const expiresMs = numberAt(upload, "expiresMs");
  const applied = positionAt(value, "applied");
  const intervalMs = numberAt(value, "intervalMs");
  const nowMs = numberAt(value, "nowMs");
  if (opened === undefined || containerUrl === undefined || !URL.canParse(containerUrl)) return undefined;
  if (expiresMs === undefined || applied === undefined || intervalMs === undefined) return undefined;
  return { ...opened, upload: { containerUrl, expiresMs }, applied, nowMs, intervalMs, ...requests(value) };
}

/** Fields that an older control plane does not send mean no request. */
function requests(value: unknown): Pick<HeartbeatAnswer, "session" | "resend" | "consistency" | "rotation"> {
  const session = fieldOf(value, "session");
  const requestId = textAt(fieldOf(value, "consistency"), "requestId");
  const rotation = textAt(value, "rotation");
  const epoch = numberAt(fieldOf(value, "resend"), "epoch");
  return {
    session: { sinceMs: numberAt(session, "sinceMs") ?? 0, leaseMs: numberAt(session, "leaseMs") ?? SESSION_LEASE_MS },
    ...(epoch === undefined ? {} : { resend: { epoch } }),
    ...(requestId === undefined ? {} : { consistency: { requestId } }),
    ...(rotation === "wanted" || rotation === "accepted" ? { rotation } : {}),
  };
}

export function settleAnswer(value: unknown): SettleAnswer | undefined {
  const outcome = textAt(value, "outcome");
  return outcome === "same" || outcome === "again" || outcome === "other" ? { outcome } : undefined;
}

/**
 * Codes with which the control plane refuses the mobility service: it understood the request. With any other code,
 * repeating the request can help.
 */
const REFUSALS: readonly ErrorCode[] = [
  "invalid-request",
  "not-authorized",
  "machine-mismatch",
  "session-taken",
  "position-fork",
  "item-unknown",
  "item-stopped",
  "item-exists",
  "disk-invalid",
  "stream-closed",
];

/** Reads an error body; `code` only if it is a refusal. */
export function errorBody(value: unknown): ErrorBody | undefined {
  const error = fieldOf(value, "error");
  const code = textAt(error, "code");
  if (code === undefined) return undefined;
  return {
    code: REFUSALS.find((known) => known === code),
    message: textAt(error, "message") ?? code,
    hint: textAt(error, "hint"),
    leaseLeftMs: numberAt(fieldOf(error, "facts"), "leaseLeftMs"),
  };
}

interface ErrorBody {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  /** The control plane's advice: it knows more about the case than the code says. */
  readonly hint: string | undefined;
  /** With `session-taken`: how long the other service's session lasts if it stays silent. */
  readonly leaseLeftMs: number | undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;
}

function textAt(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name);
  return typeof field === "string" ? field : undefined;
}

function numberAt(value: unknown, name: string): number | undefined {
  const field = fieldOf(value, name);
  return typeof field === "number" && Number.isFinite(field) ? field : undefined;
}

function positionAt(value: unknown, name: string): Position | undefined {
  const field = fieldOf(value, name);
  const stream = numberAt(field, "stream");
  const epoch = numberAt(field, "epoch");
  const checksum = textAt(field, "checksum");
  return stream === undefined || epoch === undefined || checksum === undefined
    ? undefined
    : { stream, epoch, checksum };
}
