import { type Findings, noFindings, notice, refuse, resourceId, settleName } from "./findings.ts";
import { regionName, sameName } from "./name-rules.ts";
import type { PlanInput } from "./options.ts";
import { planAccount } from "./plan-accounts.ts";
import { needsPremium, planDisks } from "./plan-disks.ts";
import { planNetwork } from "./plan-network.ts";
import { planNics } from "./plan-nics.ts";
import { type PlanDecision, type PlannedMachine, type PlannedResource, type TargetPlan, planDigest } from "./plan.ts";
import { chooseSize } from "./sizes.ts";

/**
 * The resources of the target region: Site Recovery's defaults, changed by the operator's choices, within what exists
 * there. A pure function: it finds everything that is wrong at once, and the same input gives the same plan and digest.
 */
export function planTarget(input: PlanInput): PlanDecision {
  const findings = noFindings();
  const { source, options, facts, purpose } = input;
  const region = regionName(options.targetRegion);
  const subscriptionId = options.subscriptionId ?? source.subscriptionId;
  if (region === regionName(source.region)) {
    refuse(findings, "target-region-is-source", "targetRegion", `The VM is in ${source.region} itself.`);
  }
  refuseForeignOptions(input, findings);
  const resourceGroup = planResourceGroup(input, subscriptionId, findings);
  const place = { subscriptionId, resourceGroup: resourceGroup.name };
  const network = planNetwork(input, place, findings);
  const disks = planDisks(input, place, findings);
  const { availabilitySet, zone } = planAvailability(input, place, findings);
  const { size, why: whySize } = chooseSize(
    source,
    {
      nics: source.nics.length,
      dataDisks: source.dataDisks.length,
      premiumStorage: needsPremium(disks),
      generation: source.generation,
      trustedLaunch: source.security.type === "TrustedLaunch",
      zone,
    },
    options.sizeName,
    facts,
    findings,
  );
  const plan: TargetPlan = {
    purpose,
    region,
    subscriptionId,
    resourceGroup,
    network: network.network,
    availabilitySet,
    zone,
    cacheAccount: planAccount(input, subscriptionId, "cache", findings),
    targetAccount: planAccount(input, subscriptionId, "target", findings),
    disks,
    nics: planNics(input, place, network, size, findings),
    machine: { ...planMachine(input, place, findings), sizeName: size.name, whySize },
    notices: findings.notices,
  };
  if (findings.refusals.length > 0) return { kind: "refused", refusals: findings.refusals };
  return { kind: "planned", plan, digest: planDigest(plan) };
}

/** A choice for a disk or NIC that the VM does not have is a mistake that would otherwise go unnoticed. */
function refuseForeignOptions({ source, options }: PlanInput, findings: Findings): void {
  const ids = [source.osDisk, ...source.dataDisks, ...source.nics].map(({ id }) => id);
  for (const chosen of [...Object.keys(options.disks ?? {}), ...Object.keys(options.nics ?? {})]) {
    if (!ids.some((id) => sameName(id, chosen)))
      refuse(findings, "option-invalid", "options", `The VM has no disk or NIC ${chosen}.`);
  }
}

/** `<group>-asr`, in the target region when new; an existing one may be in any region but the source's. */
function planResourceGroup(input: PlanInput, subscriptionId: string, findings: Findings): PlannedResource {
  const { source, options, facts } = input;
  const wanted = {
    kind: "resource-group",
    resourceGroup: undefined,
    chosen: options.resourceGroup,
    base: source.resourceGroup,
    suffix: "-asr",
    key: `${source.subscriptionId}/${source.resourceGroup}`,
    replaceable: false,
    subject: "resourceGroup",
  } as const;
  const { name, why } = settleName(input, findings, wanted);
  const existing = facts.resourceGroups.find((group) => sameName(group.name, name));
  if (existing !== undefined && regionName(existing.region) === regionName(source.region)) {
    refuse(
      findings,
      "resource-in-other-region",
      "resourceGroup",
      `The resource group ${existing.name} is in the source region.`,
    );
  }
  return {
    id: resourceId(subscriptionId, existing?.name ?? name, "resource-group", existing?.name ?? name),
    name: existing?.name ?? name,
    resourceGroup: existing?.name ?? name,
    region: regionName(existing?.region ?? options.targetRegion),
    action: existing === undefined ? "create" : "reuse",
    why: existing === undefined || why === "customised" ? why : "exists",
  };
}

