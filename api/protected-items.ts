import * as z from "zod";
import type { ProtectRequest } from "../replication/items/protect.ts";
import type { PlanOptions } from "../replication/planning/options.ts";
import { jobAccepted } from "./jobs.ts";
import type { Operation } from "./operation.ts";
import {
  disk,
  disksOf,
  failoverPointType,
  givenDisk,
  policyBody,
  policyValues,
  position,
  sourceSiteOperations,
  time,
} from "./shapes.ts";

const route = "replicationProtectedItems/{item}";
const text = z.string().exactOptional();

/** A policy of its own, or the name of a stored one that the item then follows. */
const policyFields = { policy: policyBody.optional(), policyName: z.string().optional() };
const onePolicy = ({ policy, policyName }: { readonly policy?: unknown; readonly policyName?: unknown }): boolean =>
  policy === undefined || policyName === undefined;
const ONE_POLICY = { error: "give policy or policyName, not both" };

/** Disks only. */
export const protectBody = z
  .strictObject({ disks: disksOf(z.strictObject(givenDisk)), ...policyFields })
  .refine(onePolicy, ONE_POLICY)
  .meta({
    id: "ProtectDisks",
    description: "Protects disks: their mobility service is started by hand.",
  }) satisfies z.ZodType<Pick<ProtectRequest, "disks">>;

const planOptions = z.strictObject({
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
}) satisfies z.ZodType<Omit<PlanOptions, "targetRegion">>;

/** A virtual machine by its id: everything else is derived from it and from the options. */
export const protectMachineBody = z
  .strictObject({
    sourceVmId: z.string(),
    targetRegion: z.string(),
    ...policyFields,
    options: planOptions.exactOptional(),
  })
  .refine(onePolicy, ONE_POLICY)
  .meta({ id: "ProtectMachine", description: "Protects a virtual machine; a job makes everything." });

/** Site Recovery's options: a point by its id, or by its kind; neither means the latest. */
const failoverBody = z
  .strictObject({
    recoveryPointId: z.string().optional(),
    recoveryPointType: failoverPointType.optional().describe("`Latest` when nothing is given."),
    sourceSiteOperations: sourceSiteOperations.default("NotRequired"),
  })
  .refine(
    ({ recoveryPointId, recoveryPointType }) => recoveryPointId === undefined || recoveryPointType === undefined,
    { error: "give recoveryPointId or recoveryPointType, not both" },
  );

const replicationHealth = z.enum(["None", "Normal", "Warning", "Critical"]);
const healthError = z.object({
  code: z.string(),
  level: z.enum(["Warning", "Critical"]),
  message: z.string(),
  hint: z.string(),
});
const progressed = { doneBytes: z.number(), totalBytes: z.number() };

/** A repair of the replication, in the terms of long-running operations. */
export const repair = z
  .object({
    name: z.string(),
    state: z.enum(["Pending", "InProgress", "Succeeded"]),
    requested: time,
    updated: time,
  })
  .meta({ id: "Repair", description: "Everything is read from the source again." });

/** What the replication of an item reports. Missing before its disks are known, and after it was disabled. */
const replicationFields = {
  stream: z.number().optional(),
  stage: z.enum(["enabling", "initial-replication", "resynchronizing", "protected"]).optional(),
  rpoInSeconds: z
    .number()
    .optional()
    .describe("Age of the newest source state that the target region holds completely."),
  lastHeartbeat: time.optional(),
  uploaded: position.optional().describe("What the mobility service has confirmed as uploaded."),
  applied: position.optional(),
  backlog: z.object({ epochs: z.number(), pendingAtSourceBytes: z.number() }).optional(),
  initialReplicationPercentage: z.number().optional(),
  disks: z.array(disk.extend({ diskState: z.string() })).optional(),
  policy: policyValues.optional(),
  policyName: z.string().optional(),
  lastRecoveryPoint: z
    .object({
      name: z.string(),
      recoveryPointTime: time,
      sourceTime: time,
      stream: z.number(),
      epoch: z.number(),
    })
    .optional(),
  appConsistentPoint: z
    .object({
      name: z.string(),
      state: z.enum(["Requested", "InProgress", "Succeeded", "Failed"]),
      requested: time,
      reported: time.optional(),
      reason: z.string().optional(),
    })
    .optional(),
  resyncRequired: z.boolean().optional(),
  resynchronization: z.object({ state: z.enum(["required", "running"]), reason: z.string(), ...progressed }).optional(),
  repair: repair.optional(),
  session: z
    .object({ machineId: z.string(), bootId: z.string(), since: time, ended: z.boolean() })
    .optional()
    .describe("Who speaks for the source. An operator compares `machineId` with the machine's own."),
  stopped: z
    .object({
      code: z.string(),
      message: z.string(),
      hint: z.string(),
      facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).optional()),
      at: time,
    })
    .optional(),
  created: time.optional(),
};

