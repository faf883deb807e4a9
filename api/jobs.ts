import * as z from "zod";
import type { Operation } from "./operation.ts";
import { fault, time } from "./shapes.ts";

const jobState = z.enum(["NotStarted", "InProgress", "Succeeded", "Failed", "Cancelled", "Suspended"]);
const times = { startTime: time.optional(), endTime: time.optional() };

/** A job, in Site Recovery's terms. */
export const job = z
  .object({
    name: z.string(),
    activityId: z.string(),
    targetObjectName: z.string().describe("The protected item."),
    scenarioName: z.string(),
    friendlyName: z.string(),
    state: jobState,
    stateDescription: z.string().describe("Says also whether something went wrong or stays behind."),
    ...times,
    alertId: z.string().optional().describe("The alert that asked for it."),
    recoveryPointId: z.string().optional().describe("The recovery point that a failover has chosen."),
    tasks: z.array(
      z.object({
        name: z.string(),
        friendlyName: z.string(),
        state: z.enum([...jobState.options, "Skipped"]),
        ...times,
      }),
    ),
    errors: z.array(fault.extend({ taskName: z.string().optional(), creationTime: time })),
    leftovers: z
      .array(z.object({ id: z.string(), message: z.string(), hint: z.string() }))
      .optional()
      .describe("What Leeward made and what still stands."),
  })
  .meta({ id: "Job", description: "One run of a flow." });

/** The answer to starting a flow. */
export const jobAccepted = {
  description: "A job does it; `Location` names it.",
  body: job,
  location: true,
} as const;

/** Jobs: one for each run of a flow. */
export const JOBS = {
  listJobs: {
    method: "GET",
    route: "replicationJobs",
    caller: "operator",
    summary: "The jobs of a page of items, of those that are no longer protected too, newest first.",
    paged: true,
    answers: {
      200: {
        description: "At most 64 of each item. `damaged` names those whose record cannot be read.",
        body: z.object({
          value: z.array(job),
          next: z.string().optional(),
          damaged: z.array(z.string()).optional(),
        }),
      },
    },
  },
  showJob: {
    method: "GET",
    route: "replicationJobs/{job}",
    caller: "operator",
    summary: "One job with its tasks, times and errors.",
    answers: { 200: { description: "The job.", body: job } },
  },
} as const satisfies Readonly<Record<string, Operation>>;
