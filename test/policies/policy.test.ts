import { it as property } from "@fast-check/vitest";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import {
  DEFAULT_POLICY,
  type PolicyInMinutes,
  policyFromMinutes,
  policyInMinutes,
} from "../../replication/records/policy.ts";

const fieldOf = (given: PolicyInMinutes): unknown => {
  try {
    policyFromMinutes(given);
    return "accepted";
  } catch (error) {
    return error instanceof LeewardError ? error.facts["field"] : error;
  }
};

describe("a replication policy, in Site Recovery's minutes", () => {
  it("has Site Recovery's defaults", () => {
    expect(policyInMinutes(policyFromMinutes({}))).toEqual({
      recoveryPointHistory: 1440,
      crashConsistentFrequencyInMinutes: 5,
      appConsistentFrequencyInMinutes: 0,
      recoveryPointThresholdInMinutes: 15,
    });
  });

  it("changes what is named and keeps the rest", () => {
    const first = policyFromMinutes({ recoveryPointHistory: 4320, appConsistentFrequencyInMinutes: 60 });
    expect(first).toEqual({ ...DEFAULT_POLICY, retentionMs: 3 * 86_400_000, appConsistentIntervalMs: 3_600_000 });
    expect(policyFromMinutes({ appConsistentFrequencyInMinutes: 0 }, first)).toEqual({
      ...first,
      appConsistentIntervalMs: undefined,
    });
  });

  it.each([
    [{ recoveryPointHistory: 0 }, "accepted"],
    [{ recoveryPointHistory: 21_600 }, "accepted"],
    [{ recoveryPointHistory: 21_601 }, "policy.retentionMs"],
    [{ recoveryPointHistory: -1 }, "policy.retentionMs"],
    [{ crashConsistentFrequencyInMinutes: 0 }, "policy.pointIntervalMs"],
    [{ crashConsistentFrequencyInMinutes: 1 / 60 }, "accepted"],
    [{ crashConsistentFrequencyInMinutes: 1441 }, "policy.pointIntervalMs"],
    [{ appConsistentFrequencyInMinutes: 59 }, "appConsistentFrequencyInMinutes"],
    [{ appConsistentFrequencyInMinutes: 721 }, "appConsistentFrequencyInMinutes"],
    [{ appConsistentFrequencyInMinutes: 120, recoveryPointHistory: 60 }, "appConsistentFrequencyInMinutes"],
    [{ appConsistentFrequencyInMinutes: 60, crashConsistentFrequencyInMinutes: 61 }, "appConsistentFrequencyInMinutes"],
    [{ recoveryPointThresholdInMinutes: 0 }, "recoveryPointThresholdInMinutes"],
    [{ recoveryPointHistory: Number.NaN }, "policy.retentionMs"],
    [{ recoveryPointThresholdInMinutes: Infinity }, "recoveryPointThresholdInMinutes"],
  ] as const)("%o: %s", (given, outcome) => {
    expect(fieldOf(given)).toBe(outcome);
  });

  property.prop([
    fc.record({
      recoveryPointHistory: fc.integer({ min: 720, max: 21_600 }),
      crashConsistentFrequencyInMinutes: fc.integer({ min: 1, max: 60 }),
      appConsistentFrequencyInMinutes: fc.constantFrom(0, 60, 240, 720),
      recoveryPointThresholdInMinutes: fc.integer({ min: 1, max: 1440 }),
    }),
  ])("comes back from the interface as it went in", (given) => {
    expect(policyInMinutes(policyFromMinutes(given))).toEqual(given);
  });
});
