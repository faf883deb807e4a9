import type { HttpFunctionOptions } from "@azure/functions";
import { addMapping } from "../replication/planning/mapping-records.ts";
import { bodyOf, httpHandler } from "./http-edge.ts";
import { mappingBody } from "./request-shapes.ts";
import { mappingView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/**
 * Maps a network of the source region to one of the target region, and back: 201, or 200 when it was mapped so already.
 */
export const mapNetworks = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["POST"],
  authLevel: "function",
  route: "replicationNetworkMappings",
  handler: httpHandler(async (request) => {
    const body = await bodyOf(request, mappingBody);
    const { mapping, changed } = await addMapping(application().control, {
      sourceNetworkId: body.primaryNetworkId,
      sourceRegion: body.primaryRegion,
      targetNetworkId: body.recoveryNetworkId,
      targetRegion: body.recoveryRegion,
    });
    return { status: changed ? 201 : 200, body: mappingView(mapping) };
  }),
});
