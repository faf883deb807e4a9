import type { networkMapping } from "../../api/network-mappings.ts";
import type { Told } from "../../api/operation.ts";
import type { policy as shownPolicy } from "../../api/policies.ts";
import type { PolicyRecord } from "../../replication/items/policy-records.ts";
import type { NamedMapping } from "../../replication/planning/mapping-records.ts";
import { policyInMinutes } from "../../replication/records/policy.ts";

/** A stored policy. */
export const storedPolicyView = ({ name, policy }: PolicyRecord): Told<typeof shownPolicy> => ({
  name,
  ...policyInMinutes(policy),
});

/** A network mapping. */
export function mappingView({
  name,
  sourceNetworkId,
  sourceRegion,
  targetNetworkId,
  targetRegion,
}: NamedMapping): Told<typeof networkMapping> {
  return {
    name,
    primaryNetworkId: sourceNetworkId,
    primaryRegion: sourceRegion,
    recoveryNetworkId: targetNetworkId,
    recoveryRegion: targetRegion,
  };
}
