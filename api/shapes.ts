import * as z from "zod";
import type { AlertRule } from "../replication/alerts/decide-alert.ts";
import { DISKS_MAX_COUNT } from "../replication/limits.ts";
import type { DiskDescription, Position } from "../replication/position.ts";
import type { PolicyInMinutes } from "../replication/records/policy.ts";

/**
 * Shapes that several resources share. The contract describes only the shape of bodies: the domain validates the values
 * and words the errors. Operators' bodies are strict, because a misspelt option must not seem accepted. Answers may get
 * fields that today's clients do not know.
 */

/** Times in ISO 8601. */
export const time = z.iso.datetime();

export const position = z
  .object({
    stream: z.number(),
    epoch: z.number(),
    checksum: z.string().describe("64 hex digits: SHA-256 over all that came before."),
  })
  .meta({ id: "Position", description: "A place in the write log of an item." }) satisfies z.ZodType<Position>;

/** A disk in the body of a request. */
export const givenDisk = {
  id: z.string(),
  sizeBytes: z.number(),
  sectorSizeBytes: z.union([z.literal(512), z.literal(4096)]).default(512),
};

export const disksOf = <Disk extends z.ZodType<DiskDescription>>(disk: Disk) => z.array(disk).max(DISKS_MAX_COUNT);

/** A disk in an answer. */
export const disk = z
  .object({ id: z.string(), sizeBytes: z.number(), sectorSizeBytes: z.union([z.literal(512), z.literal(4096)]) })
  .meta({ id: "Disk", description: "A disk of an item." });

/** A policy, in Site Recovery's minutes; the only policy type here is Site Recovery's. */
export const policyBody = z
  .strictObject({
    crashConsistentFrequencyInMinutes: z.number().optional(),
    appConsistentFrequencyInMinutes: z.number().optional().describe("0: never."),
    recoveryPointHistory: z.number().optional().describe("How long points are kept; 0 keeps the latest only."),
    recoveryPointThresholdInMinutes: z
      .number()
      .optional()
      .describe("A recovery point objective above this is a warning."),
  })
  .meta({
    id: "PolicyInput",
    description: "A replication policy in minutes; what is left out has its default.",
  }) satisfies z.ZodType<PolicyInMinutes>;

/** A policy with all its values. */
export const policyValues = z
  .object({
    crashConsistentFrequencyInMinutes: z.number(),
    appConsistentFrequencyInMinutes: z.number(),
    recoveryPointHistory: z.number(),
    recoveryPointThresholdInMinutes: z.number(),
  })
  .meta({ id: "PolicyValues", description: "A replication policy in minutes." });

/** Why something is wrong, in an answer that is not a refusal. */
export const fault = z
  .object({ code: z.string(), message: z.string(), hint: z.string() })
  .meta({ id: "Fault", description: "What is wrong, and what to do next." });

export const alertSeverity = z.enum(["Sev0", "Sev1", "Sev2", "Sev3", "Sev4"]) satisfies z.ZodType<
  AlertRule["severities"][number]
>;

/** The recovery point that a failover takes when none is named. */
export const failoverPointType = z.enum([
  "Latest",
  "LatestProcessed",
  "LatestApplicationConsistent",
  "LatestCrashConsistent",
]);

/** Whether the source is shut down first, if it can be reached. */
export const sourceSiteOperations = z.enum(["Required", "NotRequired"]);
