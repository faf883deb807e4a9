import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { AZURE_REQUEST_RATES } from "../../../resource-manager/engine/request-buckets.ts";
import {
  idOf,
  machineModel,
  makeDisk,
  makeNic,
  raw,
  type RawAnswer,
  REGION,
  startWorld,
  SUBSCRIPTION,
  type World,
} from "./world.ts";

const COMPUTE = "api-version=2026-04-01";
const DISK = "api-version=2026-03-02";
const GROUPS = "api-version=2025-04-01";
const MACHINE = "Microsoft.Compute/virtualMachines";
const GIB = 1024 ** 3;

let world: World;
/** The cloud's clock. Only tests move it, so operations take as long as on Azure. */
let nowMs = Date.now();
beforeAll(async () => {
  world = await startWorld({ pace: 1 });
  world.clock.now = () => nowMs;
});
afterAll(() => world.stop());
afterEach(() => world.arm.faults.clear());

const errorOf = ({ body }: RawAnswer): string =>
  String((body?.["error"] as { readonly code?: string } | undefined)?.code);
const stateOf = ({ body }: RawAnswer): unknown =>
  (body?.["properties"] as { readonly provisioningState?: string } | undefined)?.provisioningState;
const machine = (name: string, more = ""): string => `${idOf(MACHINE, name)}${more}?${COMPUTE}`;

/** Advances the clock until the resource's operation has ended, by `maxMs` at most. Returns how long it took. */
async function settled(path: string, maxMs = 600_000): Promise<{ readonly tookMs: number; readonly state: unknown }> {
  const startMs = nowMs;
  while (nowMs - startMs < maxMs) {
    // The work runs in real time, beside the requests, while the cloud's clock stands still.
    for (let poll = 0; poll < 20; poll++) await new Promise((resolve) => void setImmediate(resolve));
    const state = stateOf(await raw(world, "GET", path));
    if (state === "Succeeded" || state === "Failed") return { tookMs: nowMs - startMs, state };
    nowMs += 1_000;
  }
  throw new Error(`${path} takes longer than ${maxMs} ms.`);
}

/** Runs the work with a clock that advances by itself, so that the clients' polls end. */
async function quickly<Result>(work: () => Promise<Result>): Promise<Result> {
  world.clock.now = () => (nowMs += 5_000);
  try {
    return await work();
  } finally {
    world.clock.now = () => nowMs;
  }
}

async function putMachine(name: string, nic: string, os: string): Promise<RawAnswer> {
  const { location, ...properties } = machineModel(nic, os);
  return raw(world, "PUT", machine(name), { location, properties });
}

const partsOf = (name: string): Promise<readonly [string, string]> =>
  quickly(async () => [await makeNic(world, `${name}-nic`), await makeDisk(world, `${name}-os`)]);

describe("requests beyond Azure's rate", () => {
  it("are refused with 429 and Retry-After, count down in the headers, and are taken again in time", async () => {
    const groups = `/subscriptions/${SUBSCRIPTION}/resourceGroups?${GROUPS}`;
    world.arm.faults.limitRequests({ ...AZURE_REQUEST_RATES, reads: { size: 2, perSecond: 0.1 } });
    const header = "x-ms-ratelimit-remaining-subscription-reads";
    const answers = [await raw(world, "GET", groups), await raw(world, "GET", groups), await raw(world, "GET", groups)];
    expect(answers.map(({ status, headers }) => [status, headers.get(header), headers.get("retry-after")])).toEqual([
      [200, "1", null],
      [200, "0", null],
      [429, "0", "10"],
    ]);
    expect(answers.map(errorOf)[2]).toBe("SubscriptionRequestsThrottled");
    // A refused request takes nothing from the bucket.
    nowMs += 10_000;
    expect((await raw(world, "GET", groups)).status).toBe(200);
    expect((await raw(world, "GET", groups)).status).toBe(429);
    world.arm.faults.limitRequests(undefined);
    expect((await raw(world, "GET", groups)).headers.get(header)).toBe("249");
  });
});

describe("the power state of a machine while it changes", () => {
  it("is starting, stopping or deallocating until its operation ends, also when that fails", async () => {
    const [nic, os] = await partsOf("power");
    expect((await putMachine("power", nic, os)).status).toBe(201);
    await settled(machine("power"));
    const power = async (): Promise<unknown> => {
      const { body } = await raw(world, "GET", machine("power", "/instanceView"));
      const statuses = (body?.["statuses"] ?? []) as readonly { readonly code: string }[];
      return statuses.find(({ code }) => code.startsWith("PowerState/"))?.code.slice("PowerState/".length);
    };
    const seen: unknown[] = [await power()];
    for (const action of ["powerOff", "start", "deallocate", "start", "restart"]) {
      expect((await raw(world, "POST", machine("power", `/${action}`))).status).toBe(202);
      seen.push(await power());
      await settled(machine("power"));
      seen.push(await power());
    }
    const starts = ["starting", "running"];
    expect(seen).toEqual([
      "running",
      "stopping",
      "stopped",
      ...starts,
      "deallocating",
      "deallocated",
      ...starts,
      ...starts,
    ]);
    world.arm.faults.add({ phase: "async", method: "POST", action: "powerOff", times: 1 });
    await raw(world, "POST", machine("power", "/powerOff"));
    expect([await power(), (await settled(machine("power"))).state, await power()]).toEqual([
      "stopping",
      "Failed",
      "running",
    ]);
  });
});

