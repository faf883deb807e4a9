import { it as property } from "@fast-check/vitest";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LEFT_TRY_MAX_MS } from "../../replication/limits.ts";
import {
  type Ledger,
  type LedgerKind,
  type LedgerRole,
  type RemovalScope,
  beginRemoval,
  compact,
  emptyLedger,
  endLeft,
  handOver,
  intend,
  isEmpty,
  leftovers,
  liveIds,
  markCreated,
  markLeft,
  markReleased,
  markRemoved,
  markSeen,
  noteAnswered,
  noteSent,
  openLeft,
  planRemoval,
  retryLeft,
} from "../../replication/resources/ledger.ts";

const resource = (id: string, kind: LedgerKind, role: LedgerRole) => ({ id, kind, role });
const SHARED = [
  resource("/rg", "resource-group", "shared"),
  resource("/vnet", "virtual-network", "shared"),
  resource("/cache", "storage-account", "shared"),
];
const REPLICA = [
  resource("/container", "blob-container", "replication"),
  resource("/extension", "mobility-extension", "replication"),
];
const machineOf = (role: "failover" | "test-failover") => [
  resource(`/${role}/disk`, "disk", role),
  resource(`/${role}/nic`, "network-interface", role),
  resource(`/${role}/vm`, "virtual-machine", role),
];
const ledgerOf = (...resources: readonly ReturnType<typeof resource>[]): Ledger =>
  intend(emptyLedger("vm-1"), resources, "job", 0);
const stagesOf = (ledger: Ledger, others: readonly string[] = []) =>
  planRemoval(ledger, others).stages.map((stage) => stage.map(({ id }) => id));

/** Does what the plan says. */
function carryOut(ledger: Ledger, others: readonly string[] = []): Ledger {
  const { stages, toRelease, toLeave } = planRemoval(ledger, others);
  const removed = stages.flat().reduce((left, { id }) => markRemoved(left, id, 1), ledger);
  return [...toRelease, ...toLeave.map(({ id }) => id)].reduce((left, id) => markReleased(left, id, 1), removed);
}

