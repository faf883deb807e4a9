import { describe, expect, it } from "vitest";
import { parsePath } from "../../replication/resources/ids.ts";

const GROUP = "/subscriptions/s1/resourceGroups/Shop";

describe("paths of Resource Manager", () => {
  it("name a resource, its type and what it stands in, in whatever letters", () => {
    const vm = `${GROUP}/providers/Microsoft.Compute/virtualMachines/Web`;
    expect(parsePath(vm)).toEqual({
      subscriptionId: "s1",
      resourceGroup: "Shop",
      type: "microsoft.compute/virtualmachines",
      name: "Web",
      parentId: GROUP,
    });
    expect(parsePath(`${vm}/extensions/e`)).toMatchObject({
      type: "microsoft.compute/virtualmachines/extensions",
      name: "e",
      parentId: vm,
    });
    expect(parsePath(`${vm}/instanceView`)).toMatchObject({
      type: "microsoft.compute/virtualmachines/instanceview",
      parentId: vm,
    });
    expect(parsePath(vm.toUpperCase())?.type).toBe("microsoft.compute/virtualmachines");
  });

  it("name groups and collections", () => {
    expect(parsePath(GROUP)).toMatchObject({
      type: "microsoft.resources/resourcegroups",
      name: "Shop",
      parentId: undefined,
    });
    expect(parsePath("/subscriptions/s1/resourceGroups")).toMatchObject({
      type: "microsoft.resources/resourcegroups",
      name: undefined,
    });
    expect(parsePath(`${GROUP}/resources`)).toMatchObject({
      type: "microsoft.resources/resources",
      name: undefined,
      parentId: GROUP,
    });
    const usages = "/subscriptions/s1/providers/Microsoft.Compute/locations/x/usages";
    expect(parsePath(usages)).toMatchObject({
      type: "microsoft.compute/locations/usages",
      resourceGroup: undefined,
      name: undefined,
    });
  });

  it("are nothing else", () => {
    for (const text of [
      "",
      "/subscriptions/s1",
      "subscriptions/s1/resourceGroups/g",
      `${GROUP}/providers/A.B/`,
      `${GROUP}?x=1`,
      "https://x/y",
    ]) {
      expect(parsePath(text)).toBeUndefined();
    }
  });
});
