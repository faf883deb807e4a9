import { describe, expect, it } from "vitest";
import { allocationFailures } from "../../resource-manager/engine/allocation-failures.ts";
import { ArmError } from "../../resource-manager/engine/arm-error.ts";
import { AZURE_REQUEST_RATES, createRequestBuckets } from "../../resource-manager/engine/request-buckets.ts";

function take(buckets: ReturnType<typeof createRequestBuckets>, method: string, nowMs: number): number | "taken" {
  try {
    buckets.take(method, nowMs);
    return "taken";
  } catch (error) {
    if (!(error instanceof ArmError) || error.status !== 429) throw error;
    return error.retryAfterSeconds ?? 0;
  }
}

describe("request buckets", () => {
  it("have Azure's limits, refill over time up to their size, and are separate by kind of request", () => {
    const buckets = createRequestBuckets();
    buckets.limit(AZURE_REQUEST_RATES);
    for (let at = 0; at < 200; at++) expect(take(buckets, at % 2 === 0 ? "PUT" : "POST", 0)).toBe("taken");
    expect([take(buckets, "PATCH", 0), buckets.left("PUT", 0)]).toEqual([1, 0]);
    expect([take(buckets, "DELETE", 0), take(buckets, "GET", 0)]).toEqual(["taken", "taken"]);
    expect([buckets.left("DELETE", 0), buckets.left("HEAD", 0)]).toEqual([199, 249]);
    expect(take(buckets, "PUT", 99)).toBe(1);
    expect(take(buckets, "PUT", 100)).toBe("taken");
    expect([buckets.left("PUT", 1_100), buckets.left("PUT", 60_000), buckets.left("GET", 60_000)]).toEqual([
      10, 200, 250,
    ]);
  });

  it("of a slow rate say how long to wait; without limits every request is taken", () => {
    const buckets = createRequestBuckets();
    const slow = { size: 1, perSecond: 0.01 };
    buckets.limit({ ...AZURE_REQUEST_RATES, reads: slow });
    expect([take(buckets, "GET", 0), take(buckets, "GET", 10_000)]).toEqual(["taken", 90]);
    buckets.limit(undefined);
    expect([take(buckets, "GET", 0), take(buckets, "GET", 0), buckets.left("GET", 0)]).toEqual(["taken", "taken", 249]);
  });
});

describe("allocation failures of machines", () => {
  const machine = { method: "PUT", type: "Microsoft.Compute/virtualMachines", action: undefined };
  const failsOf = (seed: number): string => {
    const fails = allocationFailures({ ratio: 0.3, seed });
    return Array.from({ length: 400 }, () => (fails(machine) === undefined ? "-" : "x")).join("");
  };

  it("repeat with the same seed, differ with another, and are about as frequent as asked for", () => {
    expect(failsOf(1)).toBe(failsOf(1));
    expect(failsOf(1)).not.toBe(failsOf(2));
    const failed = failsOf(1).replaceAll("-", "").length;
    expect(failed).toBeGreaterThan(80);
    expect(failed).toBeLessThan(160);
  });

  it("happen only when a machine is made or started", () => {
    const fails = allocationFailures({ ratio: 1, seed: 1 });
    expect(fails(machine)?.code).toBe("AllocationFailed");
    expect(fails({ ...machine, method: "POST", action: "start" })?.code).toBe("AllocationFailed");
    expect(fails({ ...machine, method: "POST", action: "deallocate" })).toBeUndefined();
    expect(fails({ ...machine, method: "DELETE" })).toBeUndefined();
    expect(fails({ ...machine, type: "Microsoft.Compute/disks" })).toBeUndefined();
  });
});
