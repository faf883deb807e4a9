import { ARM_MACHINE_DISK_MS } from "../../limits.ts";
import { ArmError } from "../engine/arm-error.ts";
import { lastName } from "../engine/ids.ts";
import { isObject, type JsonObject, textOf } from "../engine/json.ts";
import { present } from "../engine/present.ts";
import type { ResourceRecord, ResourceType, Runtime, Verb, World } from "../engine/resource-type.ts";
import { readCommand, type MachineDisk } from "../machines/machine-program.ts";
import { refuseWithAccess } from "./disk-access.ts";
import { refuseWhileCopied } from "./disks.ts";
import { instanceView, type PowerState } from "./instance-view.ts";
import {
  attachedDisks,
  attachedNics,
  checkMachine,
  completedMachine,
  MACHINE,
  MACHINE_REFERENCES,
  refuseChanges,
  type MachineBody,
} from "./machine-body.ts";
import { checkCapabilities, completedIdentity } from "./machine-capabilities.ts";
import { refuseReservedNics, reserveNics } from "./nic-reservation.ts";
import { COMPUTE_VERSION } from "./shapes.ts";

const MACHINE_TYPE = "Microsoft.Compute/virtualMachines";
type Machine = ResourceRecord<MachineBody>;
const disksMs = ({ body }: Machine): number => attachedDisks(body).length * ARM_MACHINE_DISK_MS;

const put: Verb<MachineBody> = {
  form: "async-operation",
  durationMs: 25_000,
  state: "Creating",
  // A stopped or deallocated machine stays so, whatever changes in its model.
  work: async (record, runtime) => (isOff(record) ? {} : bringUp(record, runtime)),
  bySizeMs: disksMs,
  failed: reserveNics,
  settle: (record, world, result) => (isOff(record) ? record : withPower(record, "running", world, result)),
};

const remove: Verb<MachineBody> = {
  form: "async-operation-and-location",
  durationMs: 15_000,
  state: "Deleting",
  work: async (record, runtime) => {
    await runtime.machines.remove(vmIdOf(record));
    for (const disk of attachedDisks(record.body).filter(({ isDeleted }) => isDeleted)) {
      const found = runtime.world().find(disk.id);
      if (found !== undefined) await runtime.disks.remove(textOf(found.hidden, "uniqueId"));
    }
  },
  settle: (record, world) => {
    const leaving = [...attachedDisks(record.body), ...attachedNics(record.body)].filter(({ isDeleted }) => isDeleted);
    for (const { id } of leaving) world.remove(world.find(id)?.key ?? "");
    return record;
  },
};

const start: Verb<MachineBody> = {
  form: "async-operation-and-location",
  durationMs: 20_000,
  state: "Updating",
  transition: "starting",
  bySizeMs: disksMs,
  check: (record, world) => {
    for (const { id } of attachedDisks(record.body)) refuseWhileCopied(world.find(id) ?? record, world);
  },
  work: bringUp,
  settle: (record, world, result) => withPower(record, "running", world, result),
};

const stop = (power: PowerState, transition: string, durationMs: number): Verb<MachineBody> => ({
  form: "async-operation-and-location",
  durationMs,
  state: "Updating",
  transition,
  work: (record, runtime) => runtime.machines.halt(vmIdOf(record)),
  settle: (record, world) => withPower(record, power, world, {}),
});

export const virtualMachines: ResourceType<MachineBody> = {
  name: MACHINE_TYPE,
  apiVersion: COMPUTE_VERSION,
  naming: /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?$/,
  schema: MACHINE,
  members: ["zones", "identity", "plan"],
  etagInBody: true,
  put: { ...put, created: 201, updated: 200 },
  patch: "as-put",
  delete: remove,
  actions: {
    start,
    restart: { ...start, work: restart },
    powerOff: stop("stopped", "stopping", 10_000),
    deallocate: stop("deallocated", "deallocating", 20_000),
  },
  views: { instanceView: { show: instanceView } },
  references: MACHINE_REFERENCES,
  admit: (draft, world, previous) => {
    checkMachine(draft, world);
    checkCapabilities(draft, world);
    refuseReservedNics(draft, world);
    const attached = new Set(
      previous === undefined ? [] : attachedDisks(previous.body).map(({ id }) => world.find(id)?.key),
    );
    for (const { id } of attachedDisks(draft.body)) {
      const disk = world.find(id);
      if (disk === undefined || attached.has(disk.key)) continue;
      refuseWithAccess(disk, world);
      refuseWhileCopied(disk, world);
    }
    if (previous !== undefined) {
      refuseChanges(draft, previous);
      refuseHotChange(draft, previous, world);
    }
    const vmId = previous === undefined ? world.newGuid() : vmIdOf(previous);
    const timeCreated = previous?.body.properties["timeCreated"] ?? new Date(world.nowMs).toISOString();
    const { identity: given, ...body } = completedMachine(draft.body, world);
    const identity = completedIdentity(given, previous?.body.identity, world);
    const { userData = draft.hidden["userData"], ...properties } = body.properties;
    return {
      ...draft,
      hidden: { ...draft.hidden, vmId, userData },
      body: {
        ...body,
        ...(identity === undefined ? {} : { identity: { ...identity, type: given?.type ?? "" } }),
        properties: { ...properties, vmId, timeCreated },
      },
    };
  },
  project: (record, world, query) => {
    const extensions = world.children(record.id);
    const resources = extensions.map((extension) => present(extension, world.typeOf(extension.type), world));
    const expanded = (query.get("$expand") ?? "").toLowerCase().split(",");
    const { userData } = record.hidden;
    return {
      members: resources.length === 0 ? {} : { resources },
      properties: {
        ...(expanded.includes("instanceview") ? { instanceView: instanceView(record, world) } : {}),
        ...(expanded.includes("userdata") && userData !== undefined ? { userData } : {}),
      },
    };
  },
};

