import { z } from "zod";
import { ARM_DISK_MAX_GIB, ARM_IMPORT_BYTES_PER_SECOND } from "../../limits.ts";
import { accountOf, importVhd } from "../disks/import-vhd.ts";
import { ArmError, invalidParameter, notSupported } from "../engine/arm-error.ts";
import { keyOf } from "../engine/ids.ts";
import { textOf } from "../engine/json.ts";
import type { ReferenceRule, ResourceRecord, ResourceType, Runtime, Verb, World } from "../engine/resource-type.ts";
import { beginGetAccess, endGetAccess, hasAccess, refuseWithAccess } from "./disk-access.ts";
import { COMMON_NAME, DISK_VERSION, SKU, TAGS, ZONES } from "./shapes.ts";
import { STORAGE_ACCOUNT_TYPE } from "./storage-accounts.ts";

const GIB = 1024 ** 3;
const BODY = z.looseObject({
  ...TAGS,
  ...ZONES,
  sku: SKU.optional(),
  properties: z.looseObject({
    creationData: z.looseObject({
      createOption: z.string(),
      sourceUri: z.string().optional(),
      storageAccountId: z.string().optional(),
      sourceResourceId: z.string().optional(),
    }),
    diskSizeGB: z.number().int().min(1).max(ARM_DISK_MAX_GIB).optional(),
    osType: z.enum(["Linux", "Windows"]).optional(),
    hyperVGeneration: z.enum(["V1", "V2"]).optional(),
  }),
});
type Body = z.infer<typeof BODY>;

export const DISK_TYPE = "Microsoft.Compute/disks";
const SNAPSHOT_TYPE = "Microsoft.Compute/snapshots";
const MACHINE_TYPE = "Microsoft.Compute/virtualMachines";

/** The sources of disks and snapshots. */
const SOURCES: readonly ReferenceRule<Body>[] = [
  {
    types: [STORAGE_ACCOUNT_TYPE],
    isSource: true,
    find: ({ properties: { creationData } }) =>
      creationData.createOption === "Import" && creationData.storageAccountId !== undefined
        ? [{ id: creationData.storageAccountId }]
        : [],
  },
  {
    types: [DISK_TYPE, SNAPSHOT_TYPE],
    isSource: true,
    find: ({ properties: { creationData } }) =>
      creationData.createOption === "Copy" && creationData.sourceResourceId !== undefined
        ? [{ id: creationData.sourceResourceId }]
        : [],
  },
];

const put: Verb<Body> = {
  form: "async-operation-and-location",
  durationMs: 4_000,
  state: "Updating",
  work: async (record, runtime) => {
    const uniqueId = textOf(record.hidden, "uniqueId");
    const isNew = (await runtime.disks.sizeBytes(uniqueId)) === undefined;
    if (isNew) await fill(record, uniqueId, runtime);
    const { diskSizeGB } = record.body.properties;
    if (diskSizeGB !== undefined && record.hidden["growsTo"] === diskSizeGB)
      await runtime.disks.grow(uniqueId, diskSizeGB * GIB);
    const sizeBytes = (await runtime.disks.sizeBytes(uniqueId)) ?? 0;
    if (diskSizeGB !== undefined && sizeBytes > diskSizeGB * GIB) {
      throw invalidParameter(`The disk size of ${diskSizeGB} GB is smaller than its source of ${sizeBytes} bytes.`);
    }
    const isFilled = isNew && record.body.properties.creationData.createOption !== "Empty";
    return { sizeBytes, filledBytes: isFilled ? sizeBytes : 0 };
  },
  bySizeMs: (_record, result) => (Number(result["filledBytes"]) / ARM_IMPORT_BYTES_PER_SECOND) * 1_000,
  settle: (record, _world, result) => {
    const sizeBytes = Number(result["sizeBytes"]);
    const sizes = { diskSizeBytes: sizeBytes, diskSizeGB: Math.ceil(sizeBytes / GIB) };
    return { ...record, body: { ...record.body, properties: { ...record.body.properties, ...sizes } } };
  },
};

const remove: Verb<Body> = {
  form: "async-operation-and-location",
  durationMs: 1_000,
  state: "Deleting",
  check: (record, world) => {
    refuseWithAccess(record, world);
    refuseWhileCopied(record, world);
  },
  work: (record, runtime) => runtime.disks.remove(textOf(record.hidden, "uniqueId")),
};

