import type { TargetFacts } from "./facts.ts";
import { type Findings, notice, refuse } from "./findings.ts";
import type { TargetSize, VmSize } from "./inventory.ts";
import { sameName } from "./name-rules.ts";
import type { PlanRule } from "./plan.ts";

/** What a size must offer to run the VM, beside what its system expects of the source's size. */
export interface SizeNeeds {
  readonly nics: number;
  readonly dataDisks: number;
  readonly premiumStorage: boolean;
  readonly generation: "V1" | "V2";
  readonly trustedLaunch: boolean;
  readonly zone: string | undefined;
}

interface ChosenSize {
  readonly size: VmSize;
  readonly why: PlanRule;
}

/**
 * The chosen size if it fits; else the source's size if it fits; else the nearest that does. Refuses `size-unavailable`
 * and `quota-short`.
 */
export function chooseSize(
  source: { readonly name: string; readonly size: VmSize },
  needs: SizeNeeds,
  chosenName: string | undefined,
  facts: TargetFacts,
  findings: Findings,
): ChosenSize {
  const wantedName = chosenName ?? source.size.name;
  const wanted = facts.sizes.find((size) => sameName(size.name, wantedName));
  const fault = wanted === undefined ? "the region does not list it" : sizeFault(wanted, needs, source.size);
  const short = wanted === undefined ? undefined : quotaFault(wanted, facts);
  if (wanted !== undefined && fault === undefined && short === undefined) {
    return { size: wanted, why: chosenName === undefined ? "same-size" : "customised" };
  }
  if (chosenName !== undefined) {
    const code = fault === undefined ? "quota-short" : "size-unavailable";
    refuse(
      findings,
      code,
      "sizeName",
      `The size ${chosenName} cannot be used: ${fault ?? short ?? "it is not available"}.`,
    );
    return { size: wanted ?? source.size, why: "customised" };
  }
  const fitting = facts.sizes.filter((size) => sizeFault(size, needs, source.size) === undefined);
  const affordable = fitting.filter((size) => quotaFault(size, facts) === undefined).toSorted(nearestTo(source.size));
  const nearest = affordable[0];
  if (nearest !== undefined) {
    notice(
      findings,
      "size-changes",
      source.name,
      `The size becomes ${nearest.name}; ${wantedName} cannot be used: ${fault ?? short ?? ""}.`,
    );
    return { size: nearest, why: "nearest-size" };
  }
  const lacking = fitting.length === 0 ? (fault ?? "no size fits") : (short ?? "no size that fits has quota left");
  refuse(
    findings,
    fitting.length === 0 ? "size-unavailable" : "quota-short",
    source.name,
    `No size of the target region can be used: ${lacking}.`,
  );
  return { size: source.size, why: "same-size" };
}

/** Why a size cannot run the VM; undefined when it can. */
function sizeFault(size: TargetSize, needs: SizeNeeds, source: VmSize): string | undefined {
  if (size.restricted) return "it is not offered to this subscription";
  if (size.architecture !== source.architecture)
    return `it has a processor of ${size.architecture}, the VM's system is made for ${source.architecture}`;
  const controller = controllerOf(source);
  if (!size.diskControllers.includes(controller)) return `it has no ${controller} disk controller`;
  if (needs.zone !== undefined && !size.zones.includes(needs.zone)) return `it is not offered in zone ${needs.zone}`;
  if (size.maxNics < needs.nics) return `it takes ${size.maxNics} NICs, the VM has ${needs.nics}`;
  if (size.maxDataDisks < needs.dataDisks)
    return `it takes ${size.maxDataDisks} data disks, the VM has ${needs.dataDisks}`;
  if (needs.premiumStorage && !size.premiumStorage) return "it takes no premium disks";
  if (!size.generations.includes(needs.generation)) return `it does not run generation ${needs.generation}`;
  if (needs.trustedLaunch && !size.trustedLaunch) return "it has no trusted launch";
  return undefined;
}

/** The one that the VM's system surely knows: a size that offers both starts machines with SCSI unless asked. */
const controllerOf = ({ diskControllers }: VmSize): "SCSI" | "NVMe" =>
  diskControllers.includes("SCSI") || diskControllers.length === 0 ? "SCSI" : "NVMe";

function quotaFault(size: VmSize, { quota }: TargetFacts): string | undefined {
  if (size.cores > quota.coresLeft)
    return `it needs ${size.cores} cores, the region's quota has ${quota.coresLeft} left`;
  const familyLeft = Object.entries(quota.familyCoresLeft).find(([family]) => sameName(family, size.family))?.[1];
  if (familyLeft !== undefined && size.cores > familyLeft)
    return `it needs ${size.cores} cores, the quota of ${size.family} has ${familyLeft} left`;
  return undefined;
}

/** At least as large first, then the closest in cores, in memory, of the same family, by name. */
function nearestTo(source: VmSize): (left: VmSize, right: VmSize) => number {
  const rank = (size: VmSize): readonly number[] => [
    size.usableCores >= source.usableCores && size.memoryMib >= source.memoryMib ? 0 : 1,
    Math.abs(size.usableCores - source.usableCores),
    Math.abs(size.memoryMib - source.memoryMib),
    sameName(size.family, source.family) ? 0 : 1,
  ];
  return (left, right) => {
    const ranks = rank(right);
    const difference = rank(left)
      .map((value, at) => value - (ranks[at] ?? 0))
      .find((value) => value !== 0);
    return difference ?? (left.name < right.name ? -1 : 1);
  };
}
