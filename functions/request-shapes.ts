import * as z from "zod";
import type { GivenAlertRule } from "../replication/alerts/alert-record.ts";
import type { HeartbeatRequest, RegisterRequest, SettleRequest } from "../replication/service/protocol.ts";
import type { ProtectRequest } from "../replication/items/protect.ts";
import { DISKS_MAX_COUNT } from "../replication/limits.ts";
import type { PolicyInMinutes } from "../replication/records/policy.ts";
import type { PlanOptions } from "../replication/planning/options.ts";
import type { DiskDescription } from "../replication/position.ts";
import { alertSeverity } from "./alert-message.ts";

/**
 * The bodies that the API takes: their shape only. What the values must be is the domain's to say, in its own words.
 */

const diskFields = {
  id: z.string(),
  sizeBytes: z.number(),
  sectorSizeBytes: z.union([z.literal(512), z.literal(4096)]).default(512),
};
const disksOf = <Disk extends z.ZodType<DiskDescription>>(disk: Disk) => z.array(disk).max(DISKS_MAX_COUNT).readonly();
const disks = disksOf(z.strictObject(diskFields).readonly());

const position = z.object({ stream: z.number(), epoch: z.number(), checksum: z.string() });

/** A policy, in Site Recovery's minutes; its type of policies is the only one here. */
export const policyBody = z.strictObject({
  crashConsistentFrequencyInMinutes: z.number().optional(),
  appConsistentFrequencyInMinutes: z.number().optional(),
  recoveryPointHistory: z.number().optional(),
  recoveryPointThresholdInMinutes: z.number().optional(),
}) satisfies z.ZodType<PolicyInMinutes>;

/** A policy of its own, or the name of a stored one, which the item then follows. */
const policyFields = { policy: policyBody.optional(), policyName: z.string().optional() };
const onePolicy = ({ policy, policyName }: { readonly policy?: unknown; readonly policyName?: unknown }): boolean =>
  policy === undefined || policyName === undefined;
const ONE_POLICY = { error: "give policy or policyName, not both" };

/**
 * Operators' bodies are strict: a misspelt option must not look as if it had been taken. Both durations are minutes, as
 * in Site Recovery.
 */
export const protectBody = z
  .strictObject({ disks, ...policyFields })
  .refine(onePolicy, ONE_POLICY) satisfies z.ZodType<{
  readonly disks: ProtectRequest["disks"];
}>;

const text = z.string().exactOptional();

/** A virtual machine by its id: everything else follows from it and from the options. */
export const protectMachineBody = z
  .strictObject({
    sourceVmId: z.string(),
    targetRegion: z.string(),
    ...policyFields,
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
          .record(
            z.string(),
            z.strictObject({ name: text, replicaName: text, targetSku: text, diskEncryptionSetId: text }),
          )
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
  })
  .refine(onePolicy, ONE_POLICY) satisfies z.ZodType<{ readonly options?: Omit<PlanOptions, "targetRegion"> }>;

const failoverPointType = z.enum(["Latest", "LatestProcessed", "LatestApplicationConsistent", "LatestCrashConsistent"]);
const sourceSiteOperations = z.enum(["Required", "NotRequired"]).default("NotRequired");

/** Site Recovery's options: a point by its id, or by its kind; neither is the latest. */
export const failoverBody = z
  .strictObject({
    recoveryPointId: z.string().optional(),
    recoveryPointType: failoverPointType.optional(),
    sourceSiteOperations,
  })
  .refine(
    ({ recoveryPointId, recoveryPointType }) => recoveryPointId === undefined || recoveryPointType === undefined,
    {
      error: "give recoveryPointId or recoveryPointType, not both",
    },
  );

/** A rule for alerts; its defaults are the careful ones. */
export const alertRuleBody = z
  .strictObject({
    enabled: z.boolean().default(true),
    mode: z.enum(["failover", "dry-run"]),
    targetIds: z.array(z.string()).optional(),
    severities: z.array(alertSeverity),
    coolDownInMinutes: z.number().optional(),
    recoveryPointType: failoverPointType.default("LatestProcessed"),
    sourceSiteOperations,
  })
  .transform(
    ({ coolDownInMinutes, recoveryPointType, sourceSiteOperations: source, targetIds, ...rule }): GivenAlertRule => ({
      ...rule,
      targetIds,
      coolDownMs: coolDownInMinutes === undefined ? undefined : Math.round(coolDownInMinutes * 60_000),
      point: { kind: recoveryPointType },
      shutDownSource: source === "Required",
    }),
  );

export const mappingBody = z.strictObject({
  primaryNetworkId: z.string(),
  primaryRegion: z.string(),
  recoveryNetworkId: z.string(),
  recoveryRegion: z.string(),
});

export const mappingChangeBody = z.strictObject({ recoveryNetworkId: z.string() });

/** A point on request can be app-consistent only: crash-consistent ones come by policy. */
export const newPointBody = z.strictObject({
  recoveryPointType: z.literal("ApplicationConsistent", {
    error: "must be ApplicationConsistent: the others come by policy",
  }),
});

/** The mobility service's bodies may carry fields that a newer one knows. */
export const registerBody = z.object({
  registrationToken: z.string(),
  itemToken: z.string(),
  machineId: z.string(),
  bootId: z.string(),
  disks: disksOf(z.object(diskFields).readonly()),
}) satisfies z.ZodType<RegisterRequest>;

const progressed = z.object({ doneBytes: z.number(), totalBytes: z.number() });

export const heartbeatBody = z.object({
  machineId: z.string(),
  bootId: z.string(),
  sessionId: z.string(),
  ended: z.boolean().optional(),
  sentMs: z.number(),
  clockAheadMs: z.number().optional(),
  start: position.optional(),
  uploaded: position,
  sealed: position.optional(),
  currentAtMs: z.number().optional(),
  pendingBytes: z.number(),
  seeding: progressed.optional(),
  resynchronization: progressed.extend({ state: z.enum(["required", "running"]), reason: z.string() }).optional(),
  uploadsStopped: z.object({ code: z.string(), message: z.string() }).optional(),
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
