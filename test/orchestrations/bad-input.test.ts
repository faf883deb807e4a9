import { describe, expect, it } from "vitest";
import { isErrorCode } from "../../replication/errors.ts";
import type { JobRecord } from "../../replication/jobs/job.ts";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import type { OperationRequest } from "../../replication/operations/request.ts";
import { listMappings } from "../../replication/planning/mapping-records.ts";
import type { PlanOptions } from "../../replication/planning/options.ts";
import { PLAN_REFUSALS, type PlanRefusalCode } from "../../replication/planning/plan.ts";
import { readCatalog } from "../../replication/points/catalog.ts";
import type { PointRequest } from "../../replication/points/choose-point.ts";
import { readLedger } from "../../replication/resources/ledger-record.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import type { MemoryResourceManager } from "../memory/memory-resource-manager.ts";
import { SOURCE_GROUP, TARGET_GROUP } from "../planning/samples.ts";
import { disks, withProperties } from "../resources/samples.ts";
import { type FlowWorld, SOURCE_VM, TARGET_VM, enable, flowWorld, plainOperation, protectedWorld } from "./world.ts";

const DATA_DISK = `${SOURCE_GROUP}/providers/Microsoft.Compute/disks/web-1-data`;
const HUB = `${TARGET_GROUP}/providers/Microsoft.Network/virtualNetworks/hub-asr`;
const COMPUTE_USAGES = "/subscriptions/s1/providers/Microsoft.Compute/locations/northeurope/usages";
const northeurope = { location: "northeurope" };
const [, dataDisk = {}] = disks;

/** What stands in the way of protecting the machine: in the source, in the target region, or in the request. */
interface Obstacle {
  readonly name: string;
  readonly lay?: (resourceManager: MemoryResourceManager) => void;
  readonly sourceVmId?: string;
  readonly options?: Partial<PlanOptions>;
  readonly refusal: PlanRefusalCode;
  /** The message begins with it: what the operator has to look at. */
  readonly subject: string;
  /** The obstacle goes, or the operator chooses something else. */
  readonly clear?: (resourceManager: MemoryResourceManager) => void;
  readonly other?: Partial<PlanOptions>;
}

const seedDisk =
  (disk: ResourceJson) =>
  (resourceManager: MemoryResourceManager): void =>
    resourceManager.seed(DATA_DISK, disk);
const clearDisk = seedDisk(dataDisk);
const group = (resourceManager: MemoryResourceManager): void => resourceManager.seed(TARGET_GROUP, northeurope);

/** A network of the target region with room for three machines. */
function seedHub(resourceManager: MemoryResourceManager): void {
  group(resourceManager);
  const subnets = [{ id: `${HUB}/subnets/web`, name: "web", properties: { addressPrefix: "10.0.1.0/29" } }];
  resourceManager.seed(HUB, {
    ...northeurope,
    properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] }, subnets },
  });
}

function seedNic(resourceManager: MemoryResourceManager, address: string): void {
  const properties = {
    privateIPAddress: address,
    privateIPAllocationMethod: "Static",
    subnet: { id: `${HUB}/subnets/web` },
  };
  resourceManager.seed(`${TARGET_GROUP}/providers/Microsoft.Network/networkInterfaces/nic-${address}`, {
    ...northeurope,
    properties: { ipConfigurations: [{ name: "one", properties }] },
  });
}

const OBSTACLES: readonly Obstacle[] = [
  { name: "an unknown VM", sourceVmId: `${SOURCE_VM}-gone`, refusal: "inventory-invalid", subject: "web-1-gone" },
  { name: "an id that is no VM's", sourceVmId: "web-1", refusal: "inventory-invalid", subject: "web-1" },
  {
    name: "an ultra disk",
    lay: seedDisk({ ...dataDisk, sku: { name: "UltraSSD_LRS" } }),
    refusal: "disk-kind-unsupported",
    subject: "web-1-data",
    clear: clearDisk,
  },
  {
    name: "a shared disk",
    lay: seedDisk(withProperties(dataDisk, { maxShares: 2 })),
    refusal: "disk-kind-unsupported",
    subject: "web-1-data",
    clear: clearDisk,
  },
  {
    name: "a disk that is too large",
    lay: seedDisk(withProperties(dataDisk, { diskSizeGB: 8 * 1024 })),
    refusal: "disk-size-unsupported",
    subject: "web-1-data",
    clear: clearDisk,
  },
  {
    name: "a target region that is the source's",
    options: { targetRegion: "West Europe" },
    refusal: "target-region-is-source",
    subject: "targetRegion",
  },
  {
    name: "a name that is taken",
    lay: (resourceManager) => {
      group(resourceManager);
      resourceManager.seed(TARGET_VM, { ...northeurope, properties: {} });
    },
    refusal: "name-taken",
    subject: "web-1",
    other: { machineName: "web-1-dr" },
  },
  {
    name: "an address space that clashes with a peer's",
    lay: seedHub,
    options: { network: { kind: "new", name: "dr", peerWith: [HUB] } },
    refusal: "address-space-clash",
    subject: "network",
    other: {
      network: {
        kind: "new",
        name: "dr",
        addressPrefixes: ["10.9.0.0/16"],
        subnets: [{ name: "web", addressPrefix: "10.9.0.0/24" }],
      },
    },
  },
  {
    name: "a subnet without a free address",
    lay: (resourceManager) => {
      seedHub(resourceManager);
      for (const last of [4, 5, 6]) seedNic(resourceManager, `10.0.1.${last}`);
    },
    refusal: "no-free-address",
    subject: "web-1-nic",
    other: {
      network: {
        kind: "new",
        name: "dr",
        addressPrefixes: ["10.9.0.0/16"],
        subnets: [{ name: "web", addressPrefix: "10.9.0.0/24" }],
      },
    },
  },
  {
    name: "a quota that is too small",
    lay: (resourceManager) =>
      resourceManager.seedList(COMPUTE_USAGES, [
        { name: { value: "cores" }, currentValue: 97, limit: 100, unit: "Count" },
      ]),
    refusal: "quota-short",
    subject: "web-1",
    clear: (resourceManager) => resourceManager.seedList(COMPUTE_USAGES, []),
  },
];

