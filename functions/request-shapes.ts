import * as z from "zod";
import type { HeartbeatRequest, RegisterRequest, SettleRequest } from "../replication/items/mobility-protocol.ts";
import type { ProtectRequest } from "../replication/items/protect.ts";
import { DISKS_MAX_COUNT } from "../replication/limits.ts";
import type { PolicyInMinutes } from "../replication/policies/policy.ts";
import type { PlanOptions } from "../replication/planning/options.ts";
import type { DiskDescription } from "../replication/position.ts";

/** The bodies that the API takes: their shape only. What the values must be is the domain's to say, in its own words. */

const disk = z
  .strictObject({ id: z.string(), sizeBytes: z.number(), sectorSizeBytes: z.union([z.literal(512), z.literal(4096)]).default(512) })
  .readonly() satisfies z.ZodType<DiskDescription>;

const disks = z.array(disk).max(DISKS_MAX_COUNT).readonly();

const position = z.object({ stream: z.number(), epoch: z.number(), checksum: z.string() });

const policy = z.strictObject({
  crashConsistentFrequencyInMinutes: z.number().optional(),
  appConsistentFrequencyInMinutes: z.number().optional(),
  recoveryPointHistory: z.number().optional(),
});

/** Operators' bodies are strict: a misspelt option must not look as if it had been taken. Both durations are minutes, as in Site Recovery. */
export const protectBody = z.strictObject({ disks, policy: policy.optional() }) satisfies z.ZodType<{
  readonly disks: ProtectRequest["disks"];
}>;

const text = z.string().exactOptional();

/** A virtual machine by its id: everything else follows from it and from the options. */
export const protectMachineBody = z.strictObject({
  sourceVmId: z.string(),
  targetRegion: z.string(),
  policy: policy.optional(),
  options: z
    .strictObject({
      subscriptionId: text,
      resourceGroup: text,
      machineName: text,
      sizeName: text,
      network: z
        .discriminatedUnion("kind", [
          z.strictObject({ kind: z.literal("existing"), id: z.string() }),
          z.strictObject({
            kind: z.literal("new"),
            name: text,
            addressPrefixes: z.array(z.string()).exactOptional(),
            subnets: z.array(z.strictObject({ name: z.string(), addressPrefix: z.string() })).exactOptional(),
            peerWith: z.array(z.string()).exactOptional(),
          }),
        ])
        .exactOptional(),
      availability: z
        .discriminatedUnion("kind", [
          z.strictObject({ kind: z.literal("none") }),
          z.strictObject({ kind: z.literal("availability-set"), name: z.string() }),
          z.strictObject({ kind: z.literal("zone"), zone: z.string() }),
        ])
        .exactOptional(),
      cacheAccountName: text,
      targetAccountName: text,
      churn: z.enum(["Normal", "High"]).exactOptional(),
      disks: z
        .record(z.string(), z.strictObject({ name: text, replicaName: text, targetSku: text, diskEncryptionSetId: text }))
        .exactOptional(),
      nics: z
        .record(
          z.string(),
          z.strictObject({
            name: text,
            subnetName: text,
            address: text,
            publicIpId: text,
            networkSecurityGroupId: text,
            acceleratedNetworking: z.boolean().exactOptional(),
          }),
        )
        .exactOptional(),
    })
    .exactOptional(),
}) satisfies z.ZodType<{ readonly options?: Omit<PlanOptions, "targetRegion"> }>;

/** Site Recovery's options: a point by its id, or by its kind; neither is the latest. */
export const failoverBody = z
  .strictObject({
    recoveryPointId: z.string().optional(),
    recoveryPointType: z.enum(["Latest", "LatestProcessed", "LatestApplicationConsistent", "LatestCrashConsistent"]).optional(),
    sourceSiteOperations: z.enum(["Required", "NotRequired"]).default("NotRequired"),
  })
  .refine(({ recoveryPointId, recoveryPointType }) => recoveryPointId === undefined || recoveryPointType === undefined, {
    error: "give recoveryPointId or recoveryPointType, not both",
  });

/** A stored policy, in Site Recovery's minutes; its type of policies is the only one here. */
export const policyBody = z.strictObject({
  recoveryPointHistory: z.number().optional(),
  crashConsistentFrequencyInMinutes: z.number().optional(),
  appConsistentFrequencyInMinutes: z.number().optional(),
  recoveryPointThresholdInMinutes: z.number().optional(),
}) satisfies z.ZodType<PolicyInMinutes>;

export const mappingBody = z.strictObject({
  primaryNetworkId: z.string(),
  primaryRegion: z.string(),
  recoveryNetworkId: z.string(),
  recoveryRegion: z.string(),
});

export const mappingChangeBody = z.strictObject({ recoveryNetworkId: z.string() });

/** A point on request can be app-consistent only: crash-consistent ones come by policy. */
export const newPointBody = z.strictObject({
  recoveryPointType: z.literal("ApplicationConsistent", { error: "must be ApplicationConsistent: the others come by policy" }),
});

/** The mobility service's bodies may carry fields that a newer one knows. */
export const registerBody = z.object({
  registrationToken: z.string(),
  itemToken: z.string(),
  machineId: z.string(),
  bootId: z.string(),
  disks,
}) satisfies z.ZodType<RegisterRequest>;

const progressed = z.object({ doneBytes: z.number(), totalBytes: z.number() });

export const heartbeatBody = z.object({
  machineId: z.string(),
  bootId: z.string(),
  sessionId: z.string(),
  ended: z.boolean().optional(),
  sentMs: z.number(),
  uploaded: position,
  sealed: position.optional(),
  currentAtMs: z.number().optional(),
  pendingBytes: z.number(),
  seeding: progressed.optional(),
  resynchronization: progressed.extend({ state: z.enum(["required", "running"]), reason: z.string() }).optional(),
  repairRunning: z.string().optional(),
  repairDone: z.string().optional(),
  consistency: z
    .union([
      z.object({ requestId: z.string(), state: z.literal("done") }),
      z.object({ requestId: z.string(), state: z.literal("failed"), reason: z.string() }),
    ])
    .optional(),
  nextTokenHash: z.string().optional(),
}) satisfies z.ZodType<HeartbeatRequest>;

export const settleBody = z.object({
  sessionId: z.string(),
  stream: z.number(),
  epoch: z.number(),
  checksum: z.string(),
}) satisfies z.ZodType<SettleRequest>;
