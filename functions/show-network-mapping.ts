import type { HttpFunctionOptions } from "@azure/functions";
import { readMapping } from "../replication/planning/mapping-records.ts";
import { httpHandler } from "./http-edge.ts";
import { mappingView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** One network mapping. */
export const showNetworkMapping = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationNetworkMappings/{mapping}",
  handler: httpHandler(async (request) => ({
    status: 200,
    body: mappingView(await readMapping(application().control, request.params["mapping"] ?? "")),
  })),
});
