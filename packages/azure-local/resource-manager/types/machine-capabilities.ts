import { ArmError, invalidParameter } from "../engine/arm-error.ts";
import { isObject, textOf, type JsonObject } from "../engine/json.ts";
import type { ResourceRecord, World } from "../engine/resource-type.ts";
import { attachedDisks, type MachineBody } from "./machine-body.ts";
import { sizeNamed } from "./sizes.ts";

/** Refuses a machine that asks more of its size than that has: encryption at host, architecture, disk controller. */
export function checkCapabilities(draft: ResourceRecord<MachineBody>, world: World): void {
  const { hardwareProfile, securityProfile, storageProfile } = draft.body.properties;
  const size = sizeNamed(hardwareProfile.vmSize);
  if (size === undefined) return;
  if (securityProfile?.["encryptionAtHost"] === true && !size.encryptsAtHost) {
    throw invalidParameter(
      `The property 'securityProfile.encryptionAtHost' is not valid because the VM size '${size.name}' does not support encryption at host.`,
    );
  }
  const os = world.find(attachedDisks(draft.body)[0]?.id ?? "");
  const supported = os?.body.properties["supportedCapabilities"];
  const { architecture = "x64" } = (isObject(supported) ? supported : {}) as { readonly architecture?: unknown };
  if (os !== undefined && architecture !== size.architecture) {
    throw badRequest(
      `Cannot create a VM of size '${size.name}' because this VM size only supports a CPU Architecture of '${size.architecture}', but an image or disk with CPU Architecture '${String(architecture)}' was given.`,
    );
  }
  // A disk that says nothing takes SCSI only.
  const controllers = textOf(isObject(supported) ? supported : {}, "diskControllerTypes") || "SCSI";
  const taken = controllers.split(",").map((each) => each.trim().toUpperCase());
  const wanted = textOf(storageProfile, "diskControllerType") || (size.diskControllers[0] ?? "SCSI");
  const offered = size.diskControllers.find((each) => each.toUpperCase() === wanted.toUpperCase());
  if (offered === undefined) {
    throw invalidParameter(
      `The VM size '${size.name}' does not support the disk controller type '${wanted}'. It supports: ${size.diskControllers.join(",")}.`,
    );
  }
  if (os !== undefined && !taken.includes(offered.toUpperCase())) {
    throw invalidParameter(
      `The VM size '${size.name}' cannot boot with OS image or disk. Please check that disk controller types supported by the OS image or disk is one of the supported disk controller types for the VM size '${size.name}'.`,
    );
  }
}

/** The identity as Azure answers it: with ids that it makes up, which stay while the identity does. */
export function completedIdentity(
  given: JsonObject | undefined,
  previous: JsonObject | undefined,
  world: World,
): JsonObject | undefined {
  if (given === undefined) return undefined;
  const kinds = textOf(given, "type")
    .split(",")
    .map((kind) => kind.trim().toLowerCase());
  if (kinds.some((kind) => !["systemassigned", "userassigned", "none"].includes(kind)))
    throw invalidParameter(`The identity type '${textOf(given, "type")}' is not valid.`);
  if (!kinds.includes("systemassigned") && !kinds.includes("userassigned")) return undefined;
  const before = previous ?? {};
  const { principalId: _, tenantId: _tenant, userAssignedIdentities, ...rest } = given;
  const system = kinds.includes("systemassigned")
    ? { principalId: before["principalId"] ?? world.newGuid(), tenantId: TENANT }
    : {};
  if (!kinds.includes("userassigned")) return { ...rest, ...system };
  const named = isObject(userAssignedIdentities) ? userAssignedIdentities : {};
  const known = isObject(before["userAssignedIdentities"]) ? before["userAssignedIdentities"] : {};
  const ids = Object.keys(named).map((id) => [
    id,
    known[id] ?? { principalId: world.newGuid(), clientId: world.newGuid() },
  ]);
  return { ...rest, ...system, userAssignedIdentities: Object.fromEntries(ids) as JsonObject };
}

/** The one tenant of this cloud. */
const TENANT = "00000000-0000-4000-8000-00000000007e";

const badRequest = (message: string): ArmError => new ArmError(400, "BadRequest", message);
