import { describe } from "vitest";
import { resourceManagerContract } from "../contracts/resource-manager.ts";
import { memoryResourceManager } from "./memory-resource-manager.ts";

describe("the Resource Manager in memory", () => {
  resourceManagerContract(() => {
    const resourceManager = memoryResourceManager();
    const group = "/subscriptions/s1/resourceGroups/one";
    resourceManager.seed(group, { location: "northeurope" });
    return Promise.resolve({
      resourceManager,
      reopen: () => resourceManager,
      subscriptionId: "s1",
      region: "northeurope",
      group,
      strike: (change, how) => {
        const failure = { kind: "failed", code: "azure-no-capacity", azureCode: "AllocationFailed" } as const;
        const on = how === "late" ? "look" : "begin";
        const kinds = {
          throttled: { kind: "busy" },
          late: failure,
          allocation: failure,
          lost: { kind: "lost-answer" },
        } as const;
        resourceManager.fail({ on, change, times: 1, with: kinds[how] });
      },
    });
  });
});
