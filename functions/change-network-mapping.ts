import type { HttpFunctionOptions } from "@azure/functions";
import { retargetMapping } from "../replication/planning/mapping-records.ts";
import { bodyOf, httpHandler } from "./http-edge.ts";
import { mappingChangeBody } from "./request-shapes.ts";
import { mappingView } from "./views.ts";
import type { ApplicationSource } from "./wiring.ts";

/** Gives a mapped network another target; refused (409) while the present one is mapped back. */
export const changeNetworkMapping = (application: ApplicationSource): HttpFunctionOptions => ({
  methods: ["PATCH"],
  authLevel: "function",
  route: "replicationNetworkMappings/{mapping}",
  handler: httpHandler(async (request) => {
    const { recoveryNetworkId } = await bodyOf(request, mappingChangeBody);
    return {
      status: 200,
      body: mappingView(
        await retargetMapping(application().control, request.params["mapping"] ?? "", recoveryNetworkId),
      ),
    };
  }),
});
