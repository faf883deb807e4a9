import type { HttpFunctionOptions } from "@azure/functions";
import { listPolicies as list } from "../replication/items/policy-records.ts";
import { httpHandler } from "./http-edge.ts";
import { storedPolicyView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** All replication policies, and the names of those whose record is damaged. */
export const listPolicies = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationPolicies",
  handler: httpHandler(async () => {
    const { policies, damaged } = await list(application());
    return {
      status: 200,
      body: { value: policies.map(storedPolicyView), ...(damaged.length === 0 ? {} : { damaged }) },
    };
  }),
});
