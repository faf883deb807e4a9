import type { TargetFacts } from "./facts.ts";
import { type NameKind, fittedName, hashedName, nameFault, sameName } from "./name-rules.ts";
import type { PlanInput } from "./options.ts";
import type { PlanNotice, PlanNoticeCode, PlanRefusal, PlanRefusalCode, PlanRule } from "./plan.ts";

/** Collects all findings of one plan, so that the operator sees everything that is wrong at once. */
export interface Findings {
  readonly refusals: PlanRefusal[];
  readonly notices: PlanNotice[];
  /** Names that this plan uses so far: `kind/group/name`, lower case. */
  readonly used: Set<string>;
}

export const noFindings = (): Findings => ({ refusals: [], notices: [], used: new Set() });

export function refuse(findings: Findings, code: PlanRefusalCode, subject: string, message: string): void {
  findings.refusals.push({ code, subject, message });
}

export function notice(findings: Findings, code: PlanNoticeCode, subject: string, message: string): void {
  findings.notices.push({ code, subject, message });
}

interface WantedName {
  readonly kind: NameKind;
  /** Where the name must be unique; undefined for kinds of a wider scope. */
  readonly resourceGroup: string | undefined;
  /** The operator's choice; undefined for the default. */
  readonly chosen: string | undefined;
  readonly base: string;
  readonly suffix: string;
  /** Names the source resource in full. */
  readonly key: string;
  /**
   * A default name that is taken is replaced, because people do not know the resource by it. Otherwise it is refused.
   */
  readonly replaceable: boolean;
  /** The name that the operator knows: the source resource or the option. */
  readonly subject: string;
}

/**
 * A legal and free name for one resource to create. Any other is refused but still returned, so that planning
 * continues.
 */
export function settleName(
  { itemId, facts }: PlanInput,
  findings: Findings,
  wanted: WantedName,
): { readonly name: string; readonly why: PlanRule } {
  const { kind, chosen, base, suffix, key, subject } = wanted;
  const plain = chosen ?? fittedName(kind, base, suffix, key);
  const fault = nameFault(kind, plain);
  if (fault !== undefined) refuse(findings, "name-invalid", subject, `"${plain}": ${fault}.`);
  if (isFree(facts, itemId, findings, wanted, plain))
    return taking(findings, wanted, plain, chosen === undefined ? "default-name" : "customised");
  const other = hashedName(kind, base, suffix, key);
  if (chosen === undefined && wanted.replaceable && isFree(facts, itemId, findings, wanted, other)) {
    return taking(findings, wanted, other, "default-name-taken");
  }
  refuse(findings, "name-taken", subject, `The ${kind} name "${plain}" is taken.`);
  return { name: plain, why: "default-name" };
}

function taking(
  findings: Findings,
  { kind, resourceGroup }: WantedName,
  name: string,
  why: PlanRule,
): { readonly name: string; readonly why: PlanRule } {
  findings.used.add(usedKey(kind, resourceGroup, name));
  return { name, why };
}

function isFree(
  facts: TargetFacts,
  itemId: string,
  findings: Findings,
  { kind, resourceGroup }: WantedName,
  name: string,
): boolean {
  if (findings.used.has(usedKey(kind, resourceGroup, name))) return false;
  return !facts.namesTaken.some(
    (taken) =>
      taken.kind === kind &&
      taken.itemId !== itemId &&
      sameName(taken.name, name) &&
      (resourceGroup === undefined ||
        taken.resourceGroup === undefined ||
        sameName(taken.resourceGroup, resourceGroup)),
  );
}

function usedKey(kind: NameKind, resourceGroup: string | undefined, name: string): string {
  return `${kind}/${resourceGroup ?? ""}/${name}`.toLowerCase();
}

const PROVIDERS: Readonly<Record<Exclude<NameKind, "resource-group">, string>> = {
  "virtual-network": "Microsoft.Network/virtualNetworks",
  "network-interface": "Microsoft.Network/networkInterfaces",
  "availability-set": "Microsoft.Compute/availabilitySets",
  disk: "Microsoft.Compute/disks",
  "virtual-machine": "Microsoft.Compute/virtualMachines",
  "storage-account": "Microsoft.Storage/storageAccounts",
};

/** The Resource Manager id that a resource will have. */
export function resourceId(subscriptionId: string, resourceGroup: string, kind: NameKind, name: string): string {
  const group = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
  return kind === "resource-group" ? group : `${group}/providers/${PROVIDERS[kind]}/${name}`;
}
