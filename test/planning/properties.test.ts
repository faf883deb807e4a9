import { it } from "@fast-check/vitest";
import * as fc from "fast-check";
import { describe, expect } from "vitest";
import { parseAddress, parsePrefix, usableRange } from "../../replication/planning/addresses.ts";
import type { TargetFacts } from "../../replication/planning/facts.ts";
import type { SourceMachine } from "../../replication/planning/inventory.ts";
import { NAME_RULES, type NameKind, fittedName, hashedName, nameFault } from "../../replication/planning/name-rules.ts";
import { planTarget } from "../../replication/planning/plan-target.ts";
import type { TargetPlan } from "../../replication/planning/plan.ts";
import { dataDisk, disk, facts, input, machine, network, nic, size } from "./samples.ts";

const KINDS: readonly NameKind[] = [
  "resource-group",
  "virtual-network",
  "network-interface",
  "availability-set",
  "disk",
  "virtual-machine",
  "storage-account",
];

/** Names that Azure takes for disks and NICs, short and at the limit. */
const azureName = (maxLength: number) =>
  fc
    .tuple(
      fc.stringMatching(/^[A-Za-z0-9]$/),
      fc.string({ unit: fc.constantFrom("a", "B", "7", "-", "_", "."), maxLength: maxLength - 2 }),
      fc.constantFrom("x", "Y", "0"),
    )
    .map((parts) => parts.join(""));

interface Names {
  readonly subscription: string;
  readonly group: string;
  readonly vm: string;
  readonly disks: readonly string[];
  readonly addresses: readonly number[];
  readonly taken: readonly number[];
}

const names: fc.Arbitrary<Names> = fc.record({
  subscription: fc.constantFrom("s1", "s2"),
  group: azureName(90),
  vm: azureName(64),
  disks: fc.uniqueArray(azureName(80), { minLength: 1, maxLength: 5, selector: (name) => name.toLowerCase() }),
  addresses: fc.uniqueArray(fc.integer({ min: 4, max: 30 }), { minLength: 1, maxLength: 5 }),
  taken: fc.uniqueArray(fc.integer({ min: 4, max: 30 }), { maxLength: 20 }),
});

function sourceOf({ subscription, group, vm, disks, addresses }: Names): SourceMachine {
  const id = (kind: string, name: string) => `/subscriptions/${subscription}/resourceGroups/${group}/${kind}/${name}`;
  const [os = "os", ...data] = disks;
  return machine({
    id: id("vm", vm),
    subscriptionId: subscription,
    resourceGroup: group,
    name: vm,
    osDisk: disk(os, { id: id("disk", os) }),
    dataDisks: data.map((name, lun) => dataDisk(name, lun, { id: id("disk", name) })),
    nics: addresses.map((address, at) =>
      nic(`${vm.slice(0, 70)}${at}`, { id: id("nic", String(at)), primary: at === 0, address: `10.0.1.${address}` }),
    ),
    network: { ...machine().network, id: id("network", "hub") },
  });
}

const roomy = size("Standard_D4s_v5", { maxNics: 8, maxDataDisks: 64 });
function planFor(given: Names, change: Partial<TargetFacts> = {}): TargetPlan {
  const decision = planTarget({ ...input(), source: sourceOf(given), facts: facts({ sizes: [roomy], ...change }) });
  if (decision.kind === "refused") throw new Error(JSON.stringify(decision.refusals));
  return decision.plan;
}

/** Every name that the plan makes, with the scope in which it must be its own. */
function namesOf(plan: TargetPlan): readonly { readonly kind: NameKind; readonly name: string; readonly id: string }[] {
  return [
    { kind: "resource-group", ...plan.resourceGroup },
    { kind: "virtual-network", ...plan.network },
    { kind: "storage-account", ...plan.cacheAccount },
    { kind: "storage-account", ...plan.targetAccount },
    { kind: "virtual-machine", ...plan.machine },
    ...plan.nics.map((planned) => ({ kind: "network-interface" as const, ...planned })),
    ...plan.disks.flatMap(({ disk: planned, replicaName }) => [
      { kind: "disk" as const, ...planned },
      { kind: "disk" as const, name: replicaName, id: `${plan.resourceGroup.id}/replica/${replicaName}` },
    ]),
  ];
}

/** What belongs to one VM alone; networks, groups and accounts are shared. */
const ownIds = (plan: TargetPlan): readonly string[] =>
  namesOf(plan)
    .filter(({ kind }) => kind === "disk" || kind === "virtual-machine" || kind === "network-interface")
    .map(({ kind, id }) => `${kind} ${id.toLowerCase()}`);

