import { describe, expect, it } from "vitest";
import {
  formatAddress,
  nextFree,
  parseAddress,
  parsePrefix,
  usableRange,
} from "../../replication/planning/addresses.ts";
import type { PlanPurpose } from "../../replication/planning/plan.ts";
import { network, nic, planOf, refusedFor } from "./samples.ts";

const addressOf = (prefix: string, taken: readonly string[], source: string, purpose: PlanPurpose = "failover") => {
  const subnets = [{ name: "web", addressPrefix: prefix, takenAddresses: taken, delegated: false }];
  const [planned] = planOf({
    purpose,
    source: { nics: [nic("n", { address: source })] },
    facts: { networks: [network("hub-asr", { subnets })] },
  }).nics;
  return [planned?.address, planned?.whyAddress];
};

describe("addresses (Site Recovery's table of rules)", () => {
  it.each([
    ["the same, when it is free", "10.0.0.0/24", [], "10.0.0.19", "failover", "10.0.0.19", "same-address"],
    [
      "else the next free one",
      "10.0.0.0/24",
      ["10.0.0.19", "10.0.0.20"],
      "10.0.0.19",
      "failover",
      "10.0.0.21",
      "next-free-address",
    ],
    [
      "round the end of the subnet",
      "10.0.0.0/29",
      ["10.0.0.6", "10.0.0.4"],
      "10.0.0.6",
      "failover",
      "10.0.0.5",
      "next-free-address",
    ],
    [
      "in another address space the first free one",
      "10.7.0.0/24",
      ["10.7.0.4"],
      "10.0.0.19",
      "failover",
      "10.7.0.5",
      "next-free-address",
    ],
    [
      "a drill keeps it too, when it is free",
      "10.0.0.0/24",
      [],
      "10.0.0.19",
      "test-failover",
      "10.0.0.19",
      "same-address",
    ],
    [
      "else a drill counts from the end",
      "10.0.0.0/24",
      ["10.0.0.19"],
      "10.0.0.19",
      "test-failover",
      "10.0.0.254",
      "last-free-address",
    ],
    [
      "and further down",
      "10.0.0.0/24",
      ["10.0.0.19", "10.0.0.254"],
      "10.0.0.19",
      "test-failover",
      "10.0.0.253",
      "last-free-address",
    ],
    [
      "an address that Azure keeps in the target is not free",
      "10.0.0.16/28",
      [],
      "10.0.0.19",
      "failover",
      "10.0.0.20",
      "next-free-address",
    ],
    ["nor is the last of the subnet", "10.0.0.0/28", [], "10.0.0.15", "failover", "10.0.0.4", "next-free-address"],
  ] as const)("%s", (_title, prefix, taken, source, purpose, address, why) => {
    expect(addressOf(prefix, taken, source, purpose)).toEqual([address, why]);
  });

  it("a dynamic address stays dynamic", () => {
    const [planned] = planOf({ source: { nics: [nic("n", { allocation: "Dynamic" })] } }).nics;
    expect(planned).toMatchObject({ allocation: "Dynamic", address: undefined, whyAddress: "dynamic-address" });
  });

  it("no NIC takes as a substitute what another keeps", () => {
    const subnets = [{ name: "web", addressPrefix: "10.0.1.0/24", takenAddresses: ["10.0.1.10"], delegated: false }];
    const nics = [nic("a", { address: "10.0.1.10" }), nic("b", { primary: false, address: "10.0.1.11" })];
    const planned = planOf({ source: { nics }, facts: { networks: [network("hub-asr", { subnets })] } }).nics;
    expect(planned.map(({ address }) => address)).toEqual(["10.0.1.12", "10.0.1.11"]);
  });

  it("a full subnet, and a chosen address that is taken, are refused", () => {
    const full = (takenAddresses: readonly string[]) => ({
      networks: [
        network("hub-asr", {
          subnets: [{ name: "web", addressPrefix: "10.0.1.8/29", takenAddresses, delegated: false }],
        }),
      ],
    });
    expect(refusedFor({ facts: full(["10.0.1.12", "10.0.1.13", "10.0.1.14"]) })).toEqual(["no-free-address"]);
    const options = { nics: { [nic("web-1-nic").id.toLowerCase()]: { address: "10.0.1.12" } } };
    expect(refusedFor({ options, facts: full(["10.0.1.12"]) })).toEqual(["address-taken"]);
  });
});

describe("the arithmetic of addresses", () => {
  it("reads what it writes", () => {
    for (const text of ["0.0.0.0", "10.0.0.255", "255.255.255.255", "192.168.1.2"])
      expect(formatAddress(parseAddress(text) ?? -1)).toBe(text);
  });

  it.each(["10.0.0", "10.0.0.256", "10.0.0.01", "a.b.c.d", "", "1.2.3.4.5", "fd00::1"])("%s is no address", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it.each(["10.0.0.0", "10.0.0.1/24", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "x/8", "fd00::/48"])(
    "%s is no prefix",
    (text) => {
      expect(parsePrefix(text)).toBeUndefined();
    },
  );

  it("a /29 has three addresses for VMs and a /30 none", () => {
    expect(usableRange(parsePrefix("10.0.0.0/29") ?? { first: 0, last: 0 })).toEqual({
      first: 167_772_164,
      last: 167_772_166,
    });
    expect(usableRange(parsePrefix("10.0.0.0/30") ?? { first: 0, last: 0 })).toBeUndefined();
  });

  it("says when nothing is free", () => {
    expect(nextFree({ first: 5, last: 6 }, new Set([5, 6]), 5)).toBeUndefined();
    expect(nextFree({ first: 5, last: 6 }, new Set([6]), 6)).toBe(5);
  });
});
