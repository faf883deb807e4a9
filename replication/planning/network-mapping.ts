import { regionName, sameName } from "./name-rules.ts";

/**
 * The default target of VMs of a source network. It affects new protections only; items keep the network they were
 * given.
 */
export interface NetworkMapping {
  readonly sourceNetworkId: string;
  readonly sourceRegion: string;
  readonly targetNetworkId: string;
  readonly targetRegion: string;
}

/** Why a mapping is refused, in words for the operator. */
export const MAPPING_REFUSALS = {
  "same-region": "Both networks are in one region; a mapping leads into another.",
  "already-mapped": "The network is mapped to another one in that region; delete or change that mapping first.",
  "reverse-first": "The present target is mapped back to this network; delete that mapping first.",
  "mapping-unknown": "The network is not mapped into that region yet.",
} as const;
type MappingRefusal = keyof typeof MAPPING_REFUSALS;

export type MappingDecision =
  | {
      readonly kind: "changed";
      readonly mappings: readonly NetworkMapping[];
      /**
       * False when the target's network already maps elsewhere in the source region: of several sources of one target
       * the first has the way back.
       */
      readonly reverse: boolean;
    }
  | { readonly kind: "unchanged"; readonly mappings: readonly NetworkMapping[] }
  | { readonly kind: "refused"; readonly reason: MappingRefusal };

/** The mapping of a network in one recovery region: at most one. */
export function findMapping(
  mappings: readonly NetworkMapping[],
  sourceNetworkId: string,
  targetRegion: string,
): NetworkMapping | undefined {
  return mappings.find(
    (mapping) =>
      sameName(mapping.sourceNetworkId, sourceNetworkId) &&
      regionName(mapping.targetRegion) === regionName(targetRegion),
  );
}

/** Maps A to B and B to A. Repeating it changes nothing, or restores a lost way back. */
export function mapNetworks(mappings: readonly NetworkMapping[], wanted: NetworkMapping): MappingDecision {
  if (regionName(wanted.sourceRegion) === regionName(wanted.targetRegion))
    return { kind: "refused", reason: "same-region" };
  const found = findMapping(mappings, wanted.sourceNetworkId, wanted.targetRegion);
  if (found !== undefined && !sameName(found.targetNetworkId, wanted.targetNetworkId))
    return { kind: "refused", reason: "already-mapped" };
  const back = reversed(wanted);
  const foundBack = findMapping(mappings, back.sourceNetworkId, back.targetRegion);
  const reverse = foundBack === undefined || sameName(foundBack.targetNetworkId, back.targetNetworkId);
  const added = [...(found === undefined ? [wanted] : []), ...(foundBack === undefined ? [back] : [])];
  return added.length === 0
    ? { kind: "unchanged", mappings }
    : { kind: "changed", mappings: [...mappings, ...added], reverse };
}

/** Gives A another target. Refused while the present target maps back to A. */
export function changeMapping(mappings: readonly NetworkMapping[], wanted: NetworkMapping): MappingDecision {
  const found = findMapping(mappings, wanted.sourceNetworkId, wanted.targetRegion);
  if (found === undefined) return { kind: "refused", reason: "mapping-unknown" };
  if (sameName(found.targetNetworkId, wanted.targetNetworkId)) return { kind: "unchanged", mappings };
  const back = findMapping(mappings, found.targetNetworkId, found.sourceRegion);
  if (back !== undefined && sameName(back.targetNetworkId, found.sourceNetworkId))
    return { kind: "refused", reason: "reverse-first" };
  return mapNetworks(
    mappings.filter((mapping) => mapping !== found),
    wanted,
  );
}

/** Deletes one direction; a missing one is fine. */
export function deleteMapping(
  mappings: readonly NetworkMapping[],
  sourceNetworkId: string,
  targetRegion: string,
): MappingDecision {
  const found = findMapping(mappings, sourceNetworkId, targetRegion);
  if (found === undefined) return { kind: "unchanged", mappings };
  return { kind: "changed", mappings: mappings.filter((mapping) => mapping !== found), reverse: false };
}

function reversed(mapping: NetworkMapping): NetworkMapping {
  return {
    sourceNetworkId: mapping.targetNetworkId,
    sourceRegion: mapping.targetRegion,
    targetNetworkId: mapping.sourceNetworkId,
    targetRegion: mapping.sourceRegion,
  };
}
