import * as z from "zod";
import type { Operation } from "./operation.ts";
import { policyBody, policyValues } from "./shapes.ts";

/** A stored policy. */
export const policy = policyValues
  .extend({ name: z.string() })
  .meta({ id: "Policy", description: "A stored replication policy." });

/** Replication policies, which items may use by name. */
export const POLICIES = {
  listPolicies: {
    method: "GET",
    route: "replicationPolicies",
    caller: "operator",
    summary: "All replication policies, and the names of those whose record is damaged.",
    answers: {
      200: {
        description: "All of them, by name.",
        body: z.object({ value: z.array(policy), damaged: z.array(z.string()).optional() }),
      },
    },
  },
  showPolicy: {
    method: "GET",
    route: "replicationPolicies/{policy}",
    caller: "operator",
    summary: "One replication policy.",
    answers: { 200: { description: "The policy.", body: policy } },
  },
  putPolicy: {
    method: "PUT",
    route: "replicationPolicies/{policy}",
    caller: "operator",
    summary: "Makes a replication policy, or changes one for every item that has it.",
    body: policyBody,
    answers: {
      200: { description: "It was changed.", body: policy },
      201: { description: "It is new.", body: policy },
    },
  },
  deletePolicy: {
    method: "DELETE",
    route: "replicationPolicies/{policy}",
    caller: "operator",
    summary: "Removes a replication policy; refused (409 `in-use`) while items have it.",
    answers: { 204: { description: "It is gone, or was not there." } },
  },
} as const satisfies Readonly<Record<string, Operation>>;
