import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import {
  addMapping,
  listMappings,
  readMapping,
  removeMapping,
  retargetMapping,
} from "../../replication/planning/mapping-records.ts";
import { serve } from "../serving/http-edge.ts";
import { mappingView } from "../views/policy-views.ts";
import type { ApplicationSource } from "../wiring.ts";

export const listNetworkMappings = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.listNetworkMappings, application, async () => ({
    status: 200,
    body: { value: (await listMappings(application().control)).map(mappingView) },
  }));

export const mapNetworks = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.mapNetworks, application, async ({ body }) => {
    const asked = await body();
    const { mapping, changed } = await addMapping(application().control, {
      sourceNetworkId: asked.primaryNetworkId,
      sourceRegion: asked.primaryRegion,
      targetNetworkId: asked.recoveryNetworkId,
      targetRegion: asked.recoveryRegion,
    });
    return { status: changed ? 201 : 200, body: mappingView(mapping) };
  });

export const showNetworkMapping = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.showNetworkMapping, application, async ({ params }) => ({
    status: 200,
    body: mappingView(await readMapping(application().control, params.mapping)),
  }));

export const changeNetworkMapping = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.changeNetworkMapping, application, async ({ params, body }) => {
    const { recoveryNetworkId } = await body();
    return {
      status: 200,
      body: mappingView(await retargetMapping(application().control, params.mapping, recoveryNetworkId)),
    };
  });

export const deleteNetworkMapping = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.deleteNetworkMapping, application, async ({ params }) => {
    await removeMapping(application().control, params.mapping);
    return { status: 204, body: undefined };
  });
