import { z } from "zod";
import { ArmError, invalidParameter, notSupported } from "../engine/arm-error.ts";
import { keyOf, lastName, sameId } from "../engine/ids.ts";
import type { ReferenceRule, ResourceRecord, World } from "../engine/resource-type.ts";
import { DISK_TYPE } from "./disks.ts";
import { ID, TAGS, ZONES } from "./shapes.ts";
import { checkSize } from "./sizes.ts";

const MANAGED_DISK = z.looseObject({ id: z.string() });
const ATTACHED = {
  createOption: z.string(),
  caching: z.string().optional(),
  deleteOption: z.enum(["Delete", "Detach"]).optional(),
};
const OS_DISK = z.looseObject({
  ...ATTACHED,
  osType: z.enum(["Linux", "Windows"]).optional(),
  managedDisk: MANAGED_DISK.optional(),
});
const DATA_DISK = z.looseObject({
  ...ATTACHED,
  lun: z.number().int().min(0).max(63),
  managedDisk: MANAGED_DISK.optional(),
});
const NIC = z.looseObject({
  id: z.string(),
  properties: z
    .looseObject({ primary: z.boolean().optional(), deleteOption: z.enum(["Delete", "Detach"]).optional() })
    .optional(),
});

export const MACHINE = z.looseObject({
  ...TAGS,
  ...ZONES,
  identity: z.looseObject({ type: z.string() }).optional(),
  properties: z.looseObject({
    hardwareProfile: z.looseObject({ vmSize: z.string() }),
    storageProfile: z.looseObject({ osDisk: OS_DISK, dataDisks: z.array(DATA_DISK).optional() }),
    networkProfile: z.looseObject({ networkInterfaces: z.array(NIC).min(1) }),
    availabilitySet: ID.optional(),
    securityProfile: z
      .looseObject({ securityType: z.string().optional(), uefiSettings: z.looseObject({}).optional() })
      .optional(),
  }),
});
export type MachineBody = z.infer<typeof MACHINE>;

/** OS disk first, then the data disks by LUN. */
export function attachedDisks(
  body: MachineBody,
): readonly { readonly id: string; readonly lun: number | undefined; readonly isDeleted: boolean }[] {
  const { osDisk, dataDisks = [] } = body.properties.storageProfile;
  const all = [{ ...osDisk, lun: undefined }, ...dataDisks.toSorted((one, other) => one.lun - other.lun)];
  return all.map(({ managedDisk, lun, deleteOption }) => ({
    id: managedDisk?.id ?? "",
    lun,
    isDeleted: deleteOption === "Delete",
  }));
}

export function attachedNics(body: MachineBody): readonly { readonly id: string; readonly isDeleted: boolean }[] {
  return body.properties.networkProfile.networkInterfaces.map(({ id, properties }) => ({
    id,
    isDeleted: properties?.deleteOption === "Delete",
  }));
}

export const MACHINE_REFERENCES: readonly ReferenceRule<MachineBody>[] = [
  { types: [DISK_TYPE], exclusive: true, find: (body) => attachedDisks(body).map(({ id }) => ({ id })) },
  {
    types: ["Microsoft.Network/networkInterfaces"],
    exclusive: true,
    shownAs: "virtualMachine",
    find: (body) => attachedNics(body).map(({ id }) => ({ id })),
  },
  {
    types: ["Microsoft.Compute/availabilitySets"],
    shownAs: "virtualMachines",
    isShownInUpperCase: true,
    find: ({ properties: { availabilitySet } }) => (availabilitySet === undefined ? [] : [{ id: availabilitySet.id }]),
  },
];