const failOverTo = (point: PointRequest): OperationRequest => ({
  operation: "UnplannedFailover",
  itemId: "web-1",
  requestId: undefined,
  point,
  shutDownSource: false,
});

const enableWith = (sourceVmId: string, options: Partial<PlanOptions>, itemId = "web-1"): OperationRequest => ({
  operation: "EnableProtection",
  itemId,
  requestId: undefined,
  sourceVmId,
  options: { targetRegion: "northeurope", ...options },
  policy: undefined,
});

/** Everything that stands anywhere but for the records of the item's jobs. */
async function standing(world: FlowWorld): Promise<object> {
  const resources = [...world.resourceManager.resources].map(([id, resource]) => [id, structuredClone(resource)]);
  const isOwn = (name: string): boolean => /^management web-1 (jobs\/|managed\.json|ledger\.json)/.test(name);
  const stored = Object.entries(world.dump()).filter(([name]) => !isOwn(name));
  return { resources, stored, mappings: await listMappings(world.context.control) };
}

/** The job says what is wrong, about what, and what to do. */
function clearError({ state, errors }: JobRecord): object {
  return {
    state,
    errors: errors.map(({ taskName, code, message, hint }) => ({
      taskName,
      code,
      closed: isErrorCode(code),
      message,
      hint,
    })),
  };
}

describe.each(OBSTACLES)(
  "enabling protection with $name",
  ({ lay, sourceVmId = SOURCE_VM, options = {}, refusal, subject, clear, other = {} }) => {
    it("fails with a clear error, leaves nothing behind, and is done when the request is right", async () => {
      const world = flowWorld();
      lay?.(world.resourceManager);
      const before = await standing(world);
      const job = await world.operate(enableWith(sourceVmId, options));
      expect(clearError(job)).toEqual({
        state: "Failed",
        errors: [
          {
            taskName: "CheckPrerequisites",
            code: "invalid-request",
            closed: true,
            message: expect.stringMatching(new RegExp(`^${subject}: .*\\(${refusal}\\)$`)),
            hint: PLAN_REFUSALS[refusal],
          },
        ],
      });
      expect(await standing(world)).toEqual(before);
      expect((await readLedger(world.stores, "web-1")).entries).toEqual([]);
      expect((await readManaged(world.stores, "web-1")).plan).toBeUndefined();
      clear?.(world.resourceManager);
      expect(clearError(await world.operate(enableWith(SOURCE_VM, other)))).toEqual({ state: "Succeeded", errors: [] });
    });
  },
);

describe("a failover", () => {
  it("to a point of another item makes nothing, and can be asked for again", async () => {
    const world = await protectedWorld();
    // So that the other's point has a name that no point of this item has.
    await world.pass(1000);
    expect((await world.operate(enableWith(SOURCE_VM, { machineName: "web-2" }, "web-2"))).state).toBe("Succeeded");
    const own = (await readCatalog(world.stores.records("web-1"))).points.map(({ pointId }) => pointId);
    const others = (await readCatalog(world.stores.records("web-2"))).points.map(({ pointId }) => pointId);
    const pointId = others.find((each) => !own.includes(each)) ?? "";
    expect(pointId).not.toBe("");
    const before = await standing(world);
    const ledger = await readLedger(world.stores, "web-1");
    const job = await world.operate(failOverTo({ kind: "Custom", pointId }));
    expect(clearError(job)).toEqual({
      state: "Failed",
      errors: [
        {
          taskName: "ChooseRecoveryPoint",
          code: "point-unknown",
          closed: true,
          message: expect.stringContaining(pointId),
          hint: expect.stringContaining("List the recovery points"),
        },
      ],
    });
    expect(await standing(world)).toEqual(before);
    expect(await readLedger(world.stores, "web-1")).toEqual(ledger);
    expect(clearError(await world.operate(failOverTo({ kind: "LatestProcessed" })))).toEqual({
      state: "Succeeded",
      errors: [],
    });
  });

  it.each([
    [
      "Commit before a failover",
      plainOperation("Commit"),
      "not-failed-over",
      "DisableProtection, UnplannedFailover, RepairReplication",
    ],
    [
      "EnableProtection of what is protected",
      enable(),
      "already-protected",
      "DisableProtection, UnplannedFailover, RepairReplication",
    ],
  ])("%s is refused with what is possible, and changes nothing", async (_name, request, reason, allowedOperations) => {
    const world = await protectedWorld();
    const before = await standing(world);
    const managed = await readManaged(world.stores, "web-1");
    await expect(world.ask(request)).rejects.toMatchObject({
      code: "operation-not-allowed",
      message: expect.stringContaining(request.operation),
      hint: `Possible now: ${allowedOperations}.`,
      facts: { itemId: "web-1", reason, allowedOperations },
    });
    expect(await standing(world)).toEqual(before);
    expect(await readManaged(world.stores, "web-1")).toEqual(managed);
  });
});
