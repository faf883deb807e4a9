import * as z from "zod";
import type { ErrorCode } from "../replication/errors.ts";

/**
 * The HTTP status of every code. 503: trying again can help; 500: a fault that the caller cannot fix. The API answers
 * with few of them; the list is closed.
 */
export const STATUS_OF_CODE: Readonly<Record<ErrorCode, number>> = {
  "invalid-request": 400,
  "disk-invalid": 400,
  "not-authorized": 401,
  "item-unknown": 404,
  "point-unknown": 404,
  "restore-unknown": 404,
  "policy-unknown": 404,
  "alert-rule-unknown": 404,
  "mapping-unknown": 404,
  "job-unknown": 404,
  conflict: 409,
  "item-exists": 409,
  "in-use": 409,
  "item-stopped": 409,
  "machine-mismatch": 409,
  "position-fork": 409,
  "session-taken": 409,
  "operation-not-allowed": 409,
  "stream-closed": 409,
  "point-pruned": 410,
  "too-many-requests": 429,
  "store-refused": 502,

  "outcome-unknown": 503,
  "store-unavailable": 503,
  "store-busy": 503,
  fenced: 503,
  "position-gap": 503,
  "resynchronization-required": 503,
  "control-unavailable": 503,
  "azure-unavailable": 503,
  "azure-no-capacity": 503,
  "events-unavailable": 503,

  "delta-corrupt": 500,
  "delta-unsupported": 500,
  "delta-too-large": 500,
  "delta-foreign": 500,
  "record-corrupt": 500,
  "state-locked": 500,
  "state-corrupt": 500,
  "capture-failed": 500,
  "azure-not-authorized": 500,
  "azure-forbidden": 500,
  "azure-quota-exceeded": 500,
  "azure-size-unavailable": 500,
  "azure-resource-missing": 500,
  "azure-resource-conflict": 500,
  "azure-refused": 500,
  "azure-answer-invalid": 500,
  "events-refused": 500,
  "configuration-invalid": 500,
  "port-in-use": 500,
  "not-supported": 500,
  internal: 500,
};

/** The body of every refusal and every fault. */
export const refusalBody = z
  .object({
    error: z.object({
      code: z.enum(Object.keys(STATUS_OF_CODE)).describe("One of a closed list."),
      message: z.string().describe("What is wrong, with the names that count."),
      hint: z.string().describe("What to do next."),
      facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    }),
  })
  .meta({ id: "Refusal", description: "A request that was refused, or a fault." });
