import type { HttpFunctionOptions } from "@azure/functions";
import { listMappings } from "../replication/planning/mapping-records.ts";
import { httpHandler } from "./http-edge.ts";
import { mappingView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** All network mappings, both directions. */
export const listNetworkMappings = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["GET"],
  authLevel: "function",
  route: "replicationNetworkMappings",
  handler: httpHandler(async () => ({
    status: 200,
    body: { value: (await listMappings(application().control)).map(mappingView) },
  })),
});
