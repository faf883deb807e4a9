import type { JsonObject } from "./json.ts";

/** A Resource Manager refusal. Thrown inside the engine, answered as `{ "error": { code, message, details } }`. */
export class ArmError extends Error {
  override readonly name = "ArmError";
  readonly status: number;
  readonly code: string;
  readonly details: readonly JsonObject[];
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: number,
    code: string,
    message: string,
    more: { readonly details?: readonly JsonObject[]; readonly retryAfterSeconds?: number } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = more.details ?? [];
    this.retryAfterSeconds = more.retryAfterSeconds;
  }
}

export function errorBody(error: {
  readonly code: string;
  readonly message: string;
  readonly details?: readonly JsonObject[] | undefined;
}): JsonObject {
  const details = error.details ?? [];
  return { code: error.code, message: error.message, ...(details.length === 0 ? {} : { details }) };
}

export const invalidParameter = (message: string): ArmError => new ArmError(400, "InvalidParameter", message);

/** Azure has it, the local cloud does not: a code of its own, never mistaken for an answer of Azure. */
export function notSupported(what: string): ArmError {
  return new ArmError(
    501,
    "NotSupportedByLocalCloud",
    `The local cloud does not offer ${what}; its documents list what it offers.`,
  );
}

export function resourceNotFound(type: string, name: string, groupName: string): ArmError {
  return new ArmError(
    404,
    "ResourceNotFound",
    `The Resource '${type}/${name}' under resource group '${groupName}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
  );
}