describe("the resource ledger", () => {
  it("keeps what a PUT that was never answered may bring back, and forgets it when it was looked for later", () => {
    const put = (ledger: Ledger) => noteAnswered(noteSent(ledger, ["/vnet"]), ["/vnet"]);
    const gone = (ledger: Ledger) => markRemoved(beginRemoval(ledger, "disable", false, 1), "/vnet", 2);
    const begun = ledgerOf(resource("/vnet", "virtual-network", "replication"));
    expect(compact(gone(put(put(begun)))).entries).toEqual([]);
    expect(compact(gone(markCreated(noteSent(begun, ["/vnet"]), "/vnet", 1))).entries).toEqual([]);
    const never = compact(gone(noteSent(begun, ["/vnet"])));
    expect(never.entries).toMatchObject([{ id: "/vnet", state: "left" }]);
    expect(isEmpty(never)).toBe(true);
    // The second one was answered, the first one never.
    const left = compact(gone(markCreated(put(noteSent(begun, ["/vnet"])), "/vnet", 1)));
    expect(left.entries).toMatchObject([{ state: "left" }]);
    // Whatever the next life does with it.
    const resources = [resource("/vnet", "virtual-network", "replication")];
    const again = markCreated(put(intend(left, resources, "next", 3)), "/vnet", 3);
    expect(compact(gone(again)).entries).toMatchObject([{ state: "left" }]);
    const tried = retryLeft(left, "/vnet", 3);
    expect(openLeft(tried)).toHaveLength(1);
    expect(() => intend(tried, resources, "next", 3)).toThrow("is being removed");
    expect(intend(tried, resources, "next", 4 + LEFT_TRY_MAX_MS).entries).toMatchObject([{ state: "intended" }]);
    expect(openLeft(markLeft(tried, "/vnet", 4))).toMatchObject([{ changedMs: 4 }]);
    expect(endLeft(tried, "/vnet").entries).toEqual([]);
    expect(endLeft(intend(left, resources, "next", 3), "/vnet").entries).toHaveLength(1);
  });

  it("knows a resource before it is made, and once however often it is written down", () => {
    const once = ledgerOf(...SHARED);
    expect(intend(once, SHARED, "another job", 1)).toBe(once);
    expect(markCreated(once, "/RG", 1).entries[0]).toMatchObject({ state: "created", jobId: "job" });
    expect(() => markCreated(once, "/unknown", 1)).toThrow("in the ledger before it is made");
    expect(() => intend(once, [resource("/rg", "disk", "shared")], "j", 1)).toThrow("keeps its kind");
  });

  it("removes what depends on something before it", () => {
    const ledger = beginRemoval(ledgerOf(...SHARED, ...REPLICA, ...machineOf("test-failover")), "disable", false, 1);
    expect(stagesOf(ledger)).toEqual([
      ["/extension"],
      ["/test-failover/vm"],
      ["/test-failover/disk", "/test-failover/nic"],
      ["/container"],
      ["/vnet"],
    ]);
    expect(
      planRemoval(ledger, [], "source")
        .stages.flat()
        .map(({ id }) => id),
    ).toEqual(["/extension"]);
    expect(
      planRemoval(ledger, [], "target")
        .stages.flat()
        .map(({ id }) => id),
    ).not.toContain("/extension");
  });

  it("names what takes other things along, and does not remove it", () => {
    const ledger = beginRemoval(ledgerOf(...SHARED), "disable", false, 1);
    expect(planRemoval(ledger, []).toLeave.map(({ id }) => id)).toEqual(["/rg", "/cache"]);
    expect(planRemoval(ledger, ["/RG"])).toMatchObject({ toRelease: ["/rg"], toLeave: [{ id: "/cache" }] });
  });

  it("cleaning up a test failover touches nothing else", () => {
    const ledger = beginRemoval(
      ledgerOf(...SHARED, ...REPLICA, ...machineOf("test-failover"), ...machineOf("failover")),
      "test-failover",
      false,
      1,
    );
    expect(stagesOf(ledger).flat().toSorted()).toEqual([
      "/test-failover/disk",
      "/test-failover/nic",
      "/test-failover/vm",
    ]);
  });

  it("disabling leaves nothing but group and account, not even the network that Leeward made, when nobody else uses it", () => {
    const ledger = carryOut(
      beginRemoval(ledgerOf(...SHARED, ...REPLICA, ...machineOf("failover")), "disable", false, 1),
    );
    expect(isEmpty(ledger)).toBe(true);
    expect(ledger.entries.filter(({ state }) => state !== "removed").map(({ id, state }) => [id, state])).toEqual([
      ["/rg", "released"],
      ["/cache", "released"],
    ]);
  });

  it("what other items use stays and leaves this ledger only", () => {
    const ledger = beginRemoval(ledgerOf(...SHARED, ...REPLICA), "disable", false, 1);
    expect(planRemoval(ledger, ["/RG", "/vnet"]).toRelease).toEqual(["/rg", "/vnet"]);
    const after = carryOut(ledger, ["/RG", "/vnet"]);
    expect(isEmpty(after)).toBe(true);
    expect(after.entries.filter(({ state }) => state === "released").map(({ id }) => id)).toEqual([
      "/rg",
      "/vnet",
      "/cache",
    ]);
  });

  it("of two last users that go together at least one removes", () => {
    const left = beginRemoval(ledgerOf(...SHARED), "disable", false, 1);
    const right = ledgerOf(...SHARED);
    expect(planRemoval(left, liveIds(right)).stages).toEqual([]);
    expect(planRemoval(beginRemoval(right, "disable", false, 1), liveIds(left)).stages.flat()).toHaveLength(1);
  });

  it("the machine that users work on stays when protection is disabled or the failover committed", () => {
    const disabled = carryOut(beginRemoval(ledgerOf(...REPLICA, ...machineOf("failover")), "disable", true, 1));
    expect(disabled.entries.filter(({ state }) => state === "released").map(({ id }) => id)).toEqual(
      machineOf("failover").map(({ id }) => id),
    );
    const committed = handOver(ledgerOf(...REPLICA, ...machineOf("failover")), 1);
    expect(liveIds(committed)).toEqual(REPLICA.map(({ id }) => id));
    expect(stagesOf(beginRemoval(committed, "failover", false, 1))).toEqual([]);
  });

  it("the blobs that its disks were copied from are never the operator's", () => {
    const blobs = resource("restored/1", "restored-blobs", "failover");
    const committed = handOver(ledgerOf(...machineOf("failover"), blobs), 1);
    expect(stagesOf(committed)).toEqual([["restored/1"]]);
    expect(stagesOf(beginRemoval(ledgerOf(blobs), "disable", true, 1))).toEqual([["restored/1"]]);
  });

  it("what could not be reached is kept, goes with the next disabling, and stands in nobody's way", () => {
    const left = markLeft(beginRemoval(ledgerOf(...REPLICA), "disable", false, 1), "/extension", 2);
    expect(compact(carryOut(left)).entries).toEqual([
      { ...resource("/extension", "mobility-extension", "replication"), jobId: "job", state: "left", changedMs: 2 },
    ]);
    expect(isEmpty(carryOut(left))).toBe(true);
    expect(stagesOf(beginRemoval(left, "disable", false, 3)).flat()).toContain("/extension");
    expect(intend(left, REPLICA.slice(1), "again", 3).entries.map(({ state }) => state)).toEqual([
      "removing",
      "intended",
    ]);
  });

  it("what still stands after its removal is to be removed again, and what is not seen any more is removed", () => {
    const gone = markRemoved(beginRemoval(ledgerOf(...REPLICA), "disable", false, 1), "/extension", 2);
    expect(stagesOf(markSeen(gone, "/extension", true, 3)).flat()).toContain("/extension");
    expect(leftovers(markSeen(gone, "/container", false, 3))).toEqual([]);
    expect(markSeen(gone, "/extension", false, 3)).toBe(gone);
  });

  it("a resource that is being removed is not made again meanwhile, and afterwards is", () => {
    const going = beginRemoval(ledgerOf(...machineOf("failover")), "failover", false, 1);
    expect(() => intend(going, machineOf("failover"), "again", 2)).toThrow("is being removed");
    const again = intend(carryOut(going), machineOf("failover"), "again", 2);
    expect(again.entries.map(({ state, jobId }) => `${state} ${jobId}`)).toEqual([
      "intended again",
      "intended again",
      "intended again",
    ]);
  });

  it("what may exist is a leftover until it was seen to be gone", () => {
    const ledger = ledgerOf(...REPLICA);
    expect(leftovers(ledger)).toHaveLength(2);
    const half = markRemoved(beginRemoval(ledger, "disable", false, 1), "/extension", 1);
    expect(leftovers(half).map(({ id }) => id)).toEqual(["/container"]);
    expect(compact(half).entries).toHaveLength(1);
    expect(compact(ledger)).toBe(ledger);
    // Gone is said only of what is going.
    expect(markRemoved(ledger, "/extension", 1)).toBe(ledger);
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
      const resources = chosen.map(({ id, role }) =>
        resource(`/${id}`, kinds[id % kinds.length] ?? "disk", roles[role] ?? "shared"),
      );
      const made = chosen
        .filter(({ created }) => created)
        .reduce((ledger, { id }) => markCreated(ledger, `/${id}`, 0), ledgerOf(...resources));
      const begun = before.reduce((ledger, scope) => beginRemoval(ledger, scope, moved, 1), made);
      const going = beginRemoval(begun, "disable", moved, 1);
      const others = used.map((id) => `/${id}`);
      const { stages, toRelease } = planRemoval(going, others);
      const removing = stages.flat();
      expect(removing.filter(({ id, role }) => role === "shared" && others.includes(id))).toEqual([]);
      // Half done and begun again: nothing is asked for twice, nothing is forgotten.
      const half = removing.slice(0, removing.length / 2).reduce((ledger, { id }) => markRemoved(ledger, id, 1), going);
      expect(planRemoval(beginRemoval(half, "disable", moved, 1), others).stages.flat()).toEqual(
        removing.slice(removing.length / 2),
      );
      const end = carryOut(half, others);
      expect(isEmpty(end)).toBe(true);
      expect(end.entries).toHaveLength(chosen.length);
      const shared = resources.filter(({ role }) => role === "shared").map(({ id }) => id);
      expect(toRelease.filter((id) => !others.includes(id) || !shared.includes(id))).toEqual([]);
    },
  );
});
