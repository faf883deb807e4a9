import { type AddressRange, overlaps, parsePrefix, within } from "./addresses.ts";
import type { TargetNetwork, TargetSubnet } from "./facts.ts";
import { type Findings, notice, refuse, resourceId, settleName } from "./findings.ts";
import type { Subnet } from "./inventory.ts";
import { regionName, sameName } from "./name-rules.ts";
import { findMapping } from "./network-mapping.ts";
import type { NetworkOption, PlanInput } from "./options.ts";
import type { PlanRule, PlannedNetwork } from "./plan.ts";

/** The target network with what is known of its subnets. */
export interface NetworkPlan {
  readonly network: PlannedNetwork;
  readonly subnets: readonly TargetSubnet[];
}

interface TargetPlace {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
}

/**
 * The operator's choice; else the network that the source network is mapped to; else an existing one with the default
 * name; else a new `<network>-asr` with the source's address space and subnets.
 */
export function planNetwork(input: PlanInput, place: TargetPlace, findings: Findings): NetworkPlan {
  const { source, options, facts, purpose } = input;
  const targetRegion = regionName(options.targetRegion);
  const mapping = findMapping(facts.mappings, source.network.id, targetRegion);
  const mapBothWays = purpose === "failover" && mapping === undefined;
  const chosen = options.network;
  const ofFailover =
    chosen === undefined ||
    (chosen.kind === "existing" && mapping !== undefined && sameName(chosen.id, mapping.targetNetworkId));
  if (purpose === "test-failover" && ofFailover) {
    const message =
      "The test machine stands in the network of a real failover: it meets production there, and holds addresses that one would take.";
    notice(findings, "test-in-failover-network", source.network.name, message);
  }
  const existing = (id: string, why: PlanRule): NetworkPlan | undefined => {
    const network = facts.networks.find((candidate) => sameName(candidate.id, id));
    return network === undefined ? undefined : reuse(network, why, mapBothWays);
  };
  if (chosen?.kind === "existing" || (chosen === undefined && mapping !== undefined)) {
    const id = chosen?.kind === "existing" ? chosen.id : (mapping?.targetNetworkId ?? "");
    const plan = existing(id, chosen === undefined ? "mapping" : "customised");
    if (plan === undefined) refuse(findings, "resource-unknown", "network", `There is no virtual network ${id}.`);
    else requireRegion(plan.network, targetRegion, findings);
    return plan ?? create(input, place, undefined, mapBothWays, findings);
  }
  if (chosen === undefined) {
    const found = facts.networks.find(
      ({ name, resourceGroup }) =>
        sameName(name, `${source.network.name}-asr`) && sameName(resourceGroup, place.resourceGroup),
    );
    if (found !== undefined) {
      requireRegion(found, targetRegion, findings);
      return reuse(found, "exists", mapBothWays);
    }
  }
  return create(input, place, chosen, mapBothWays, findings);
}

function reuse(network: TargetNetwork, why: PlanRule, mapBothWays: boolean): NetworkPlan {
  const { id, name, resourceGroup, region, addressPrefixes, subnets } = network;
  const described = subnets.map((subnet) => ({ name: subnet.name, addressPrefix: subnet.addressPrefix }));
  return {
    network: {
      id,
      name,
      resourceGroup,
      region: regionName(region),
      action: "reuse",
      why,
      addressPrefixes,
      subnets: described,
      mapBothWays,
    },
    subnets,
  };
}

function create(
  input: PlanInput,
  { subscriptionId, resourceGroup }: TargetPlace,
  option: Extract<NetworkOption, { kind: "new" }> | undefined,
  mapBothWays: boolean,
  findings: Findings,
): NetworkPlan {
  const { source, options } = input;
  const { name, why } = settleName(input, findings, {
    kind: "virtual-network",
    resourceGroup,
    chosen: option?.name,
    base: source.network.name,
    suffix: "-asr",
    key: source.network.id,
    replaceable: true,
    subject: source.network.name,
  });
  // A dual-stack network keeps its IPv4 part: Site Recovery does not carry IPv6 either.
  const addressPrefixes =
    option?.addressPrefixes ?? source.network.addressPrefixes.filter((prefix) => !prefix.includes(":"));
  const subnets = option?.subnets ?? source.network.subnets;
  refuseClashes(input, addressPrefixes, subnets, option?.peerWith ?? [], findings);
  const network: PlannedNetwork = {
    id: resourceId(subscriptionId, resourceGroup, "virtual-network", name),
    name,
    resourceGroup,
    region: regionName(options.targetRegion),
    action: "create",
    why,
    addressPrefixes,
    subnets: subnets.map((subnet) => ({ name: subnet.name, addressPrefix: subnet.addressPrefix })),
    mapBothWays,
  };
  return { network, subnets: subnets.map((subnet) => ({ ...subnet, takenAddresses: [], delegated: false })) };
}

function refuseClashes(
  { facts }: PlanInput,
  addressPrefixes: readonly string[],
  subnets: readonly Subnet[],
  peerWith: readonly string[],
  findings: Findings,
): void {
  const clash = (message: string): void => refuse(findings, "address-space-clash", "network", message);
  const spaces = ranges(addressPrefixes, clash);
  const parts = ranges(
    subnets.map(({ addressPrefix }) => addressPrefix),
    clash,
  );
  for (const [text, part] of parts) {
    if (!spaces.some(([, space]) => within(part, space)))
      clash(`The subnet ${text} lies outside of the address space.`);
  }
  for (const group of [spaces, parts]) {
    group.forEach(([text, range], at) => {
      const other = group.slice(at + 1).find(([, candidate]) => overlaps(range, candidate));
      if (other !== undefined) clash(`${text} and ${other[0]} overlap.`);
    });
  }
  for (const id of peerWith) {
    const peer = facts.networks.find((candidate) => sameName(candidate.id, id));
    if (peer === undefined)
      refuse(findings, "resource-unknown", "network.peerWith", `There is no virtual network ${id}.`);
    const peerSpaces = (peer?.addressPrefixes ?? []).flatMap((prefix) => parsePrefix(prefix) ?? []);
    const met = spaces.find(([, space]) => peerSpaces.some((other) => overlaps(space, other)));
    if (met !== undefined)
      clash(`${met[0]} overlaps the address space of ${peer?.name ?? id}, with which the network is to be peered.`);
  }
}

function ranges(
  texts: readonly string[],
  clash: (message: string) => void,
): readonly (readonly [string, AddressRange])[] {
  return texts.flatMap((text) => {
    const range = parsePrefix(text);
    if (range === undefined) clash(`"${text}" is no IPv4 prefix.`);
    return range === undefined ? [] : [[text, range] as const];
  });
}

function requireRegion(
  { name, region }: { readonly name: string; readonly region: string },
  targetRegion: string,
  findings: Findings,
): void {
  if (regionName(region) === targetRegion) return;
  refuse(
    findings,
    "resource-in-other-region",
    name,
    `The virtual network ${name} is in ${region}, not in ${targetRegion}.`,
  );
}
