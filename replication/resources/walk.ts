import { LeewardError } from "../errors.ts";
import type { PlannedNic, PlannedResource, TargetPlan } from "../planning/plan.ts";
import {
  NIC_CONFIGURATION,
  type RestoredSources,
  availabilitySetBody,
  diskBody,
  machineBody,
  networkBody,
  nicBody,
  resourceGroupBody,
  storageAccountBody,
} from "./bodies.ts";
import { partOf } from "./json.ts";
import type { LedgerKind, LedgerRole } from "./ledger.ts";
import type { ResourceJson } from "./resource-manager.ts";
import { type Owner, tagsFor } from "./tags.ts";

/** One resource that a flow ensures: `judgeStep` decides what to do, given what a read found. Plain JSON. */
export interface ResourceStep {
  readonly id: string;
  /** For the ledger, and for the job's messages. */
  readonly kind: LedgerKind;
  readonly role: LedgerRole;
  readonly name: string;
  /** `create`: made when missing. `verify`: must exist, and is never changed. */
  readonly action: "create" | "verify";
  /** The body of the PUT; undefined when there is none to send. */
  readonly body: ResourceJson | undefined;
  /** What an existing resource must have: every part of this, whatever else it has. */
  readonly required: ResourceJson;
}

/** One stage after another; the steps of a stage in parallel. */
export type Walk = readonly (readonly ResourceStep[])[];

/** What enabling protection makes: everything that items share. The disks are page blobs until a failover. */
export function protectionWalk(plan: TargetPlan, owner: Owner): Walk {
  const tags = tagsFor(owner);
  const accounts = [plan.cacheAccount, plan.targetAccount].map((account) => {
    const body = storageAccountBody(account, tags);
    return step(account, "storage-account", "shared", body, {
      location: account.region,
      ...(account.action === "create" ? partsOf(body, "kind", "sku") : {}),
    });
  });
  return stages([groupStep(plan, tags)], [...placeSteps(plan, tags), ...accounts]);
}

/**
 * What a failover or a test failover makes, in order. Includes the shared parts: they may have been removed meanwhile,
 * and a drill has its own network. Errors: `internal` when a disk of the plan was not restored.
 */
export function failoverWalk(plan: TargetPlan, owner: Owner, restored: RestoredSources): Walk {
  const tags = tagsFor(owner);
  const role: LedgerRole = plan.purpose === "failover" ? "failover" : "test-failover";
  const nicStep = (nic: PlannedNic): ResourceStep => {
    const body = nicBody(plan, nic, tags);
    return step(nic, "network-interface", role, body, { location: nic.region, ...nicRequirement(plan, nic) });
  };
  const disks = plan.disks.map((planned) => {
    const sourceUri = restored.urls[planned.sourceId.toLowerCase()];
    if (sourceUri === undefined) throw new LeewardError("internal", `The disk ${planned.sourceId} was not restored.`);
    const body = diskBody(plan, planned, { sourceUri, storageAccountId: restored.storageAccountId }, tags);
    // The blob that it was made from: another blob means another recovery point.
    return step(planned.disk, "disk", role, body, {
      location: planned.disk.region,
      properties: partsOf(partOf(body, "properties"), "creationData"),
    });
  });
  return stages(
    [groupStep(plan, tags)],
    placeSteps(plan, tags),
    // Static addresses first, so that Azure gives none of them to a dynamic NIC.
    [...disks, ...plan.nics.filter(({ allocation }) => allocation === "Static").map(nicStep)],
    plan.nics.filter(({ allocation }) => allocation === "Dynamic").map(nicStep),
    [
      step(
        plan.machine,
        "virtual-machine",
        role,
        machineBody(plan, tagsFor(owner, plan.machine.tags)),
        machineRequirement(plan),
      ),
    ],
  );
}

function groupStep(plan: TargetPlan, tags: Readonly<Record<string, string>>): ResourceStep {
  const { resourceGroup } = plan;
  return step(resourceGroup, "resource-group", "shared", resourceGroupBody(plan, tags), {
    location: resourceGroup.region,
  });
}

/** The network and the availability set: shared, except a new network that an operator requested for one drill. */
function placeSteps(plan: TargetPlan, tags: Readonly<Record<string, string>>): readonly ResourceStep[] {
  const { network, availabilitySet, purpose, nics } = plan;
  const isOfDrill = purpose === "test-failover" && network.action === "create" && network.why === "customised";
  const role: LedgerRole = isOfDrill ? "test-failover" : "shared";
  const used = network.subnets.filter(({ name }) => nics.some(({ subnetName }) => subnetName === name));
  const subnets = used.map(({ name, addressPrefix }) => ({ name, properties: { addressPrefix } }));
  const networkStep = step(network, "virtual-network", role, networkBody(plan, tags), {
    location: network.region,
    properties: { subnets },
  });
  if (availabilitySet === undefined) return [networkStep];
  const required = { location: availabilitySet.region, sku: { name: "Aligned" } };
  return [
    networkStep,
    step(availabilitySet, "availability-set", "shared", availabilitySetBody(availabilitySet, tags), required),
  ];
}

function nicRequirement({ network }: TargetPlan, nic: PlannedNic): ResourceJson {
  const properties = {
    subnet: { id: `${network.id}/subnets/${nic.subnetName}` },
    privateIPAllocationMethod: nic.allocation,
    ...(nic.address === undefined ? {} : { privateIPAddress: nic.address }),
  };
  return { properties: { ipConfigurations: [{ name: NIC_CONFIGURATION, properties }] } };
}

/** Only the disks and NICs: an operator may change the rest afterwards. */
function machineRequirement({ machine, disks, nics }: TargetPlan): ResourceJson {
  const attached = disks.map(({ lun, disk }) => ({ lun, managedDisk: { id: disk.id } }));
  const [osDisk] = attached.filter(({ lun }) => lun === undefined).map(({ managedDisk }) => ({ managedDisk }));
  const storageProfile = { osDisk, dataDisks: attached.filter(({ lun }) => lun !== undefined) };
  return {
    location: machine.region,
    properties: { storageProfile, networkProfile: { networkInterfaces: nics.map(({ id }) => ({ id })) } },
  };
}

function step(
  planned: PlannedResource,
  kind: LedgerKind,
  role: LedgerRole,
  body: ResourceJson,
  required: ResourceJson,
): ResourceStep {
  const { id, name, action } = planned;
  return action === "create"
    ? { id, kind, role, name, action: "create", body, required }
    : { id, kind, role, name, action: "verify", body: undefined, required };
}

function partsOf(value: unknown, ...names: readonly string[]): ResourceJson {
  return Object.fromEntries(names.map((name) => [name, partOf(value, name)]));
}

const stages = (...all: Walk): Walk => all.filter((stage) => stage.length > 0);
