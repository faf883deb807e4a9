import * as z from "zod";
import type { Operation } from "./operation.ts";

/** A network of one region and its counterpart in another. */
export const networkMapping = z
  .object({
    name: z.string(),
    primaryNetworkId: z.string(),
    primaryRegion: z.string(),
    recoveryNetworkId: z.string(),
    recoveryRegion: z.string(),
  })
  .meta({ id: "NetworkMapping", description: "A network, and the one of another region that takes its place." });

/** Network mappings. They affect new protections only. */
export const NETWORK_MAPPINGS = {
  listNetworkMappings: {
    method: "GET",
    route: "replicationNetworkMappings",
    caller: "operator",
    summary: "All network mappings, both directions.",
    answers: { 200: { description: "All of them.", body: z.object({ value: z.array(networkMapping) }) } },
  },
  mapNetworks: {
    method: "POST",
    route: "replicationNetworkMappings",
    caller: "operator",
    summary: "Maps a network of the source region to one of the target region, and back.",
    body: z.strictObject({
      primaryNetworkId: z.string(),
      primaryRegion: z.string(),
      recoveryNetworkId: z.string(),
      recoveryRegion: z.string(),
    }),
    answers: {
      200: { description: "It was mapped so already.", body: networkMapping },
      201: { description: "It is mapped now.", body: networkMapping },
    },
  },
  showNetworkMapping: {
    method: "GET",
    route: "replicationNetworkMappings/{mapping}",
    caller: "operator",
    summary: "One network mapping.",
    answers: { 200: { description: "The mapping.", body: networkMapping } },
  },
  changeNetworkMapping: {
    method: "PATCH",
    route: "replicationNetworkMappings/{mapping}",
    caller: "operator",
    summary: "Gives a mapped network another target; refused (409) while the present one is mapped back.",
    body: z.strictObject({ recoveryNetworkId: z.string() }),
    answers: { 200: { description: "It was changed.", body: networkMapping } },
  },
  deleteNetworkMapping: {
    method: "DELETE",
    route: "replicationNetworkMappings/{mapping}",
    caller: "operator",
    summary: "Removes a network mapping; items keep the networks that they were given.",
    answers: { 204: { description: "It is gone, or was not there." } },
  },
} as const satisfies Readonly<Record<string, Operation>>;