/** What the flows of an item report. Missing for an item that was protected by its disks. */
const flowFields = {
  activeLocation: z.string().optional(),
  testFailoverState: z.string().optional(),
  testFailoverStateDescription: z.string().optional(),
  allowedOperations: z.array(z.string()).optional(),
  currentJob: z.string().optional(),
  sourceVmId: z.string().optional(),
  targetVmId: z.string().optional(),
  notices: z.array(z.object({ code: z.string(), subject: z.string(), message: z.string() })).optional(),
};

/** One item, in a list or alone. */
export const protectedItem = z
  .object({
    name: z.string(),
    protectionState: z.string().optional(),
    protectionStateDescription: z.string().optional(),
    replicationHealth: replicationHealth.optional(),
    healthErrors: z.array(healthError).optional(),
    ...replicationFields,
    ...flowFields,
  })
  .meta({ id: "ProtectedItem", description: "An item: what it replicates, how it is, what may be asked of it." });

const protectedDisks = z.object({
  name: z.string(),
  stream: z.number(),
  disks: z.array(disk),
  policyName: z.string().optional(),
  policy: policyValues,
  created: time,
});
const oneTimeToken = z.string().describe("For the mobility service's registration. Shown this once.");

/** Protected items, and the operator's operations on them. */
export const PROTECTED_ITEMS = {
  protectItem: {
    method: "PUT",
    route,
    caller: "operator",
    summary: "Enables replication: of a virtual machine by its id, or of disks.",
    body: z.union([protectMachineBody, protectBody]),
    repeatable: true,
    answers: {
      200: { description: "The same disks are protected already.", body: protectedDisks },
      201: {
        description: "The disks are protected.",
        body: protectedDisks.extend({ registrationToken: oneTimeToken }),
      },
      202: jobAccepted,
    },
  },
  listItems: {
    method: "GET",
    route: "replicationProtectedItems",
    caller: "operator",
    summary: "A page of the protected items, by name.",
    paged: true,
    answers: {
      200: {
        description: "A page.",
        body: z.object({ value: z.array(protectedItem), next: z.string().optional() }),
      },
    },
  },
  showItem: {
    method: "GET",
    route,
    caller: "operator",
    summary: "One item: positions, lag, heartbeat, health, why it stands still if it does, what may be asked of it.",
    answers: { 200: { description: "The item.", body: protectedItem } },
  },
  disableProtection: {
    method: "DELETE",
    route,
    caller: "operator",
    summary: "Ends protection and removes what Leeward made; a machine that failed over stays.",
    repeatable: true,
    answers: { 202: jobAccepted },
  },
  unplannedFailover: {
    method: "POST",
    route: `${route}/unplannedFailover`,
    caller: "operator",
    summary: "Fails over to a recovery point.",
    body: failoverBody,
    repeatable: true,
    answers: { 202: jobAccepted },
  },
  failoverCommit: {
    method: "POST",
    route: `${route}/failoverCommit`,
    caller: "operator",
    summary: "Commits a failover: its recovery points go, and the machine in the target region is the operator's.",
    repeatable: true,
    answers: { 202: jobAccepted },
  },
  newRegistrationToken: {
    method: "POST",
    route: `${route}/registrationToken`,
    caller: "operator",
    summary: "A new one-time token; the service's present token works until this one is used.",
    answers: { 201: { description: "The token.", body: z.object({ registrationToken: oneTimeToken }) } },
  },
  rotateToken: {
    method: "POST",
    route: `${route}/rotateToken`,
    caller: "operator",
    summary: "The mobility service exchanges its token with its next heartbeats; nothing has to be done on the VM.",
    answers: {
      202: { description: "It is told with its next heartbeat.", body: z.object({ name: z.string() }), location: true },
    },
  },
  repairReplication: {
    method: "POST",
    route: `${route}/repairReplication`,
    caller: "operator",
    summary: "Reads everything from the source again, in a new stream; the item's `repair` tells how it goes.",
    repeatable: true,
    answers: { 202: { description: "The repair.", body: repair, location: true } },
  },
} as const satisfies Readonly<Record<string, Operation>>;
