import * as z from "zod";
import type { Operation } from "./operation.ts";
import { fault, position, time } from "./shapes.ts";

const route = "replicationProtectedItems/{item}/restores/{restore}";
const state = z.enum(["Pending", "InProgress", "Succeeded", "Failed", "Removing"]);

/** A point being restored into its own page blobs. */
export const restore = z
  .object({
    name: z.string(),
    recoveryPoint: z.string(),
    state,
    percentComplete: z.number(),
    position,
    sourceTime: time,
    disks: z.array(
      z.object({
        id: z.string(),
        sizeBytes: z.number(),
        state: z.enum(["pending", "copying", "copied", "failed"]),
        copiedBytes: z.number(),
        totalBytes: z.number().describe("0 until the store names it."),
        url: z.string().optional().describe("The address of the blob, without access to it."),
      }),
    ),
    created: time,
    updated: time,
    expires: time.optional().describe("When it is removed by itself."),
    error: fault.optional(),
  })
  .meta({ id: "Restore", description: "A recovery point on its way into page blobs of its own." });

/** The answer to beginning a restore. */
export const restoreStart = z.object({ name: z.string(), recoveryPoint: z.string(), state });

/** Restores of recovery points: fixed VHDs in the target account. */
export const RESTORES = {
  restoreRecoveryPoint: {
    method: "POST",
    route: "replicationProtectedItems/{item}/recoveryPoints/{point}/restore",
    caller: "operator",
    summary: "Begins to restore a recovery point into page blobs of its own.",
    repeatable: true,
    answers: { 202: { description: "It begins; `Location` names it.", body: restoreStart, location: true } },
  },
  showRestore: {
    method: "GET",
    route,
    caller: "operator",
    summary: "State and progress of a restore and, once it succeeded, the plain addresses of its disks.",
    answers: { 200: { description: "The restore.", body: restore } },
  },
  deleteRestore: {
    method: "DELETE",
    route,
    caller: "operator",
    summary: "Removes a restore with its blobs; refused (409 `in-use`) while a failover makes its machine of it.",
    answers: {
      202: {
        description: "Its blobs go, and its record last.",
        body: z.object({ name: z.string(), state: z.literal("Removing") }),
      },
      204: { description: "Nothing is left, or nothing was there." },
    },
  },
  grantRestoreAccess: {
    method: "POST",
    route: `${route}/grantAccess`,
    caller: "operator",
    summary: "Addresses that read the restored disks for an hour. They are credentials.",
    answers: {
      200: {
        description: "One address for each disk.",
        body: z.object({ value: z.array(z.object({ id: z.string(), url: z.string(), expires: time })) }),
      },
    },
  },
} as const satisfies Readonly<Record<string, Operation>>;
