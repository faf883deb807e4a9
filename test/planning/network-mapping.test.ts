import { it as property } from "@fast-check/vitest";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  MAPPING_REFUSALS,
  type MappingDecision,
  type NetworkMapping,
  changeMapping,
  deleteMapping,
  findMapping,
  mapNetworks,
} from "../../replication/planning/network-mapping.ts";

const map = (
  sourceNetworkId: string,
  targetNetworkId: string,
  sourceRegion = "west",
  targetRegion = "north",
): NetworkMapping => ({
  sourceNetworkId,
  sourceRegion,
  targetNetworkId,
  targetRegion,
});
const after = (decision: MappingDecision): readonly NetworkMapping[] => {
  if (decision.kind === "refused") throw new Error(MAPPING_REFUSALS[decision.reason]);
  return decision.mappings;
};

describe("network mappings", () => {
  it("there and back are made together", () => {
    expect(mapNetworks([], map("a", "b"))).toEqual({
      kind: "changed",
      mappings: [map("a", "b"), map("b", "a", "north", "west")],
      reverse: true,
    });
  });

  it("the same again changes nothing, in any case of the ids", () => {
    const both = after(mapNetworks([], map("a", "b")));
    expect(mapNetworks(both, map("A", "B", "West", "North"))).toEqual({ kind: "unchanged", mappings: both });
  });

  it("a network has one target in a region, and others in other regions", () => {
    const both = after(mapNetworks([], map("a", "b")));
    expect(mapNetworks(both, map("a", "c"))).toEqual({ kind: "refused", reason: "already-mapped" });
    expect(mapNetworks(both, map("a", "c", "west", "south"))).toMatchObject({ kind: "changed", reverse: true });
    expect(mapNetworks([], map("a", "b", "west", "West"))).toEqual({ kind: "refused", reason: "same-region" });
  });

  it("of two sources with one target the first keeps the way back", () => {
    const both = after(mapNetworks([], map("a1", "b")));
    const second = mapNetworks(both, map("a2", "b"));
    expect(second).toMatchObject({ kind: "changed", reverse: false });
    expect(findMapping(after(second), "b", "west")?.targetNetworkId).toBe("a1");
  });

  it("to change a target the way back is deleted first", () => {
    const both = after(mapNetworks([], map("a", "b")));
    expect(changeMapping(both, map("a", "c"))).toEqual({ kind: "refused", reason: "reverse-first" });
    const oneWay = after(deleteMapping(both, "b", "west"));
    expect(after(changeMapping(oneWay, map("a", "c")))).toEqual([map("a", "c"), map("c", "a", "north", "west")]);
    expect(changeMapping([], map("a", "c"))).toEqual({ kind: "refused", reason: "mapping-unknown" });
    expect(changeMapping(both, map("a", "B"))).toMatchObject({ kind: "unchanged" });
    expect(deleteMapping([], "a", "north")).toMatchObject({ kind: "unchanged" });
  });

  const step = fc.record({
    act: fc.constantFrom("map", "change", "delete"),
    source: fc.constantFrom("a1", "a2", "A1"),
    target: fc.constantFrom("b1", "b2"),
    back: fc.boolean(),
  });
  property.prop([fc.array(step, { maxLength: 30 })])(
    "whatever is done, every network has at most one target in a region",
    (steps) => {
      let mappings: readonly NetworkMapping[] = [];
      for (const { act, source, target, back } of steps) {
        const wanted = back ? map(target, source, "north", "west") : map(source, target);
        const decision =
          act === "map"
            ? mapNetworks(mappings, wanted)
            : act === "change"
              ? changeMapping(mappings, wanted)
              : deleteMapping(mappings, wanted.sourceNetworkId, wanted.targetRegion);
        if (decision.kind !== "refused") mappings = decision.mappings;
        const keys = mappings.map(({ sourceNetworkId, targetRegion }) =>
          `${sourceNetworkId}>${targetRegion}`.toLowerCase(),
        );
        expect(new Set(keys).size).toBe(keys.length);
      }
    },
  );
});
