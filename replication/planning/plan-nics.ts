import {
  type AddressRange,
  formatAddress,
  lastFree,
  nextFree,
  parseAddress,
  parsePrefix,
  usableRange,
} from "./addresses.ts";
import type { TargetSubnet } from "./facts.ts";
import { type Findings, notice, refuse, resourceId, settleName } from "./findings.ts";
import type { SourceIpConfiguration, SourceNic, VmSize } from "./inventory.ts";
import { regionName, sameName } from "./name-rules.ts";
import { type NicOption, type PlanInput, optionFor } from "./options.ts";
import type { NetworkPlan } from "./plan-network.ts";
import type { PlanPurpose, PlanRule, PlannedNic } from "./plan.ts";

/** Subnets that Azure reserves for one service: a VM's NIC cannot use them. */
const SERVICE_SUBNETS = [
  "gatewaysubnet",
  "azurefirewallsubnet",
  "azurefirewallmanagementsubnet",
  "azurebastionsubnet",
  "routeserversubnet",
];

/** An unfinished NIC: its subnet is settled, its address comes in a second pass. */
interface NicDraft {
  readonly source: SourceNic;
  readonly primaryAddress: SourceIpConfiguration;
  readonly option: NicOption | undefined;
  readonly subnet: TargetSubnet;
  readonly whySubnet: PlanRule;
}

interface AddressChoice {
  readonly address: string | undefined;
  readonly why: PlanRule;
}

/**
 * One target NIC for each source NIC, in the source's order. Only the primary IPv4 address of each moves (Site
 * Recovery's rule).
 */
export function planNics(
  input: PlanInput,
  place: { readonly subscriptionId: string; readonly resourceGroup: string },
  { subnets }: NetworkPlan,
  size: VmSize,
  findings: Findings,
): readonly PlannedNic[] {
  const { nics, name } = input.source;
  if (nics.filter(({ primary }) => primary).length !== 1) {
    refuse(findings, "inventory-invalid", name, "A VM has exactly one primary NIC.");
  }
  if (nics.length > input.facts.quota.nicsLeft) {
    refuse(
      findings,
      "quota-short",
      name,
      `The VM has ${nics.length} NICs, the region's quota has ${input.facts.quota.nicsLeft} left.`,
    );
  }
  const drafts = nics.flatMap((nic) => draft(input, nic, subnets, findings) ?? []);
  const addresses = chooseAddresses(drafts, input.purpose, findings);
  return drafts.map((nic) => {
    const { source, option, subnet, whySubnet, primaryAddress } = nic;
    tellLosses(source, option, size, findings);
    const settled = settleName(input, findings, {
      kind: "network-interface",
      resourceGroup: place.resourceGroup,
      chosen: option?.name,
      base: source.name,
      suffix: input.purpose === "test-failover" ? "-test" : "",
      key: source.id,
      replaceable: true,
      subject: source.name,
    });
    const { address, why: whyAddress } = addresses.get(nic) ?? { address: undefined, why: "dynamic-address" };
    return {
      id: resourceId(place.subscriptionId, place.resourceGroup, "network-interface", settled.name),
      name: settled.name,
      resourceGroup: place.resourceGroup,
      region: regionName(input.options.targetRegion),
      action: "create",
      why: settled.why,
      sourceId: source.id,
      primary: source.primary,
      acceleratedNetworking:
        (option?.acceleratedNetworking ?? source.acceleratedNetworking) && size.acceleratedNetworking,
      subnetName: subnet.name,
      whySubnet,
      allocation: whyAddress === "dynamic-address" ? "Dynamic" : "Static",
      address,
      whyAddress,
      sourceAddress: primaryAddress.address,
      publicIpId: option?.publicIpId,
      networkSecurityGroupId: option?.networkSecurityGroupId,
    };
  });
}

function draft(
  { options }: PlanInput,
  source: SourceNic,
  subnets: readonly TargetSubnet[],
  findings: Findings,
): NicDraft | undefined {
  const option = optionFor(options.nics, source.id);
  const primaryAddress = source.ipConfigurations.find(({ primary, version }) => primary && version === "IPv4");
  if (primaryAddress === undefined) {
    refuse(findings, "inventory-invalid", source.name, "The NIC has no primary IPv4 configuration.");
    return undefined;
  }
  const usable = subnets.filter(({ name, delegated }) => !delegated && !SERVICE_SUBNETS.includes(name.toLowerCase()));
  if (option?.subnetName !== undefined) {
    const chosen = usable.find(({ name }) => sameName(name, option.subnetName ?? ""));
    if (chosen !== undefined) return { source, primaryAddress, option, subnet: chosen, whySubnet: "customised" };
    refuse(
      findings,
      "subnet-unknown",
      source.name,
      `The target network has no subnet "${option.subnetName}" that VMs may use.`,
    );
  }
  const same = usable.find(({ name }) => sameName(name, primaryAddress.subnetName));
  const first = usable.toSorted((left, right) => (left.name.toLowerCase() < right.name.toLowerCase() ? -1 : 1))[0];
  const subnet = same ?? first;
  if (subnet === undefined) {
    refuse(findings, "no-subnet", source.name, "The target network has no subnet that VMs may use.");
    return undefined;
  }
  return {
    source,
    primaryAddress,
    option,
    subnet,
    whySubnet: same === undefined ? "first-subnet" : "same-subnet-name",
  };
}

