import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type PipelinePolicy,
} from "@azure/core-rest-pipeline";
import { LeewardError } from "../../replication/errors.ts";
import { AZURE_BUSY_MS, AZURE_REQUEST_MS, AZURE_RETRY_AFTER_MAX_MS } from "../../replication/limits.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import { defaultCredential } from "../credential.ts";
import { isCredentialFailure } from "../errors.ts";

/** The endpoint of Azure Resource Manager, and the app's credential for it. */
export interface ResourceManagerAddress {
  /** For example `https://management.azure.com`. */
  readonly endpoint: string;
  readonly access:
    /** The app's identity; `scope` names the audience of its tokens. */
    | { readonly kind: "identity"; readonly scope: string }
    /** A fixed bearer token, for a Resource Manager that has no identities. */
    | { readonly kind: "token"; readonly token: string };
}

export interface Answer {
  readonly status: number;
  header(name: string): string | undefined;
  /** Undefined when there is none. */
  readonly body: unknown;
}

/**
 * Sends one request, once, to this Resource Manager only. Errors: `azure-unavailable`, `azure-not-authorized`,
 * `azure-answer-invalid`.
 */
export type Send = (
  method: "GET" | "PUT" | "PATCH" | "DELETE" | "POST",
  url: string,
  body?: ResourceJson,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>;

export function openTransport({ endpoint, access }: ResourceManagerAddress): Send {
  // Redirects would take the token elsewhere, and flows wait with their own timers.
  const pipeline = createPipelineFromOptions({ retryOptions: { maxRetries: 0 }, redirectOptions: { maxRetries: 0 } });
  pipeline.addPolicy(
    access.kind === "identity"
      ? bearerTokenAuthenticationPolicy({ credential: defaultCredential(), scopes: access.scope })
      : fixedToken(access.token),
  );
  const client = createDefaultHttpClient();
  return async (method, url, body, headers = {}) => {
    requireOwnAddress(url, endpoint);
    const request = createPipelineRequest({
      url,
      method,
      headers: createHttpHeaders({
        accept: "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      timeout: AZURE_REQUEST_MS,
      allowInsecureConnection: access.kind === "token",
    });
    try {
      const answer = await pipeline.sendRequest(client, request);
      return {
        status: answer.status,
        header: (name) => answer.headers.get(name),
        body: parsed(answer.bodyAsText, answer.status),
      };
    } catch (error) {
      throw transportError(error, method, url);
    }
  };
}

function fixedToken(token: string): PipelinePolicy {
  return {
    name: "fixedToken",
    sendRequest: (request, next) => {
      request.headers.set("authorization", `Bearer ${token}`);
      return next(request);
    },
  };
}

/**
 * Addresses of operations and next pages come from answers and from kept state: the token goes to Resource Manager and
 * its regional names only.
 */
function requireOwnAddress(url: string, endpoint: string): void {
  const [to, own] = [URL.parse(url), new URL(endpoint)];
  if (to !== null && to.protocol === own.protocol && (to.host === own.host || to.host.endsWith(`.${own.host}`))) return;
  throw new LeewardError(
    "azure-answer-invalid",
    "Azure named an address outside of Resource Manager; it was not asked.",
    {
      host: to?.host,
    },
  );
}

function parsed(text: string | null | undefined, status: number): unknown {
  if (text === null || text === undefined || text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    // A gateway in front answers with HTML for its own failures.
    if (status >= 400) return undefined;
    throw new LeewardError("azure-answer-invalid", "Azure's answer is no JSON.", { status }, { cause: error });
  }
}

function transportError(error: unknown, method: string, url: string): LeewardError {
  if (error instanceof LeewardError) return error;
  const facts = { method, path: URL.parse(url)?.pathname };
  const text = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  if (isCredentialFailure(error))
    return new LeewardError("azure-not-authorized", `No token for Azure Resource Manager: ${text}`, facts, {
      cause: error,
    });
  const isUnanswered = error instanceof Error && /^(RestError|AbortError)$/.test(error.name);
  if (isUnanswered)
    return new LeewardError("azure-unavailable", "Azure Resource Manager did not answer.", facts, { cause: error });
  // A mistake in our own call is a program error, not Azure's.
  return new LeewardError("internal", text, facts, { cause: error });
}

/**
 * Azure's retry delay, within limits. Seconds or a date; 0 and invalid values count as none: then 0 for a poll, our own
 * pause for a refusal.
 */
export function retryAfterMs(answer: Answer, kind: "poll" | "busy", nowMs: number): number {
  const text = answer.header("retry-after") ?? "";
  const askedMs = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  if (!(askedMs > 0)) return kind === "poll" ? 0 : AZURE_BUSY_MS;
  return Math.min(askedMs, AZURE_RETRY_AFTER_MAX_MS);
}

/** Azure asks for a retry: too many requests, or a service that says when it is back. */
export function isThrottled(answer: Answer): boolean {
  return answer.status === 429 || (answer.status === 503 && answer.header("retry-after") !== undefined);
}