describe("plans of any VM", () => {
  it.prop([names])("have legal names only", (given) => {
    for (const { kind, name } of namesOf(planFor(given)))
      expect([name, nameFault(kind, name)]).toEqual([name, undefined]);
  });

  it.prop([names])(
    "are the same every time, digest included, whatever the order of the inventory's data disks",
    (given) => {
      const source = sourceOf(given);
      const plan = (from: SourceMachine) => planTarget({ ...input(), source: from, facts: facts({ sizes: [roomy] }) });
      expect(plan({ ...source, dataDisks: source.dataDisks.toReversed() })).toEqual(plan(source));
    },
  );

  it.prop([names])("use no name twice", (given) => {
    const ids = ownIds(planFor(given));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.prop([names, names])("of two VMs never meet", (left, right) => {
    const key = ({ subscription, group, vm }: Names) => `${subscription}/${group}/${vm}`.toLowerCase();
    fc.pre(key(left) !== key(right));
    const first = planFor(left);
    // Disks and NICs of one group have different names in Azure; here they may be drawn alike, and the first plan's
    // names are reserved as the product does it.
    const namesTaken = namesOf(first)
      .filter(({ kind }) => kind === "disk" || kind === "virtual-machine" || kind === "network-interface")
      .map(({ kind, name }) => ({ kind, name, resourceGroup: first.resourceGroup.name, itemId: "first" }));
    const sameGroup =
      `${left.subscription}/${left.group}`.toLowerCase() === `${right.subscription}/${right.group}`.toLowerCase();
    const second = planFor(right, sameGroup ? { namesTaken } : {});
    const met = new Set(ownIds(first));
    expect(ownIds(second).filter((id) => met.has(id))).toEqual([]);
  });

  const subnet = (given: Names) => ({
    name: "web",
    addressPrefix: "10.0.1.0/27",
    takenAddresses: given.taken.slice(0, 27 - given.addresses.length).map((last) => `10.0.1.${last}`),
    delegated: false,
  });
  it.prop([names, fc.constantFrom("failover", "test-failover")])(
    "give no address twice, none that is taken, and none that Azure keeps",
    (given, purpose) => {
      const target = subnet(given);
      const decision = planTarget({
        ...input({ purpose }),
        source: sourceOf(given),
        facts: facts({
          sizes: [roomy],
          networks: [network("hub-asr", { resourceGroup: fittedGroup(given), subnets: [target] })],
        }),
      });
      if (decision.kind === "refused") throw new Error(JSON.stringify(decision.refusals));
      const given4 = decision.plan.nics.map(({ address }) => address ?? "none");
      expect(new Set(given4).size).toBe(given.addresses.length);
      expect(given4.filter((address) => target.takenAddresses.includes(address))).toEqual([]);
      const usable = usableRange(parsePrefix(target.addressPrefix) ?? { first: 0, last: -1 });
      for (const address of given4) {
        expect(parseAddress(address)).toBeGreaterThanOrEqual(usable?.first ?? Infinity);
        expect(parseAddress(address)).toBeLessThanOrEqual(usable?.last ?? -1);
      }
      // Whoever can keep its address does.
      decision.plan.nics.forEach(({ address, sourceAddress }) => {
        const keeps = !target.takenAddresses.includes(sourceAddress ?? "");
        expect(address === sourceAddress).toBe(keeps);
      });
    },
  );
});

const fittedGroup = ({ subscription, group }: Names): string =>
  fittedName("resource-group", group, "-asr", `${subscription}/${group}`);

describe("the rules of names", () => {
  it.prop([
    fc.constantFrom(...KINDS),
    fc.string({ unit: "binary", maxLength: 120 }),
    fc.constantFrom("", "x"),
    fc.string(),
  ])("make a legal name of any text", (kind, base, suffix, key) => {
    expect(nameFault(kind, fittedName(kind, base, suffix, key))).toBeUndefined();
    expect(nameFault(kind, hashedName(kind, base, suffix, key))).toBeUndefined();
  });

  it.prop([fc.constantFrom(...KINDS), fc.string({ maxLength: 200 }), fc.string(), fc.string()])(
    "two keys give two names",
    (kind, base, left, right) => {
      fc.pre(left.toLowerCase() !== right.toLowerCase());
      expect(hashedName(kind, base, "", left)).not.toBe(hashedName(kind, base, "", right));
    },
  );

  it("stand in one table, each with a length that a hash fits into", () => {
    expect(Object.keys(NAME_RULES).toSorted()).toEqual([...KINDS].toSorted());
    expect(fittedName("storage-account", "Shop-Production-West", "cache", "key")).toMatch(
      /^shopproduct[0-9a-f]{8}cache$/,
    );
    expect(fittedName("virtual-machine", "v".repeat(64), "-test", "key")).toMatch(/^v{50}-[0-9a-f]{8}-test$/);
    expect(fittedName("virtual-machine", "web-1", "-test", "key")).toBe("web-1-test");
  });
});
