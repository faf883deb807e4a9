import { isObject, type JsonObject, textOf } from "../engine/json.ts";
import type { ResourceRecord, World } from "../engine/resource-type.ts";
import { attachedDisks, type MachineBody } from "./machine-body.ts";

export type PowerState = "running" | "stopped" | "deallocated";

/** The machine's current state, as in `GET .../instanceView`. */
export function instanceView(record: ResourceRecord<MachineBody>, world: World): JsonObject {
  const power = record.hidden["transition"] ?? record.hidden["power"];
  const osDisk = world.find(attachedDisks(record.body)[0]?.id ?? "");
  const time = new Date(world.nowMs).toISOString();
  const ready = { code: "ProvisioningState/succeeded", level: "Info", displayStatus: "Ready", time };
  return {
    ...(power === "running" ? { vmAgent: { vmAgentVersion: "2.12.0.4", statuses: [ready] } } : {}),
    disks: attachedDisks(record.body).map(({ id }) => ({
      name: world.find(id)?.name ?? "",
      statuses: [provisioningStatus(world.find(id) ?? record)],
    })),
    extensions: world.children(record.id).map((extension) => extensionView(extension)),
    hyperVGeneration: textOf(osDisk?.body.properties, "hyperVGeneration") || "V1",
    statuses: [provisioningStatus(record), ...(typeof power === "string" ? [powerStatus(power)] : [])],
  };
}

export function extensionView(extension: ResourceRecord): JsonObject {
  const { type, typeHandlerVersion } = extension.body.properties;
  return { name: extension.name, type, typeHandlerVersion, statuses: [provisioningStatus(extension)] };
}

/** For example `ProvisioningState/failed/AllocationFailed` with the failed operation's message. */
function provisioningStatus(record: ResourceRecord): JsonObject {
  const { lastError } = record.hidden;
  const state = record.provisioningState.toLowerCase();
  if (state !== "failed")
    return { code: `ProvisioningState/${state}`, level: "Info", displayStatus: `Provisioning ${state}` };
  const { code, message } = isObject(lastError) ? lastError : { code: "InternalExecutionError", message: "" };
  return {
    code: `ProvisioningState/failed/${String(code)}`,
    level: "Error",
    displayStatus: "Provisioning failed",
    message,
  };
}

const powerStatus = (power: string): JsonObject => ({
  code: `PowerState/${power}`,
  level: "Info",
  displayStatus: `VM ${power}`,
});