/** Checks everything that depends only on the machine's own model and size. */
export function checkMachine(draft: ResourceRecord<MachineBody>, world: World): void {
  const { properties, zones } = draft.body;
  refuseUnsupported(properties);
  const size = checkSize(properties.hardwareProfile.vmSize, draft, world);
  const { osDisk, dataDisks = [] } = properties.storageProfile;
  for (const disk of [osDisk, ...dataDisks]) {
    if (disk.createOption !== "Attach")
      throw notSupported(`disks of machines with createOption ${disk.createOption}: make the disk first and attach it`);
    if (disk.managedDisk === undefined)
      throw invalidParameter("Required parameter 'managedDisk.id' is missing (null).");
  }
  if (osDisk.osType === undefined) throw invalidParameter("Required parameter 'osDisk.osType' is missing (null).");
  if (properties["osProfile"] !== undefined)
    throw invalidParameter("Parameter 'osProfile' is not allowed when a specialized disk is attached.");
  if (dataDisks.length > size.dataDisks) {
    const message = `The maximum number of data disks allowed to be attached to a VM of this size is ${size.dataDisks}.`;
    throw new ArmError(409, "OperationNotAllowed", message);
  }
  for (const held of [attachedDisks(draft.body), attachedNics(draft.body)]) {
    const ids = held.map(({ id }) => keyOf(id));
    if (new Set(ids).size < ids.length)
      throw invalidParameter("A disk or a network interface is specified more than once.");
  }
  const luns = dataDisks.map(({ lun }) => lun);
  if (new Set(luns).size < luns.length) throw invalidParameter("A disk at the same LUN is specified more than once.");
  const nics = properties.networkProfile.networkInterfaces;
  if (nics.length > 1 && nics.filter((nic) => nic.properties?.primary === true).length !== 1) {
    throw invalidParameter(`Virtual machine ${draft.name} must have one network interface set as the primary.`);
  }
  if (properties.availabilitySet !== undefined && (zones ?? []).length > 0) {
    throw invalidParameter("A virtual machine cannot be in an availability set and in a zone.");
  }
  const { securityType, uefiSettings } = properties.securityProfile ?? {};
  if (uefiSettings !== undefined && securityType === undefined) {
    throw invalidParameter("Use of UEFI settings is not supported unless 'securityType' is set.");
  }
  checkZones(draft, world);
}

function refuseUnsupported(properties: MachineBody["properties"]): void {
  for (const name of [
    "virtualMachineScaleSet",
    "proximityPlacementGroup",
    "host",
    "hostGroup",
    "capacityReservation",
  ]) {
    if (properties[name] !== undefined) throw notSupported(`machines with ${name}`);
  }
}

function checkZones(draft: ResourceRecord<MachineBody>, world: World): void {
  const zone = draft.body.zones?.[0];
  for (const { id } of attachedDisks(draft.body)) {
    const disk = world.find(id);
    const { zones, sku } = (disk?.body ?? {}) as {
      readonly zones?: readonly string[];
      readonly sku?: { readonly name: string };
    };
    // A zone-redundant disk is in all zones and names none.
    if (disk === undefined || zones?.[0] === zone || sku?.name.endsWith("_ZRS") === true) continue;
    throw new ArmError(
      400,
      "BadRequest",
      `Disk ${disk.name} cannot be attached to the VM because it is not in zone '${zone ?? "none"}'.`,
    );
  }
}

/** Refuses changes of fixed properties. */
export function refuseChanges(draft: ResourceRecord<MachineBody>, previous: ResourceRecord<MachineBody>): void {
  const refuse = (name: string): never => {
    throw new ArmError(409, "PropertyChangeNotAllowed", `Changing property '${name}' is not allowed.`);
  };
  const before = previous.body.properties;
  const now = draft.body.properties;
  if (!sameId(now.availabilitySet?.id ?? "", before.availabilitySet?.id ?? "")) refuse("availabilitySet.id");
  if (!sameId(now.storageProfile.osDisk.managedDisk?.id ?? "", before.storageProfile.osDisk.managedDisk?.id ?? ""))
    refuse("osDisk.managedDisk.id");
  if (draft.body.zones?.[0] !== previous.body.zones?.[0]) refuse("zones");
}

/** The model as answered, with what Azure fills in. */
export function completedMachine(body: MachineBody, world: World): MachineBody {
  const { storageProfile, networkProfile } = body.properties;
  const complete = <Disk extends { readonly managedDisk?: { readonly id: string } | undefined }>(disk: Disk): Disk => {
    const record = world.find(disk.managedDisk?.id ?? "");
    const { diskSizeGB } = record?.body.properties ?? {};
    return {
      caching: "None",
      deleteOption: "Detach",
      ...disk,
      name: record?.name ?? lastName(disk.managedDisk?.id ?? ""),
      diskSizeGB,
    };
  };
  const { instanceView: _, ...properties } = body.properties;
  return {
    ...body,
    properties: {
      ...properties,
      storageProfile: {
        ...storageProfile,
        osDisk: complete(storageProfile.osDisk),
        dataDisks: (storageProfile.dataDisks ?? []).map(complete),
      },
      networkProfile: {
        ...networkProfile,
        networkInterfaces: networkProfile.networkInterfaces.map((nic) => ({ ...nic })),
      },
    },
  };
}
