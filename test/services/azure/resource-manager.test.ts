import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  startResourceManager,
  type ResourceManager as LocalResourceManager,
} from "@leeward/azure-local/resource-manager";
import { afterAll, beforeAll, describe } from "vitest";
import { openResourceManager } from "../../../azure/arm/resource-manager.ts";
import type { Change, ResourceManager } from "../../../replication/resources/resource-manager.ts";
import { resourceManagerContract } from "../../contracts/resource-manager.ts";

const SUBSCRIPTION = "00000000-0000-4000-8000-0000000000bb";
const TOKEN = "contract-token";
const REGION = "northeurope";

describe("the adapter of Azure Resource Manager on that of the local cloud, over HTTP", () => {
  let folder: string;
  let local: LocalResourceManager;
  let count = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "leeward-contract-"));
    local = await startResourceManager({
      folder,
      persistence: "memory",
      port: 0,
      subscriptionId: SUBSCRIPTION,
      token: TOKEN,
      accounts: [],
      now: () => Date.now(),
      pace: 0,
      // Fewer than a test lists: paging is used.
      pageCount: 2,
    });
  });
  afterAll(async () => {
    await local.close();
    await rm(folder, { recursive: true, force: true });
  });

  const open = (): ResourceManager =>
    openResourceManager({ endpoint: local.url, access: { kind: "token", token: TOKEN } }, { now: () => Date.now() });

  resourceManagerContract(async () => {
    const resourceManager = open();
    local.faults.clear();
    count += 1;
    const group = `/subscriptions/${SUBSCRIPTION}/resourceGroups/contract-${count}`;
    await resourceManager.begin({ kind: "put", id: group, body: { location: REGION } });
    return {
      resourceManager,
      reopen: open,
      subscriptionId: SUBSCRIPTION,
      region: REGION,
      group,
      strike: (change, how) => {
        const method = METHODS[change];
        const allocation = { code: "AllocationFailed", message: "There is no room." };
        const phases = {
          throttled: { phase: "throttle" },
          late: { phase: "async", ...allocation },
          allocation: { phase: "request", ...allocation },
          lost: { phase: "lost-answer" },
        } as const;
        local.faults.add({ method, times: 1, ...phases[how] });
      },
    };
  });
});

const METHODS: Readonly<Record<Change["kind"], string>> = { put: "PUT", patch: "PATCH", remove: "DELETE", act: "POST" };
