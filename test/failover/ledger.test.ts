import { it as property } from "@fast-check/vitest";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Ledger,
  type LedgerKind,
  type LedgerRole,
  type RemovalScope,
  beginRemoval,
  compact,
  emptyLedger,
  handOver,
  intend,
  isEmpty,
  leftovers,
  liveIds,
  markCreated,
  markReleased,
  markRemoved,
  planRemoval,
} from "../../replication/failover/ledger.ts";

const resource = (id: string, kind: LedgerKind, role: LedgerRole) => ({ id, kind, role });
const SHARED = [
  resource("/rg", "resource-group", "shared"),
  resource("/vnet", "virtual-network", "shared"),
  resource("/cache", "storage-account", "shared"),
];
const REPLICA = [resource("/container", "blob-container", "replication"), resource("/extension", "mobility-extension", "replication")];
const machineOf = (role: "failover" | "test-failover") => [
  resource(`/${role}/disk`, "disk", role),
  resource(`/${role}/nic`, "network-interface", role),
  resource(`/${role}/vm`, "virtual-machine", role),
];
const ledgerOf = (...resources: readonly ReturnType<typeof resource>[]): Ledger => intend(emptyLedger("vm-1"), resources, "job");
const stagesOf = (ledger: Ledger, others: readonly string[] = []) =>
  planRemoval(ledger, others).stages.map((stage) => stage.map(({ id }) => id));

/** Does what the plan says. */
function carryOut(ledger: Ledger, others: readonly string[] = []): Ledger {
  const { stages, toRelease } = planRemoval(ledger, others);
  const removed = stages.flat().reduce((left, { id }) => markRemoved(left, id), ledger);
  return toRelease.reduce(markReleased, removed);
}

