import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { type JobRecord, stateDescription } from "../../replication/jobs/job.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import { AZURE_LAG_MS } from "../../replication/limits.ts";
import { textOf } from "../../replication/resources/json.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import {
  type FlowWorld,
  SOURCE_VM,
  TARGET_VM,
  enable,
  failover,
  flowWorld,
  plainOperation,
  protectedWorld,
} from "./world.ts";

const GROUP = "/subscriptions/s1/resourceGroups/shop-asr";
const ADDED_DISK = `${GROUP}/providers/Microsoft.Compute/disks/operators-own`;
const ALWAYS = Number.POSITIVE_INFINITY;

const stands = (world: FlowWorld, id: string): boolean => world.resourceManager.resources.has(id.toLowerCase());
const disable = (world: FlowWorld, itemId?: string): Promise<JobRecord> =>
  world.operate(plainOperation("DisableProtection", itemId));
const stateOf = async (world: FlowWorld): Promise<string> => (await readManaged(world.stores, "web-1")).situation.state;
const networkOf = async (world: FlowWorld): Promise<string> =>
  (await readManaged(world.stores, "web-1")).plan?.network.id ?? "";
const leftIds = (job: JobRecord): readonly string[] => (job.leftovers ?? []).map(({ id }) => id);
const removals = (world: FlowWorld): readonly string[] =>
  world.resourceManager.requests.flatMap((request) =>
    request.startsWith("begin remove ") ? [request.slice("begin remove ".length)] : [],
  );

/** A second item in the same group and network. */
async function withSecondItem(): Promise<FlowWorld> {
  const world = await protectedWorld();
  const second = { ...enable("web-2"), options: { targetRegion: "northeurope", machineName: "web-2" } } as ReturnType<
    typeof enable
  >;
  expect((await world.operate(second)).errors).toEqual([]);
  return world;
}

describe("a resource group that Leeward made", () => {
  it("stays when protection ends, with what an operator has put into it and no list shows yet, and the job names it", async () => {
    const world = await protectedWorld();
    world.resourceManager.seed(ADDED_DISK, { location: "northeurope", tags: {} });
    const real = { ...world.resourceManager };
    world.resourceManager.list = async (collection, filter) =>
      /\/resources$/i.test(collection) ? [] : real.list(collection, filter);
    const job = await disable(world);
    expect([job.state, job.errors, leftIds(job)]).toEqual(["Succeeded", [], [GROUP]]);
    expect([stands(world, ADDED_DISK), stands(world, GROUP), stands(world, await networkOf(world))]).toEqual([
      true,
      true,
      false,
    ]);
    expect(removals(world)).not.toContain(GROUP);
    expect(job.leftovers?.[0]?.hint).toContain("az group delete --name shop-asr --subscription s1");
    expect(stateDescription(job)).toBe("CompletedWithInformation");
    expect((await readLedger(world.stores, "web-1")).entries).toEqual([]);
  });

  it("stays and is named too while a list still shows what has just gone", async () => {
    const world = await protectedWorld();
    const real = { ...world.resourceManager };
    const gone = await real.list(`${GROUP}/resources`);
    world.resourceManager.list = async (collection, filter) =>
      /\/resources$/i.test(collection) ? gone : real.list(collection, filter);
    const job = await disable(world);
    expect([job.state, leftIds(job), stands(world, await networkOf(world))]).toEqual(["Succeeded", [GROUP], false]);
  });

  it("is nothing that is left over while another item uses it", async () => {
    const world = await withSecondItem();
    const job = await disable(world);
    expect([leftIds(job), stateDescription(job)]).toEqual([[], "Completed"]);
    expect(leftIds(await disable(world, "web-2"))).toEqual([GROUP]);
  });

  it("stays with the network in it, and both are named, when the ledger of another item cannot be read", async () => {
    const world = await withSecondItem();
    const network = await networkOf(world);
    await world.stores.management("web-2").put("ledger.json", new TextEncoder().encode('{"sha256":"'));
    const job = await disable(world);
    expect([job.state, stands(world, network)]).toEqual(["Succeeded", true]);
    expect(leftIds(job)).toEqual(expect.arrayContaining([GROUP, network]));
    expect(job.leftovers?.find(({ id }) => id === network)?.message).toContain("web-2");
  });

  it("is found and used again by the next protection", async () => {
    const world = await protectedWorld();
    await disable(world);
    expect((await world.operate(enable())).errors).toEqual([]);
    const { entries } = await readLedger(world.stores, "web-1");
    expect(entries).toContainEqual(expect.objectContaining({ id: GROUP, state: "created" }));
  });
});