/**
 * Chooses addresses in three passes, so that no substitute takes an address that another NIC keeps: first those that
 * the operator chose, then those that stay the same, then the substitutes.
 */
function chooseAddresses(
  drafts: readonly NicDraft[],
  purpose: PlanPurpose,
  findings: Findings,
): ReadonlyMap<NicDraft, AddressChoice> {
  const taken = new Map<TargetSubnet, Set<number>>();
  const takenIn = (subnet: TargetSubnet): Set<number> => {
    const known = taken.get(subnet) ?? new Set(subnet.takenAddresses.flatMap((address) => parseAddress(address) ?? []));
    taken.set(subnet, known);
    return known;
  };
  const chosen = new Map<NicDraft, AddressChoice>();
  const give = (nic: NicDraft, address: number, why: PlanRule): void => {
    takenIn(nic.subnet).add(address);
    chosen.set(nic, { address: formatAddress(address), why });
  };
  for (const nic of drafts)
    if (nic.option?.address !== undefined) giveChosen(nic, nic.option.address, takenIn(nic.subnet), give, findings);
  const waiting = drafts.filter(
    ({ option, primaryAddress }) => option?.address === undefined && primaryAddress.allocation === "Static",
  );
  const usableOf = ({ subnet }: NicDraft): AddressRange | undefined =>
    usableRange(parsePrefix(subnet.addressPrefix) ?? { first: 1, last: 0 });
  for (const nic of waiting) {
    const usable = usableOf(nic);
    const same = parseAddress(nic.primaryAddress.address ?? "");
    const inside = usable !== undefined && same !== undefined && same >= usable.first && same <= usable.last;
    if (inside && !takenIn(nic.subnet).has(same)) give(nic, same, "same-address");
  }
  for (const nic of waiting.filter((candidate) => !chosen.has(candidate))) {
    const usable = usableOf(nic);
    const after = parseAddress(nic.primaryAddress.address ?? "");
    const substitute =
      usable === undefined
        ? undefined
        : purpose === "failover"
          ? nextFree(usable, takenIn(nic.subnet), after)
          : lastFree(usable, takenIn(nic.subnet));
    if (substitute === undefined) {
      refuse(
        findings,
        "no-free-address",
        nic.source.name,
        `The subnet ${nic.subnet.name} (${nic.subnet.addressPrefix}) has no free address.`,
      );
      continue;
    }
    give(nic, substitute, purpose === "failover" ? "next-free-address" : "last-free-address");
    const from = nic.primaryAddress.address ?? "unknown";
    notice(findings, "address-changes", nic.source.name, `The address ${from} becomes ${formatAddress(substitute)}.`);
  }
  return chosen;
}

function giveChosen(
  nic: NicDraft,
  text: string,
  taken: ReadonlySet<number>,
  give: (nic: NicDraft, address: number, why: PlanRule) => void,
  findings: Findings,
): void {
  const { subnet, source } = nic;
  const address = parseAddress(text);
  const usable = usableRange(parsePrefix(subnet.addressPrefix) ?? { first: 1, last: 0 });
  if (address === undefined || usable === undefined || address < usable.first || address > usable.last) {
    refuse(
      findings,
      "address-invalid",
      source.name,
      `"${text}" is no address that VMs may have in ${subnet.name} (${subnet.addressPrefix}).`,
    );
  } else if (taken.has(address)) {
    refuse(findings, "address-taken", source.name, `The address ${text} in ${subnet.name} is taken.`);
  } else {
    give(nic, address, "customised");
  }
}

function tellLosses(source: SourceNic, option: NicOption | undefined, size: VmSize, findings: Findings): void {
  const tell = (code: Parameters<typeof notice>[1], message: string): void =>
    notice(findings, code, source.name, message);
  if (source.ipConfigurations.some(({ publicIpId }) => publicIpId !== undefined) && option?.publicIpId === undefined) {
    tell("public-ip-not-kept", "A public address does not move to another region; name one of the target region.");
  }
  if (source.networkSecurityGroupId !== undefined && option?.networkSecurityGroupId === undefined) {
    tell(
      "network-security-group-not-kept",
      "A network security group does not move to another region; name one of the target region.",
    );
  }
  if (source.ipConfigurations.some(({ version }) => version === "IPv6"))
    tell("ipv6-not-kept", "IPv6 addresses are not kept.");
  if (source.ipConfigurations.some(({ primary, version }) => !primary && version === "IPv4")) {
    tell("secondary-address-not-kept", "Only the primary address of a NIC is kept.");
  }
  if ((option?.acceleratedNetworking ?? source.acceleratedNetworking) && !size.acceleratedNetworking) {
    tell("accelerated-networking-not-kept", `The size ${size.name} has no accelerated networking.`);
  }
}
