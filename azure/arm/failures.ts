import { type ErrorCode, LeewardError } from "../../replication/errors.ts";
import { partOf, textOf } from "../../replication/resources/json.ts";
import type { Failed } from "../../replication/resources/resource-manager.ts";

/** Azure's refusal or failure: `{ error: { code, message } }`, in answers and in the states of operations. */
export interface AzureFault {
  /** Of the answer; undefined when an operation failed later. */
  readonly status: number | undefined;
  readonly azureCode: string;
  readonly message: string;
}

export function faultOf(body: unknown, status: number | undefined): AzureFault {
  const error = partOf(body, "error") ?? body;
  return {
    status,
    azureCode: textOf(error, "code") ?? "",
    message: textOf(error, "message") ?? `Azure gave no reason (${status ?? "operation"}).`,
  };
}

export function failed(fault: AzureFault): Failed {
  const code = codeOf(fault);
  const { retryable } = new LeewardError(code, fault.message);
  return { kind: "failed", code, azureCode: fault.azureCode, message: fault.message, retryable };
}

/** For requests that change nothing. */
export function errorOf(
  fault: AzureFault,
  facts: { readonly path: string; readonly retryAfterMs?: number },
): LeewardError {
  const { status, azureCode, message } = fault;
  return new LeewardError(codeOf(fault), `Azure said no: ${message}`, { ...facts, azureCode, status });
}

/** The only classifier: by Azure's code first, then by status. Several codes come with more than one status. */
function codeOf({ status, azureCode, message }: AzureFault): ErrorCode {
  if (azureCode === "OperationNotAllowed" && /\bquota\b/i.test(message)) return "azure-quota-exceeded";
  const known = FAMILIES.find(({ pattern }) => pattern.test(azureCode))?.code;
  if (known !== undefined) return known;
  if (status === 401 || status === 403) return "azure-not-authorized";
  if (status === 404) return "azure-resource-missing";
  if (status === 409 || status === 412) return "azure-resource-conflict";
  // A 501 is a permanent refusal.
  if (status === 408 || status === 429 || (status !== undefined && status >= 500 && status !== 501))
    return "azure-unavailable";
  return "azure-refused";
}

/** Azure's codes, from its documentation of errors and from recordings. All others go by the status. */
const FAMILIES: readonly { readonly code: ErrorCode; readonly pattern: RegExp }[] = [
  {
    code: "azure-forbidden",
    pattern: /^(RequestDisallowedBy\w+|ScopeLocked|ReadOnlyDisabledSubscription|DisallowedOperation)$/,
  },
  {
    code: "azure-not-authorized",
    pattern:
      /^(AuthorizationFailed|LinkedAuthorizationFailed|AuthenticationFailed\w*|InvalidAuthenticationToken\w*|ExpiredAuthenticationToken|SubscriptionNotFound|InvalidSubscriptionId)$/,
  },
  {
    code: "azure-quota-exceeded",
    pattern: /(QuotaExceeded|ExceedsRegionalQuota|CountLimitReached|AccountsCountPerSubscriptionExceeded)/,
  },
  { code: "azure-size-unavailable", pattern: /^(SkuNotAvailable|VMSizeNotAvailable\w*|NotAvailableForSubscription)$/ },
  { code: "azure-no-capacity", pattern: /^(Zonal)?AllocationFailed\w*$|^Overconstrained\w*AllocationRequest$/ },
  {
    code: "azure-resource-missing",
    pattern: /^(Parent)?(ResourceNotFound|ResourceGroupNotFound)$|^(NotFound|InvalidResourceReference|BlobNotFound)$/,
  },
  { code: "azure-resource-conflict", pattern: /InUse|IsAllocated$|Already(Taken|Exists)$/ },
  {
    code: "azure-unavailable",
    pattern:
      /^(Internal\w*Error|NetworkingInternalOperationError|ServerTimeout|GatewayTimeout|OperationTimedOut|ServiceUnavailable|ServerBusy|RetryableError\w*)$/,
  },
  {
    code: "azure-refused",
    pattern:
      /^(InvalidResourceNamespace|InvalidResourceType|NoRegisteredProviderFound|MissingSubscriptionRegistration)$/,
  },
];

/** The resource does not exist: a 404 about the resource, its parent or its group, not about the request. */
export function isMissing(fault: AzureFault): boolean {
  return fault.status === 404 && codeOf(fault) === "azure-resource-missing";
}

/** Another operation holds the resource; nothing was begun. */
export function isHeld({ status, azureCode }: AzureFault): boolean {
  return (
    (status === 409 &&
      /^(Conflict|AnotherOperationInProgress|\w*OperationInProgress|OperationPreempted)$/.test(azureCode)) ||
    isNicReserved(azureCode)
  );
}

/** Azure reserves the NIC of a machine that could not be made for that machine, for three minutes. */
export const isNicReserved = (azureCode: string): boolean => azureCode === "NicReservedForAnotherVm";
