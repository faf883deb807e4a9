import { describe, expect, it } from "vitest";
import { parseId, sameId } from "../../resource-manager/engine/ids.ts";
import { mergePatch } from "../../resource-manager/engine/json.ts";
import { readTarget } from "../../resource-manager/engine/target.ts";
import { TYPES } from "../../resource-manager/types/table.ts";

const GROUP = "/subscriptions/s/resourceGroups/g";
const SUBNET = `${GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/a`;

describe("a path", () => {
  it("is read without regard to case, and spelled as Azure does", () => {
    const target = readTarget(SUBNET.toLowerCase(), TYPES);
    expect(target).toMatchObject({
      kind: "resource",
      at: {
        id: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/a",
        parentId: "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v",
        name: "a",
        type: { name: "Microsoft.Network/virtualNetworks/subnets" },
      },
    });
  });

  it.each([
    [`${GROUP}/providers/Microsoft.Compute/disks`, { kind: "collection", within: { kind: "group", groupName: "g" } }],
    ["/subscriptions/s/providers/Microsoft.Compute/disks", { kind: "collection", within: { kind: "subscription" } }],
    [SUBNET.slice(0, -2), { kind: "collection", within: { kind: "parent" } }],
    ["/subscriptions/s/resourceGroups", { kind: "collection" }],
    ["/subscriptions/s/resourcegroups/G", { kind: "resource", at: { name: "G" } }],
    [`${GROUP}/resources`, { kind: "group-resources", groupName: "g" }],
    [
      `${GROUP}/providers/Microsoft.Compute/virtualMachines/v/start`,
      { kind: "verb", verb: "start", at: { name: "v" } },
    ],
    [
      "/subscriptions/s/providers/Microsoft.Compute/locations/l/operations/o",
      { kind: "operation", view: "status", operationId: "o" },
    ],
    [
      "/subscriptions/s/providers/Microsoft.Compute/locations/l/operationResults/o",
      { kind: "operation", view: "result" },
    ],
    ["/subscriptions/s/operationresults/o", { kind: "operation", view: "result" }],
    ["/subscriptions/s/providers/Microsoft.Compute/skus", { kind: "other" }],
    ["/subscriptions/s", { kind: "other" }],
    ["/", { kind: "other" }],
  ])("%s means what it means in Azure", (path, meaning) => {
    expect(readTarget(path, TYPES)).toMatchObject(meaning);
  });

  it("of a type that is not offered is refused by name", () => {
    expect(() => readTarget(`${GROUP}/providers/Microsoft.Compute/images/i`, TYPES)).toThrow(
      /Microsoft.Compute\/images/,
    );
    expect(() => readTarget(`${GROUP}/providers/Contoso.Things/a/b`, TYPES)).toThrow(
      "The resource namespace 'Contoso.Things' is invalid.",
    );
  });
});

describe("an id", () => {
  it("is taken apart, and equals itself in any case", () => {
    expect(parseId(SUBNET)).toEqual({
      subscriptionId: "s",
      groupName: "g",
      type: "Microsoft.Network/virtualNetworks/subnets",
      names: ["v", "a"],
    });
    expect(sameId(SUBNET.toUpperCase(), `${SUBNET}/`)).toBe(true);
    expect(parseId(`${GROUP}/providers/Microsoft.Network/virtualNetworks`)).toBeUndefined();
    expect(parseId("nonsense")).toBeUndefined();
  });
});

describe("a patch", () => {
  it("merges objects, replaces lists and removes what is null", () => {
    const before = { a: { b: 1, c: 2 }, list: [1, 2], kept: true };
    expect(mergePatch(before, { a: { b: 3, c: null }, list: [4] })).toEqual({ a: { b: 3 }, list: [4], kept: true });
    expect(before.a.c).toBe(2);
  });
});
