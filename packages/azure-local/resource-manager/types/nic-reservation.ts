import { ARM_NIC_RESERVED_MS } from "../../limits.ts";
import { ArmError } from "../engine/arm-error.ts";
import { isObject } from "../engine/json.ts";
import type { ResourceRecord, World } from "../engine/resource-type.ts";
import { attachedNics, type MachineBody } from "./machine-body.ts";

type Machine = ResourceRecord<MachineBody>;

/** Keeps the interfaces of a machine that could not be made for it alone, for a while. */
export function reserveNics(machine: Machine, world: World): void {
  const untilMs = world.nowMs + ARM_NIC_RESERVED_MS * world.facts.pace;
  for (const { id } of attachedNics(machine.body)) {
    const nic = world.find(id);
    if (nic === undefined) continue;
    world.put({
      ...nic,
      hidden: { ...nic.hidden, reserved: { machineKey: machine.key, machineId: machine.id, untilMs } },
    });
  }
}

/** Errors: ArmError `NicReservedForAnotherVm`, with the words that Azure has for it. */
export function refuseReservedNics(machine: Machine, world: World): void {
  for (const { id } of attachedNics(machine.body)) {
    const reserved = world.find(id)?.hidden["reserved"];
    if (!isObject(reserved) || reserved["machineKey"] === machine.key || Number(reserved["untilMs"]) <= world.nowMs)
      continue;
    throw new ArmError(
      400,
      "NicReservedForAnotherVm",
      `Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another nic(s) or retry after 180 seconds. Reserved VM: ${String(reserved["machineId"])}`,
    );
  }
}