/** Runs the machine on its disks, without its services. */
export async function boot(record: Machine, runtime: Runtime): Promise<void> {
  runtime.machines.boot({ vmId: vmIdOf(record), disks: await machineDisks(record, runtime) });
}

/**
 * Runs the machine on its disks with its extensions' services; leaves running ones alone. A service that fails to start
 * is reported by its extension, not by the machine.
 */
export async function bringUp(record: Machine, runtime: Runtime): Promise<JsonObject> {
  const world = runtime.world();
  const vmId = vmIdOf(record);
  await boot(record, runtime);
  const faults: Record<string, JsonObject> = {};
  for (const extension of world.children(record.id)) {
    // A refused first installation is not retried.
    if (extension.provisioningState === "Failed" && extension.hidden["wasInstalled"] !== true) continue;
    if (runtime.machines.find(vmId)?.program?.running === true) continue;
    try {
      await runtime.machines.install(vmId, readCommand(extension.hidden["protectedSettings"]));
    } catch (error) {
      if (!(error instanceof ArmError)) throw error;
      faults[extension.key] = { code: error.code, message: error.message };
    }
  }
  return { faults };
}

async function restart(record: Machine, runtime: Runtime): Promise<JsonObject> {
  await runtime.machines.halt(vmIdOf(record));
  return bringUp(record, runtime);
}

async function machineDisks(record: Machine, runtime: Runtime): Promise<readonly MachineDisk[]> {
  const disks: MachineDisk[] = [];
  for (const { id, lun } of attachedDisks(record.body)) {
    const uniqueId = String(runtime.world().find(id)?.hidden["uniqueId"]);
    const sizeBytes = await runtime.disks.sizeBytes(uniqueId);
    if (sizeBytes === undefined)
      throw new ArmError(409, "DiskFileMissing", `The disk ${id} has no file in this cloud.`);
    disks.push({
      name: runtime.world().find(id)?.name ?? lastName(id),
      lun,
      path: runtime.disks.path(uniqueId),
      sizeBytes,
    });
  }
  return disks;
}

/** The machine's power, and its extensions' results when it came up. */
export function withPower(record: Machine, power: PowerState, world: World, result: JsonObject): Machine {
  const faults = isObject(result["faults"]) ? result["faults"] : {};
  for (const extension of power === "running" ? world.children(record.id) : []) {
    const lastError = faults[extension.key];
    const { lastError: _, ...hidden } = extension.hidden;
    if (lastError !== undefined)
      world.put({ ...extension, provisioningState: "Failed", hidden: { ...hidden, lastError } });
    else if (hidden["wasInstalled"] === true) world.put({ ...extension, provisioningState: "Succeeded", hidden });
  }
  return { ...record, hidden: { ...record.hidden, power } };
}

/** Refuses to remove a disk while a program writes to it. */
function refuseHotChange(draft: Machine, previous: Machine, world: World): void {
  if (previous.hidden["power"] !== "running" || world.children(previous.id).length === 0) return;
  const idsOf = (machine: Machine): string =>
    attachedDisks(machine.body)
      .map(({ id, lun }) => `${id.toLowerCase()}@${lun}`)
      .join();
  if (idsOf(draft) === idsOf(previous)) return;
  throw new ArmError(
    409,
    "OperationNotAllowed",
    "Disks cannot be attached or detached while a program of the machine's extension runs: stop the machine first.",
  );
}

const isOff = (record: Machine): boolean =>
  record.hidden["power"] === "stopped" || record.hidden["power"] === "deallocated";

export const vmIdOf = (record: ResourceRecord): string => textOf(record.hidden, "vmId");