export const disks: ResourceType<Body> = {
  name: DISK_TYPE,
  apiVersion: DISK_VERSION,
  naming: COMMON_NAME,
  schema: BODY,
  members: ["sku", "zones"],
  etagInBody: false,
  put: { ...put, created: 202, updated: 202 },
  patch: "as-put",
  delete: remove,
  actions: { beginGetAccess: beginGetAccess<Body>(refuseRunning), endGetAccess: endGetAccess<Body>() },
  references: SOURCES,
  inUse: (disk, user) => new ArmError(409, "OperationNotAllowed", `Disk ${disk.name} is attached to VM ${user.id}.`),
  admit: (draft, world, previous) => {
    if (previous !== undefined) refuseShrinkAndHotGrow(draft, previous, world);
    return admitted(draft, world, previous);
  },
  project: (record, world) => {
    const machine = holderOf(record, world);
    return {
      members: machine === undefined ? {} : { managedBy: machine.id },
      properties: { diskState: diskState(record, machine, world) },
    };
  },
};

/** Full copies, whatever `incremental` says. */
export const snapshots: ResourceType<Body> = {
  ...disks,
  name: SNAPSHOT_TYPE,
  actions: { beginGetAccess: beginGetAccess<Body>(() => {}), endGetAccess: endGetAccess<Body>() },
  inUse: (snapshot, user) =>
    new ArmError(409, "OperationNotAllowed", `Snapshot ${snapshot.name} is used by ${user.id}.`),
  admit: (draft, world, previous) => {
    const { creationData } = draft.body.properties;
    if (creationData.createOption !== "Copy")
      throw notSupported(`snapshots with createOption ${creationData.createOption}`);
    return admitted(
      { ...draft, body: { ...draft.body, sku: draft.body.sku ?? { name: "Standard_LRS" } } },
      world,
      previous,
    );
  },
  project: (record, world) => ({ properties: { diskState: hasAccess(record, world) ? "ActiveSAS" : "Unattached" } }),
};

function admitted(
  draft: ResourceRecord<Body>,
  world: World,
  previous: ResourceRecord<Body> | undefined,
): ResourceRecord<Body> {
  const { creationData } = draft.body.properties;
  if (previous === undefined) checkCreation(draft, world);
  else if (changed(creationData, previous.body.properties.creationData)) {
    throw new ArmError(409, "PropertyChangeNotAllowed", "Changing property 'creationData' is not allowed.");
  }
  // Values only Azure sets: sending back what was read changes none, least of all the file's id.
  const { diskState: _, diskSizeBytes: _bytes, uniqueId: _id, timeCreated: _time, ...given } = draft.body.properties;
  const uniqueId = previous === undefined ? world.newGuid() : textOf(previous.hidden, "uniqueId");
  const grown = given.diskSizeGB !== undefined && given.diskSizeGB !== previous?.body.properties.diskSizeGB;
  const before = previous?.body.properties ?? {};
  const properties: Body["properties"] = {
    networkAccessPolicy: "AllowAll",
    publicNetworkAccess: "Enabled",
    encryption: { type: "EncryptionAtRestWithPlatformKey" },
    timeCreated: new Date(world.nowMs).toISOString(),
    ...before,
    ...given,
    uniqueId,
  };
  const sku = { ...(draft.body.sku ?? previous?.body.sku ?? { name: "Standard_LRS" }) };
  const hidden = { ...draft.hidden, uniqueId, ...(grown ? { growsTo: given.diskSizeGB } : {}) };
  return { ...draft, hidden, body: { ...draft.body, sku: { ...sku, tier: sku.name.split("_")[0] ?? "" }, properties } };
}

