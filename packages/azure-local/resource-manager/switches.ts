import { ARM_FAMILY_CORES, ARM_REGION_CORES } from "../limits.ts";
import type { Reachability } from "../reachability.ts";

/** Switches of a running cloud; a restart resets them. `pace`: the share of Azure's durations. */
export function createSwitches(pace: number) {
  const gone = new Map<string, Reachability>();
  const quotas = new Map<string, number>();
  const restricted = new Set<string>();
  const place = (region: string, name: string): string => `${region}/${name}`.toLowerCase();
  const turn = (set: Set<string>, name: string, isIn: boolean): void => void (isIn ? set.add(name) : set.delete(name));
  return {
    reachability: (region: string): Reachability => gone.get(region) ?? true,
    facts: {
      pace,
      quota: (region: string, family: string) =>
        quotas.get(place(region, family)) ?? (family === "cores" ? ARM_REGION_CORES : ARM_FAMILY_CORES),
      isRestricted: (region: string, size: string) => restricted.has(place(region, size)),
    },
    switches: {
      setReachable: (region: string, reachable: Reachability) => void gone.set(region, reachable),
      setQuota: (region: string, family: string, cores: number) => void quotas.set(place(region, family), cores),
      setRestricted: (region: string, size: string, isRestricted: boolean) =>
        turn(restricted, place(region, size), isRestricted),
    },
  };
}