describe("the interface of a machine that could not be made", () => {
  it("is reserved for it for three minutes, and free for it at once", async () => {
    const [nic, os] = await partsOf("reserved");
    world.arm.faults.add({ phase: "async", method: "PUT", type: MACHINE, code: "AllocationFailed", times: 2 });
    await putMachine("reserved", nic, os);
    expect((await settled(machine("reserved"))).state).toBe("Failed");
    const failedMs = nowMs;
    expect((await putMachine("reserved", nic, os)).status).toBe(200);
    expect((await settled(machine("reserved"))).state).toBe("Failed");
    const deleted = await raw(world, "DELETE", machine("reserved"));
    expect(deleted.status).toBe(202);
    while ((await raw(world, "GET", machine("reserved"))).status === 200) nowMs += 1_000;
    const refused = await putMachine("other", nic, os);
    expect([refused.status, errorOf(refused)]).toEqual([400, "NicReservedForAnotherVm"]);
    expect(JSON.stringify(refused.body)).toContain(idOf(MACHINE, "reserved"));
    nowMs = failedMs + 179_000;
    expect(errorOf(await putMachine("other", nic, os))).toBe("NicReservedForAnotherVm");
    nowMs += 60_000;
    expect((await putMachine("other", nic, os)).status).toBe(201);
    expect((await settled(machine("other"))).state).toBe("Succeeded");
  });
});

describe("random allocation failures", () => {
  it("fail the operation of an accepted request with AllocationFailed, by the seed", async () => {
    const [nic, os] = await partsOf("random");
    world.arm.faults.failAllocations({ ratio: 1, seed: 7 });
    expect((await putMachine("random", nic, os)).status).toBe(201);
    expect((await settled(machine("random"))).state).toBe("Failed");
    const view = await raw(world, "GET", machine("random", "/instanceView"));
    expect(JSON.stringify(view.body)).toContain("ProvisioningState/failed/AllocationFailed");
    world.arm.faults.failAllocations({ ratio: 0, seed: 7 });
    expect((await putMachine("random", nic, os)).status).toBe(200);
    expect((await settled(machine("random"))).state).toBe("Succeeded");
  });
});

describe("durations by size", () => {
  const diskOf = (name: string): string => `${idOf("Microsoft.Compute/disks", name)}?${DISK}`;
  const stateAt = async (name: string): Promise<unknown> => stateOf(await raw(world, "GET", diskOf(name)));
  const copy = (name: string, source: string) =>
    raw(world, "PUT", diskOf(name), {
      location: REGION,
      properties: { creationData: { createOption: "Copy", sourceResourceId: source } },
    });
  /** Waits in real time, while the cloud's clock stands still. */
  async function untilDone(name: string): Promise<void> {
    while ((await stateAt(name)) !== "Succeeded") await new Promise((resolve) => void setImmediate(resolve));
  }

  it("make a copy take as long as its bytes need, and add nothing when switched off", async () => {
    const source = await quickly(() => makeDisk(world, "large"));
    await copy("plain", source);
    nowMs += 4_000;
    await untilDone("plain");

    world.arm.faults.timeBySize(true);
    await copy("timed", source);
    const { body } = await raw(world, "GET", diskOf("timed"));
    const uniqueId = String((body?.["properties"] as { readonly uniqueId?: string } | undefined)?.uniqueId);
    const bytesMs = Math.round((GIB * 1_000) / (60 * 1024 * 1024));
    nowMs += 4_000 + bytesMs - 1;
    const files = (): Promise<string[]> => readdir(join(world.folder, "arm", "disks"));
    while (!(await files()).includes(`${uniqueId}.img`)) await new Promise((resolve) => void setImmediate(resolve));
    for (let poll = 0; poll < 50; poll++) expect(await stateAt("timed")).toBe("Updating");
    nowMs += 1;
    await untilDone("timed");

    // A change of tags copies no bytes.
    await raw(world, "PATCH", diskOf("timed"), { tags: { t: "1" } });
    nowMs += 4_000;
    await untilDone("timed");
  });
});