function checkCreation(draft: ResourceRecord<Body>, world: World): void {
  const { creationData, diskSizeGB } = draft.body.properties;
  const { createOption, sourceUri, storageAccountId, sourceResourceId } = creationData;
  const need = (name: string, value: unknown): void => {
    if (value === undefined) throw invalidParameter(`Required parameter '${name}' is missing (null).`);
  };
  if (createOption === "Empty") return need("diskSizeGB", diskSizeGB);
  if (createOption === "Import") {
    need("creationData.sourceUri", sourceUri);
    need("creationData.storageAccountId", storageAccountId);
    const account = accountOf(sourceUri ?? "", world.facts.accounts);
    if (keyOf(storageAccountId ?? "").endsWith(`/${account.name}`)) return;
    throw invalidParameter(`The blob ${sourceUri} is not in the storage account ${storageAccountId}.`);
  }
  if (createOption !== "Copy") throw notSupported(`disks with createOption ${createOption}`);
  need("creationData.sourceResourceId", sourceResourceId);
  const source = world.find(sourceResourceId ?? "");
  if (source !== undefined && source.type === DISK_TYPE && isRunning(holderOf(source, world))) {
    throw notSupported("copies of a disk while its machine runs: stop or deallocate it first");
  }
}

/** What a client read and sends again counts as unchanged. */
function changed(given: Body["properties"]["creationData"], before: Body["properties"]["creationData"]): boolean {
  const names = ["createOption", "sourceUri", "storageAccountId", "sourceResourceId"] as const;
  return names.some((name) => given[name] !== undefined && keyOf(given[name]) !== keyOf(before[name] ?? ""));
}

function refuseShrinkAndHotGrow(draft: ResourceRecord<Body>, previous: ResourceRecord<Body>, world: World): void {
  const [wanted, before] = [draft.body.properties.diskSizeGB, previous.body.properties.diskSizeGB];
  if (wanted === undefined || before === undefined || wanted === before) return;
  const refuse = (message: string): never => {
    throw new ArmError(409, "OperationNotAllowed", message);
  };
  if (wanted < before) refuse(`Shrinking of disk ${draft.name} is not supported: its size is ${before} GB.`);
  if (isRunning(holderOf(previous, world)))
    refuse(`Disk ${draft.name} cannot be resized while it is attached to a running VM.`);
}

async function fill(record: ResourceRecord<Body>, uniqueId: string, runtime: Runtime): Promise<void> {
  const { creationData, diskSizeGB = 1 } = record.body.properties;
  const { createOption, sourceUri = "", sourceResourceId = "" } = creationData;
  if (createOption === "Empty") return runtime.disks.create(uniqueId, (file) => file.truncate(diskSizeGB * GIB));
  if (createOption === "Import") {
    const account = accountOf(sourceUri, runtime.world().facts.accounts);
    return runtime.disks.create(uniqueId, (file, signal) => importVhd(sourceUri, account, file, signal));
  }
  const source = runtime.world().find(sourceResourceId);
  if (source === undefined) throw new ArmError(404, "ResourceNotFound", `The source ${sourceResourceId} is gone.`);
  return runtime.disks.copy(textOf(source.hidden, "uniqueId"), uniqueId);
}

/** A copy takes time here, and its source must not change until it is done. */
export function refuseWhileCopied(disk: ResourceRecord, world: World): void {
  const isCopy = ({ type, provisioningState }: ResourceRecord): boolean =>
    [DISK_TYPE, SNAPSHOT_TYPE].includes(type) && !["Succeeded", "Failed"].includes(provisioningState);
  const copy = world.usersOf(disk.id).find(({ record }) => isCopy(record))?.record;
  if (copy !== undefined) throw new ArmError(409, "Conflict", `Disk ${disk.name} is being copied to ${copy.id}.`);
}

function holderOf(disk: ResourceRecord, world: World): ResourceRecord | undefined {
  return world.usersOf(disk.id).find(({ record }) => record.type === MACHINE_TYPE)?.record;
}

/** A stopped machine that is not deallocated keeps its disks, but does not write to them. */
function isRunning(machine: ResourceRecord | undefined): boolean {
  return machine !== undefined && (machine.hidden["power"] === "running" || machine.provisioningState !== "Succeeded");
}

function refuseRunning(disk: ResourceRecord, world: World): void {
  const machine = holderOf(disk, world);
  if (!isRunning(machine)) return;
  throw new ArmError(
    409,
    "OperationNotAllowed",
    `Disk ${disk.name} is attached to running VM ${machine?.id}. Deallocate the VM before access is granted.`,
  );
}

function diskState(record: ResourceRecord, machine: ResourceRecord | undefined, world: World): string {
  if (hasAccess(record, world)) return "ActiveSAS";
  if (machine === undefined) return "Unattached";
  return machine.hidden["power"] === "deallocated" ? "Reserved" : "Attached";
}