/** The set becomes `<set>-asr`; a zone keeps its number where the target region has it, else the VM has neither. */
function planAvailability(
  input: PlanInput,
  { subscriptionId, resourceGroup }: { readonly subscriptionId: string; readonly resourceGroup: string },
  findings: Findings,
): Pick<TargetPlan, "availabilitySet" | "zone"> {
  const { source, options, facts } = input;
  const wanted = options.availability ?? source.availability;
  switch (wanted.kind) {
    case "none":
      return { availabilitySet: undefined, zone: undefined };
    case "zone": {
      if (facts.zones.includes(wanted.zone)) return { availabilitySet: undefined, zone: wanted.zone };
      const message = `The target region has no zone ${wanted.zone}.`;
      if (options.availability === undefined)
        notice(findings, "zone-not-kept", source.name, `${message} The VM stands alone there.`);
      else refuse(findings, "option-invalid", "availability", message);
      return { availabilitySet: undefined, zone: undefined };
    }
    case "availability-set":
      return {
        availabilitySet: planAvailabilitySet(input, { subscriptionId, resourceGroup }, findings),
        zone: undefined,
      };
  }
}

function planAvailabilitySet(
  input: PlanInput,
  { subscriptionId, resourceGroup }: { readonly subscriptionId: string; readonly resourceGroup: string },
  findings: Findings,
): TargetPlan["availabilitySet"] {
  const { source, options, facts } = input;
  const set = source.availability.kind === "availability-set" ? source.availability : undefined;
  const chosen = options.availability?.kind === "availability-set" ? options.availability.name : undefined;
  const wantedName = chosen ?? `${set?.name ?? ""}-asr`;
  const found = facts.availabilitySets.find(
    (existing) => sameName(existing.name, wantedName) && sameName(existing.resourceGroup, resourceGroup),
  );
  const region = regionName(options.targetRegion);
  if (found !== undefined && regionName(found.region) !== region) {
    refuse(
      findings,
      "resource-in-other-region",
      found.name,
      `The availability set ${found.name} is in ${found.region}.`,
    );
  }
  const domains = {
    faultDomains: Math.min(set?.faultDomains ?? facts.maxFaultDomains, facts.maxFaultDomains),
    updateDomains: set?.updateDomains ?? 5,
  };
  if (found !== undefined) {
    const { id, name } = found;
    return {
      id,
      name,
      resourceGroup,
      region,
      action: "reuse",
      why: chosen === undefined ? "exists" : "customised",
      ...domains,
    };
  }
  const { name, why } = settleName(input, findings, {
    kind: "availability-set",
    resourceGroup,
    chosen,
    base: set?.name ?? "",
    suffix: "-asr",
    key: set?.id ?? source.id,
    replaceable: true,
    subject: "availability",
  });
  return {
    id: resourceId(subscriptionId, resourceGroup, "availability-set", name),
    name,
    resourceGroup,
    region,
    action: "create",
    why,
    ...domains,
  };
}

function planMachine(
  input: PlanInput,
  { subscriptionId, resourceGroup }: { readonly subscriptionId: string; readonly resourceGroup: string },
  findings: Findings,
): Omit<PlannedMachine, "sizeName" | "whySize"> {
  const { source, options, purpose } = input;
  const { type, secureBoot, vTpm } = source.security;
  if (type === "ConfidentialVM")
    refuse(findings, "security-type-unsupported", source.name, "The VM is a confidential VM.");
  if (type === "TrustedLaunch" && vTpm) {
    notice(
      findings,
      "vtpm-state-not-kept",
      source.name,
      "What the virtual TPM holds stays with the source; keys sealed by it must be entered again.",
    );
  }
  const { name, why } = settleName(input, findings, {
    kind: "virtual-machine",
    resourceGroup,
    chosen: options.machineName,
    base: source.name,
    suffix: purpose === "test-failover" ? "-test" : "",
    key: source.id,
    replaceable: false,
    subject: source.name,
  });
  return {
    id: resourceId(subscriptionId, resourceGroup, "virtual-machine", name),
    name,
    resourceGroup,
    region: regionName(options.targetRegion),
    action: "create",
    why,
    osType: source.osType,
    generation: source.generation,
    securityType: type === "TrustedLaunch" ? "TrustedLaunch" : "Standard",
    secureBoot,
    vTpm,
    licenseType: source.licenseType,
    tags: source.tags,
  };
}