describe("what holds other things", () => {
  it("a storage account that enabling made is never removed: its bytes are not all the item's", async () => {
    const world = flowWorld();
    const accounts = [...world.resourceManager.resources.keys()].filter((id) => id.includes("storageaccounts/"));
    for (const id of accounts) world.resourceManager.seed(id, { location: "elsewhere" });
    expect((await world.operate(enable())).errors).toEqual([]);
    const made = (await readLedger(world.stores, "web-1")).entries.flatMap(({ id, kind }) =>
      kind === "storage-account" ? [id] : [],
    );
    expect(made).toHaveLength(2);
    const job = await disable(world);
    expect(made.map((id) => stands(world, id))).toEqual([true, true]);
    expect(leftIds(job)).toEqual(expect.arrayContaining(made));
  });

  it("a network to which others have added a subnet stays and is named", async () => {
    const world = await protectedWorld();
    const id = await networkOf(world);
    const found = (await world.resourceManager.read(id)) ?? {};
    const subnets = [
      { name: "web", properties: {} },
      { name: "operators-own", properties: { addressPrefix: "10.0.9.0/24" } },
    ];
    world.resourceManager.seed(id, { ...found, properties: { ...(found["properties"] as object), subnets } });
    const job = await disable(world);
    expect(job.state).toBe("Succeeded");
    expect(stands(world, id)).toBe(true);
    expect(job.leftovers).toContainEqual(
      expect.objectContaining({ id, message: expect.stringContaining("operators-own") }),
    );
  });
});

