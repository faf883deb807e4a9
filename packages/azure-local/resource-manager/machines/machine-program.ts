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
 * What the CustomScript extension is told in secret: a script, decoded, or a command line. Both may carry secrets, so
 * they stand in no message.
 */
export interface ScriptCommand {
  readonly kind: "script" | "command";
  readonly text: string;
}

/** A machine as its program finds it. */
export interface ProgramPlace {
  readonly vmId: string;
  /** Files that nobody else touches while the machine runs. */
  readonly disks: readonly MachineDisk[];
  /** The program's own; it is there, survives stops of the machine, and goes with it. */
  readonly folder: string;
}

/** What runs in a machine since its extension was put. */
export interface MachineProgram {
  readonly running: boolean;
  /** Can be called twice. */
  stop(): Promise<void>;
  /** Ends it at once; the promise settles when it is gone. */
  kill(): Promise<void>;
}

/**
 * There is no guest in a machine of the local cloud, so whoever starts the Resource Manager says what a command stands
 * for: a process on this machine, or an object in a test.
 */
export interface MachinePrograms<Program extends MachineProgram> {
  /** What is wrong with the command, in words that quote nothing of it; undefined when it can be started. Pure. */
  refusal(command: ScriptCommand): string | undefined;
  /**
   * Starts it in a machine where none of its kind runs. A rejection fails the extension
   * (`VMExtensionProvisioningError`) with the error's words.
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
