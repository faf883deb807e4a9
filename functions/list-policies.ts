import type { HttpFunctionOptions } from "@azure/functions";
import { listPolicies as list } from "../replication/policies/policy-records.ts";
import { httpHandler } from "./http-edge.ts";
import { storedPolicyView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** All replication policies. */
export const listPolicies = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationPolicies",
  handler: httpHandler(async () => ({ status: 200, body: { value: (await list(application())).map(storedPolicyView) } })),
});