describe("what this item's ledger has made and Azure does not know yet", () => {
  const missing = (azureCode: string, message?: string) =>
    ({
      kind: "failed",
      code: "azure-resource-missing",
      azureCode,
      ...(message === undefined ? {} : { message }),
    }) as const;

  it.each([
    ["ResourceGroupNotFound", "Resource group 'shop-asr' could not be found."],
    ["InvalidResourceReference", `Resource ${GROUP} was not found.`],
  ])("is waited for while enabling: %s", async (azureCode, message) => {
    const world = flowWorld();
    world.resourceManager.fail({
      on: "begin",
      change: "put",
      id: "virtualNetworks/",
      times: 3,
      with: missing(azureCode, message),
    });
    expect(await world.operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
  });

  it.each(["begin", "look"] as const)(
    "is waited for while the machine is made, whether Azure says so at once or later: %s",
    async (on) => {
      const world = await protectedWorld();
      world.resourceManager.fail({
        on,
        change: "put",
        id: "virtualMachines/web-1",
        times: 3,
        with: missing("NotFound"),
      });
      expect(await world.operate(failover())).toMatchObject({ state: "Succeeded", errors: [] });
    },
  );

  it("is told as an error when it does not come within the window", async () => {
    const world = await protectedWorld();
    world.resourceManager.fail({
      on: "begin",
      change: "put",
      id: "virtualMachines/web-1",
      times: ALWAYS,
      with: missing("NotFound"),
    });
    const beganMs = world.context.clock.now();
    const job = await world.operate(failover());
    expect(job).toMatchObject({
      state: "Failed",
      errors: [{ taskName: "CreateMachine", code: "azure-resource-missing" }],
    });
    const tookMs = world.context.clock.now() - beganMs;
    expect(tookMs).toBeGreaterThanOrEqual(AZURE_LAG_MS);
    expect(tookMs).toBeLessThan(2 * AZURE_LAG_MS);
  });

  it("differs from what others have made: that is gone, and said at once", async () => {
    const world = await protectedWorld();
    const foreign = missing(
      "InvalidResourceReference",
      "Resource /subscriptions/s1/resourceGroups/hub/providers/P/t/nsg was not found.",
    );
    world.resourceManager.fail({ on: "begin", change: "put", id: "virtualMachines/web-1", times: 1, with: foreign });
    const beganMs = world.context.clock.now();
    expect(await world.operate(failover())).toMatchObject({
      state: "Failed",
      errors: [{ code: "azure-resource-missing" }],
    });
    expect(world.context.clock.now() - beganMs).toBeLessThan(AZURE_LAG_MS / 2);
  });

  it("a network that stands and is not shown is not sent again over what others added to it", async () => {
    const world = await protectedWorld();
    const id = await networkOf(world);
    const real = { ...world.resourceManager };
    let hidden = 2;
    world.resourceManager.read = async (asked) => (asked === id && (hidden -= 1) >= 0 ? undefined : real.read(asked));
    expect(await world.operate(failover())).toMatchObject({ state: "Succeeded", errors: [] });
    expect(world.resourceManager.requests.filter((request) => request === `begin put ${id}`)).toHaveLength(1);
  });

  it("nor is one that another item's ledger has made a moment ago, and a PUT replaces nothing that came in between", async () => {
    const world = await protectedWorld();
    const id = await networkOf(world);
    const found = await world.resourceManager.read(id);
    const real = { ...world.resourceManager };
    // An old entry: only the request itself can know better.
    await world.pass(2 * AZURE_LAG_MS);
    let hidden = 3;
    world.resourceManager.read = async (asked) => (asked === id && (hidden -= 1) >= 0 ? undefined : real.read(asked));
    expect(await world.operate(failover())).toMatchObject({ state: "Succeeded", errors: [] });
    expect(textOf(await real.read(id), "tags", "leeward-job")).toBe(textOf(found, "tags", "leeward-job"));
  });
});

describe("what Azure still calls in use", () => {
  const inUse = (azureCode: string, message?: string) =>
    ({
      kind: "failed",
      code: "azure-resource-conflict",
      azureCode,
      ...(message === undefined ? {} : { message }),
    }) as const;
  const onNetwork = { on: "begin", change: "remove", id: "virtualNetworks" } as const;

  it("is asked again: a network whose subnet was in use for a moment goes", async () => {
    const world = await protectedWorld();
    world.resourceManager.fail({ ...onNetwork, times: 3, with: inUse("InUseSubnetCannotBeDeleted") });
    const job = await disable(world);
    expect([job.state, leftIds(job), stands(world, await networkOf(world))]).toEqual(["Succeeded", [GROUP], false]);
  });

  it("is asked again when it names what this ledger has just removed", async () => {
    const world = await protectedWorld();
    const id = await networkOf(world);
    await world.operate(failover());
    // The failover is given up by disabling before its machine counts as the operator's.
    const nic = `${GROUP}/providers/Microsoft.Network/networkInterfaces/web-1-nic`;
    world.resourceManager.fail({
      ...onNetwork,
      times: 2,
      with: inUse(
        "InUseSubnetCannotBeDeleted",
        `Subnet web is in use by ${nic}/ipConfigurations/one and cannot be deleted.`,
      ),
    });
    await world.operate(plainOperation("Commit"));
    const job = await disable(world);
    // What was handed over stays, so its user is the operator's, and the network stays for it.
    expect([job.state, stands(world, id)]).toEqual(["Succeeded", true]);
    expect(job.leftovers).toContainEqual(expect.objectContaining({ id, message: expect.stringContaining(nic) }));
  });

  it("stays and is named when somebody else uses it", async () => {
    const world = await protectedWorld();
    const id = await networkOf(world);
    const user = "/subscriptions/s1/resourceGroups/others/providers/Microsoft.Network/networkInterfaces/theirs";
    world.resourceManager.fail({
      ...onNetwork,
      times: 1,
      with: inUse("InUseSubnetCannotBeDeleted", `Subnet web is in use by ${user}.`),
    });
    const job = await disable(world);
    expect([job.state, stands(world, id), stateDescription(job)]).toEqual([
      "Succeeded",
      true,
      "CompletedWithInformation",
    ]);
    expect(job.leftovers).toContainEqual(expect.objectContaining({ id, message: expect.stringContaining(user) }));
  });

  it("fails the job when it never ends, and disabling again removes it", async () => {
    const world = await protectedWorld();
    const id = await networkOf(world);
    let isStuck = true;
    const real = { ...world.resourceManager };
    world.resourceManager.begin = async (change) =>
      isStuck && change.kind === "remove" && change.id === id
        ? { ...inUse("InUseSubnetCannotBeDeleted"), message: "Subnet web is in use.", retryable: false }
        : real.begin(change);
    const beganMs = world.context.clock.now();
    expect(await disable(world)).toMatchObject({ state: "Failed", errors: [{ code: "azure-resource-conflict" }] });
    expect(world.context.clock.now() - beganMs).toBeGreaterThanOrEqual(AZURE_LAG_MS);
    isStuck = false;
    expect(await disable(world)).toMatchObject({ state: "Succeeded", errors: [] });
    expect(stands(world, id)).toBe(false);
  });

  it("does not fail a second failover for a NIC that the first one's machine held", async () => {
    const world = await protectedWorld();
    const quota = { kind: "failed", code: "azure-quota-exceeded" } as const;
    world.resourceManager.fail({ on: "begin", change: "put", id: "virtualMachines", times: 1, with: quota });
    expect((await world.operate(failover())).state).toBe("Failed");
    world.resourceManager.fail({
      on: "begin",
      change: "remove",
      id: "networkInterfaces",
      times: 2,
      with: inUse("NicInUse", `Network Interface is used by existing resource ${TARGET_VM}.`),
    });
    expect(await world.operate(failover())).toMatchObject({ state: "Succeeded", errors: [] });
  });

  it("fails a failover whose old disk somebody else has attached: it is not taken from them", async () => {
    const world = await protectedWorld();
    const quota = { kind: "failed", code: "azure-quota-exceeded" } as const;
    world.resourceManager.fail({ on: "begin", change: "put", id: "virtualMachines", times: 1, with: quota });
    await world.operate(failover());
    const user = "/subscriptions/s1/resourceGroups/others/providers/Microsoft.Compute/virtualMachines/theirs";
    world.resourceManager.fail({
      on: "begin",
      change: "remove",
      id: "/disks/",
      times: 1,
      with: inUse("OperationNotAllowed", `Attached to ${user}.`),
    });
    const job = await world.operate(failover());
    expect(job).toMatchObject({
      state: "Failed",
      errors: [{ taskName: "CheckPrerequisites", code: "azure-resource-conflict" }],
    });
    expect(job.errors[0]?.message).toContain(user);
  });
});

describe("what passes by itself", () => {
  const refusal = (storageCode: string) => new LeewardError("store-refused", "Refused on purpose.", { storageCode });
  const refusing = (storageCode: string, times: number): FlowWorld => {
    let left = times;
    return flowWorld({
      around: async (call, run) => {
        if (call.port === "disks" && (left -= 1) >= 0) throw refusal(storageCode);
        return run();
      },
    });
  };

  it.each(["AuthorizationPermissionMismatch", "AuthorizationFailure"])(
    "a role that does not count yet: %s",
    async (storageCode) => {
      expect(await refusing(storageCode, 3).operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
      const never = await refusing(storageCode, ALWAYS).operate(enable());
      expect(never).toMatchObject({ state: "Failed", errors: [{ code: "store-refused" }] });
    },
  );

  it("is told from a refusal for good", async () => {
    expect(await refusing("AuthenticationFailed", 1).operate(enable())).toMatchObject({ state: "Failed" });
  });

  it("a throttled read: as late as Azure asks for", async () => {
    const world = flowWorld();
    const real = { ...world.resourceManager };
    let asked = 0;
    world.resourceManager.read = async (id) => {
      if (id === SOURCE_VM && (asked += 1) === 1)
        throw new LeewardError("azure-unavailable", "Throttled.", { retryAfterMs: 123_000 });
      return real.read(id);
    };
    const beganMs = world.context.clock.now();
    expect(await world.operate(enable())).toMatchObject({ state: "Succeeded", errors: [] });
    expect(world.context.clock.now() - beganMs).toBeGreaterThanOrEqual(123_000);
  });

  it("but a failover does not wait for that while it shuts the source down", async () => {
    const world = await protectedWorld();
    const real = { ...world.resourceManager };
    world.resourceManager.read = async (id) => {
      if (id.startsWith(`${SOURCE_VM}/instanceView`))
        throw new LeewardError("azure-unavailable", "Throttled.", { retryAfterMs: 600_000 });
      return real.read(id);
    };
    const beganMs = world.context.clock.now();
    expect(await world.operate(failover())).toMatchObject({
      state: "Succeeded",
      errors: [{ taskName: "ShutDownSource" }],
    });
    expect(world.context.clock.now() - beganMs).toBeLessThan(120_000);
  });
});

describe("what Azure still shows after it was removed", () => {
  it("is looked at again before the job says that something is left", async () => {
    const world = await protectedWorld();
    const id = await networkOf(world);
    const found = await world.resourceManager.read(id);
    const real = { ...world.resourceManager };
    let shown = 3;
    world.resourceManager.read = async (asked) =>
      asked === id && !stands(world, id) && (shown -= 1) >= 0 ? found : real.read(asked);
    expect(await disable(world)).toMatchObject({ state: "Succeeded", errors: [] });
    expect(shown).toBeLessThan(0);
  });

  it("fails the job after some minutes and is named; disabling again removes it", async () => {
    const world = await protectedWorld();
    const id = await networkOf(world);
    const found = (await world.resourceManager.read(id)) ?? {};
    const real = { ...world.resourceManager };
    let isHaunted = true;
    world.resourceManager.read = async (asked) =>
      asked === id && isHaunted ? ((await real.read(asked)) ?? found) : real.read(asked);
    const failed = await disable(world);
    expect(failed).toMatchObject({ state: "Failed", errors: [{ taskName: "ProveNothingLeft" }] });
    expect(failed.errors[0]?.message).toContain(id);
    expect(await stateOf(world)).toBe("DisableFailed");
    world.resourceManager.seed(id, found);
    isHaunted = false;
    expect(await disable(world)).toMatchObject({ state: "Succeeded", errors: [] });
    expect(stands(world, id)).toBe(false);
  });
});
