import type { HttpFunctionOptions } from "@azure/functions";
import { readPolicy } from "../replication/items/policy-records.ts";
import { httpHandler } from "./http-edge.ts";
import { storedPolicyView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** One replication policy. */
export const showPolicy = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationPolicies/{policy}",
  handler: httpHandler(async (request) => ({
    status: 200,
    body: storedPolicyView(await readPolicy(application(), request.params["policy"] ?? "")),
  })),
});
