import * as z from "zod";
import type { Operation } from "./operation.ts";
import { disk, fault, position, time } from "./shapes.ts";

const route = "replicationProtectedItems/{item}/recoveryPoints";

/** A usable recovery point. */
export const recoveryPoint = z
  .object({
    name: z.string(),
    recoveryPointType: z.enum(["CrashConsistent", "FileSystemConsistent", "ApplicationConsistent"]),
    recoveryPointTime: time.describe("When it was taken, by the target's clock."),
    sourceTime: time.describe("When the source held this content, by its own clock."),
    clockSkewMs: z.number().optional().describe("How far the source's clock was ahead of the target's."),
    position,
    disks: z.array(disk),
  })
  .meta({ id: "RecoveryPoint", description: "The disks of an item at one moment." });

/** A point with an unreadable record. */
export const damagedPoint = z
  .object({ name: z.string(), recoveryPointTime: time.optional(), damaged: fault })
  .meta({ id: "DamagedRecoveryPoint", description: "A recovery point that cannot be used: its record is damaged." });

/** Recovery points. */
export const RECOVERY_POINTS = {
  listRecoveryPoints: {
    method: "GET",
    route,
    caller: "operator",
    summary: "The recovery points of an item, newest first; behind them those that are damaged.",
    answers: {
      200: {
        description: "All of them.",
        body: z.object({ value: z.array(z.union([recoveryPoint, damagedPoint])) }),
      },
    },
  },
  newRecoveryPoint: {
    method: "POST",
    route,
    caller: "operator",
    summary: "Asks for an app-consistent recovery point now; the item's `appConsistentPoint` tells what became of it.",
    // A requested point can be app-consistent only: crash-consistent points follow the policy.
    body: z.strictObject({
      recoveryPointType: z.literal("ApplicationConsistent", {
        error: "must be ApplicationConsistent: the others come by policy",
      }),
    }),
    repeatable: true,
    answers: {
      202: {
        description: "The mobility service is asked with its next heartbeat.",
        body: z.object({ name: z.string(), recoveryPointType: z.literal("ApplicationConsistent") }),
        location: true,
      },
    },
  },
} as const satisfies Readonly<Record<string, Operation>>;
