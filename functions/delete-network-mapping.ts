import type { HttpFunctionOptions } from "@azure/functions";
import { removeMapping } from "../replication/planning/mapping-records.ts";
import { httpHandler } from "./http-edge.ts";
import type { ApplicationSource } from "./wiring.ts";

/** 204, also when there is none. Items keep the networks that they were given. */
export const deleteNetworkMapping = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["DELETE"],
  authLevel: "function",
  route: "replicationNetworkMappings/{mapping}",
  handler: httpHandler(async (request) => {
    await removeMapping(application().control, request.params["mapping"] ?? "");
    return { status: 204, body: undefined };
  }),
});
