import type { HttpFunctionOptions } from "@azure/functions";
import { deletePolicy as remove } from "../replication/items/policy-records.ts";
import { httpHandler } from "./http-edge.ts";
import type { ApplicationSource } from "./wiring.ts";

/** 204, also when there is none; 409 while items have it. */
export const deletePolicy = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["DELETE"],
  authLevel: "function",
  route: "replicationPolicies/{policy}",
  handler: httpHandler(async (request) => {
    await remove(application(), request.params["policy"] ?? "");
    return { status: 204, body: undefined };
  }),
});