describe("the resource ledger", () => {
  it("knows a resource before it is made, and once however often it is written down", () => {
    const once = ledgerOf(...SHARED);
    expect(intend(once, SHARED, "another job")).toBe(once);
    expect(markCreated(once, "/RG").entries[0]).toMatchObject({ state: "created", jobId: "job" });
    expect(() => markCreated(once, "/unknown")).toThrow("in the ledger before it is made");
    expect(() => intend(once, [resource("/rg", "disk", "shared")], "j")).toThrow("keeps its kind");
  });

  it("removes what depends on something before it", () => {
    const ledger = beginRemoval(ledgerOf(...SHARED, ...REPLICA, ...machineOf("test-failover")), "disable", false);
    expect(stagesOf(ledger)).toEqual([
      ["/extension"],
      ["/test-failover/vm"],
      ["/test-failover/disk", "/test-failover/nic"],
      ["/container"],
      ["/vnet"],
      ["/cache"],
      ["/rg"],
    ]);
  });

  it("cleaning up a test failover touches nothing else", () => {
    const ledger = beginRemoval(
      ledgerOf(...SHARED, ...REPLICA, ...machineOf("test-failover"), ...machineOf("failover")),
      "test-failover",
      false,
    );
    expect(stagesOf(ledger).flat().toSorted()).toEqual(["/test-failover/disk", "/test-failover/nic", "/test-failover/vm"]);
  });

  it("disabling leaves nothing, not even the group and the network that Leeward made, when nobody else uses them", () => {
    const ledger = carryOut(beginRemoval(ledgerOf(...SHARED, ...REPLICA, ...machineOf("failover")), "disable", false));
    expect(isEmpty(ledger)).toBe(true);
    expect(ledger.entries.every(({ state }) => state === "removed")).toBe(true);
  });

  it("what other items use stays and leaves this ledger only", () => {
    const ledger = beginRemoval(ledgerOf(...SHARED, ...REPLICA), "disable", false);
    expect(planRemoval(ledger, ["/RG", "/vnet"]).toRelease).toEqual(["/rg", "/vnet"]);
    const after = carryOut(ledger, ["/RG", "/vnet"]);
    expect(isEmpty(after)).toBe(true);
    expect(after.entries.filter(({ state }) => state === "released").map(({ id }) => id)).toEqual(["/rg", "/vnet"]);
  });

  it("of two last users that go together at least one removes", () => {
    const left = beginRemoval(ledgerOf(...SHARED), "disable", false);
    const right = ledgerOf(...SHARED);
    expect(planRemoval(left, liveIds(right)).stages).toEqual([]);
    expect(planRemoval(beginRemoval(right, "disable", false), liveIds(left)).stages.flat()).toHaveLength(3);
  });

  it("the machine that users work on stays when protection is disabled or the failover committed", () => {
    const disabled = carryOut(beginRemoval(ledgerOf(...REPLICA, ...machineOf("failover")), "disable", true));
    expect(disabled.entries.filter(({ state }) => state === "released").map(({ id }) => id)).toEqual(
      machineOf("failover").map(({ id }) => id),
    );
    const committed = handOver(ledgerOf(...REPLICA, ...machineOf("failover")));
    expect(liveIds(committed)).toEqual(REPLICA.map(({ id }) => id));
    expect(stagesOf(beginRemoval(committed, "failover", false))).toEqual([]);
  });

  it("a resource that is being removed is not made again meanwhile, and afterwards is", () => {
    const going = beginRemoval(ledgerOf(...machineOf("failover")), "failover", false);
    expect(() => intend(going, machineOf("failover"), "again")).toThrow("is being removed");
    const again = intend(carryOut(going), machineOf("failover"), "again");
    expect(again.entries.map(({ state, jobId }) => `${state} ${jobId}`)).toEqual(["intended again", "intended again", "intended again"]);
  });

  it("what may exist is a leftover until it was seen to be gone", () => {
    const ledger = ledgerOf(...REPLICA);
    expect(leftovers(ledger)).toHaveLength(2);
    const half = markRemoved(beginRemoval(ledger, "disable", false), "/extension");
    expect(leftovers(half).map(({ id }) => id)).toEqual(["/container"]);
    expect(compact(half).entries).toHaveLength(1);
    expect(compact(ledger)).toBe(ledger);
    // Gone is said only of what is going.
    expect(markRemoved(ledger, "/extension")).toBe(ledger);
  });

  it("is bounded", () => {
    const many = Array.from({ length: 1001 }, (_value, at) => resource(`/d${at}`, "disk", "failover"));
    expect(() => ledgerOf(...many)).toThrow("bounded");
  });

  const kinds: readonly LedgerKind[] = [
    "virtual-machine",
    "disk",
    "network-interface",
    "blob-container",
    "virtual-network",
    "storage-account",
    "resource-group",
  ];
  const roles: readonly LedgerRole[] = ["replication", "failover", "test-failover", "shared"];
  const some = fc.uniqueArray(fc.record({ id: fc.nat(30), role: fc.nat(3), created: fc.boolean() }), {
    maxLength: 20,
    selector: ({ id }) => id,
  });
  property.prop([
    some,
    fc.array(fc.nat(30)),
    fc.boolean(),
    fc.array(fc.constantFrom<RemovalScope>("test-failover", "failover"), { maxLength: 2 }),
  ])(
    "disabling always ends in an empty ledger, removes nothing that others share, and stops anywhere without losing an entry",
    (chosen, used, moved, before) => {
      const resources = chosen.map(({ id, role }) => resource(`/${id}`, kinds[id % kinds.length] ?? "disk", roles[role] ?? "shared"));
      const made = chosen
        .filter(({ created }) => created)
        .reduce((ledger, { id }) => markCreated(ledger, `/${id}`), ledgerOf(...resources));
      const begun = before.reduce((ledger, scope) => beginRemoval(ledger, scope, moved), made);
      const going = beginRemoval(begun, "disable", moved);
      const others = used.map((id) => `/${id}`);
      const { stages, toRelease } = planRemoval(going, others);
      const removing = stages.flat();
      expect(removing.filter(({ id, role }) => role === "shared" && others.includes(id))).toEqual([]);
      // Half done and begun again: nothing is asked for twice, nothing is forgotten.
      const half = removing.slice(0, removing.length / 2).reduce((ledger, { id }) => markRemoved(ledger, id), going);
      expect(planRemoval(beginRemoval(half, "disable", moved), others).stages.flat()).toEqual(removing.slice(removing.length / 2));
      const end = carryOut(half, others);
      expect(isEmpty(end)).toBe(true);
      expect(end.entries).toHaveLength(chosen.length);
      const shared = resources.filter(({ role }) => role === "shared").map(({ id }) => id);
      expect(toRelease.filter((id) => !others.includes(id) || !shared.includes(id))).toEqual([]);
    },
  );
});
