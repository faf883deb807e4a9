import { z } from "zod";
import type { HeartbeatRequest, RegisterRequest, SettleRequest } from "../replication/items/mobility-protocol.ts";
import type { ProtectRequest } from "../replication/items/protect.ts";
import { DISKS_MAX_COUNT } from "../replication/limits.ts";
import type { DiskDescription } from "../replication/position.ts";

/** The bodies that the API takes: their shape only. What the values must be is the domain's to say, in its own words. */

const disk = z
  .strictObject({ id: z.string(), sizeBytes: z.number(), sectorSizeBytes: z.union([z.literal(512), z.literal(4096)]).default(512) })
  .readonly() satisfies z.ZodType<DiskDescription>;

const disks = z.array(disk).max(DISKS_MAX_COUNT).readonly();

const position = z.object({ stream: z.number(), epoch: z.number(), checksum: z.string() });

/** Operators' bodies are strict: a misspelt option must not look as if it had been taken. Both durations are minutes, as in Site Recovery. */
export const protectBody = z.strictObject({
  disks,
  policy: z
    .strictObject({ crashConsistentFrequencyInMinutes: z.number().optional(), recoveryPointHistory: z.number().optional() })
    .optional(),
}) satisfies z.ZodType<{ readonly disks: ProtectRequest["disks"] }>;

/** The mobility service's bodies may carry fields that a newer one knows. */
export const registerBody = z.object({
  registrationToken: z.string(),
  itemToken: z.string(),
  machineId: z.string(),
  bootId: z.string(),
  disks,
}) satisfies z.ZodType<RegisterRequest>;

export const heartbeatBody = z.object({
  bootId: z.string(),
  sentMs: z.number(),
  uploaded: position,
  currentAtMs: z.number().optional(),
  pendingBytes: z.number(),
  seeding: z.object({ doneBytes: z.number(), totalBytes: z.number() }).optional(),
}) satisfies z.ZodType<HeartbeatRequest>;

export const settleBody = z.object({ stream: z.number(), epoch: z.number(), checksum: z.string() }) satisfies z.ZodType<SettleRequest>;
