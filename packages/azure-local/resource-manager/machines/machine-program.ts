import { ArmError } from "../engine/arm-error.ts";
import { isObject } from "../engine/json.ts";

/** One disk of a machine, as a file. */
export interface MachineDisk {
  /** The name of the managed disk. */
  readonly name: string;
  /** Undefined for the OS disk. */
  readonly lun: number | undefined;
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * The CustomScript extension's secret input: a script, decoded, or a command line. Both may carry secrets, so no
 * message contains them.
 */
export interface ScriptCommand {
  readonly kind: "script" | "command";
  readonly text: string;
}

/** A machine as seen by its program. */
export interface ProgramPlace {
  readonly vmId: string;
  /** Files only the program touches while the machine runs. */
  readonly disks: readonly MachineDisk[];
  /** The program's own; it exists, survives stops of the machine, and goes with it. */
  readonly folder: string;
}

/** A machine's program, since its extension was put. */
export interface MachineProgram {
  readonly running: boolean;
  /** Can be called twice. */
  stop(): Promise<void>;
  /** Ends it at once; the promise settles when it is gone. */
  kill(): Promise<void>;
}

/**
 * Machines of the local cloud have no guest, so the starter of the Resource Manager decides what a command runs: a
 * process on this machine, or an object in a test.
 */
export interface MachinePrograms<Program extends MachineProgram> {
  /** What is wrong with the command, without quoting any of it; undefined when it can be started. Pure. */
  refusal(command: ScriptCommand): string | undefined;
  /**
   * Starts it in a machine that runs none of its kind. A rejection fails the extension (`VMExtensionProvisioningError`)
   * with its message.
   */
  start(command: ScriptCommand, place: ProgramPlace): Promise<Program>;
}

/** Reads `protectedSettings` of the extension. Errors: ArmError `VMExtensionProvisioningError`. */
export function readCommand(protectedSettings: unknown): ScriptCommand {
  const { commandToExecute, script } = isObject(protectedSettings) ? protectedSettings : {};
  if (typeof script === "string" && commandToExecute === undefined)
    return { kind: "script", text: Buffer.from(script, "base64").toString("utf8") };
  if (typeof commandToExecute === "string" && script === undefined) return { kind: "command", text: commandToExecute };
  throw refusedCommand("protectedSettings must have script or commandToExecute, and not both");
}

export function refusedCommand(what: string): ArmError {
  return new ArmError(400, "VMExtensionProvisioningError", `The extension was refused: ${what}.`);
}
