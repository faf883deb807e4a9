import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ArmError } from "../engine/arm-error.ts";
import {
  refusedCommand,
  type MachineDisk,
  type MachineProgram,
  type MachinePrograms,
  type ScriptCommand,
} from "./machine-program.ts";

interface MachinePlan {
  /** The machine's own id. */
  readonly vmId: string;
  readonly disks: readonly MachineDisk[];
}

/** A running machine: only its program touches its disk files. */
export interface Machine<Program extends MachineProgram = MachineProgram> extends MachinePlan {
  /** Undefined before an extension was put and after its deletion. */
  readonly program: Program | undefined;
}

/** The machines running here: an extension's program, and no guest. Every method can be called twice. */
export interface Machines<Program extends MachineProgram = MachineProgram> {
  boot(plan: MachinePlan): void;
  /** Stops its program, then the machine. */
  halt(vmId: string): Promise<void>;
  /** Errors: ArmError `VMExtensionProvisioningError` for a command no machine here can run. */
  check(command: ScriptCommand): void;
  /**
   * Starts a program in the machine, replacing a running one. Errors: ArmError `VMExtensionProvisioningError` with its
   * message.
   */
  install(vmId: string, command: ScriptCommand): Promise<void>;
  uninstall(vmId: string): Promise<void>;
  /** Halts it and deletes what its program kept. */
  remove(vmId: string): Promise<void>;
  find(vmId: string): Machine<Program> | undefined;
  /** Halts all. */
  close(): Promise<void>;
  /** Kills all programs at once and waits for nothing. */
  kill(): void;
}

/** Without `programs` machines run on their disks alone, and every command is refused. */
export function createMachines<Program extends MachineProgram>(
  folder: string,
  programs: MachinePrograms<Program> | undefined,
): Machines<Program> {
  const plans = new Map<string, MachinePlan>();
  const running = new Map<string, Program>();
  // A program may put sockets there, and a unix socket's path has at most 107 bytes: a short name.
  const folderOf = (vmId: string): string => join(folder, vmId.slice(0, 13));
  const uninstall = async (vmId: string): Promise<void> => {
    await running.get(vmId)?.stop();
    running.delete(vmId);
  };
  const halt = async (vmId: string): Promise<void> => {
    await uninstall(vmId);
    plans.delete(vmId);
  };
  return {
    boot: (plan) => void plans.set(plan.vmId, plan),
    halt,
    uninstall,
    check: (command) => {
      const refusal = programs === undefined ? "machines here run no commands" : programs.refusal(command);
      if (refusal !== undefined) throw refusedCommand(refusal);
    },
    install: async (vmId, command) => {
      const plan = plans.get(vmId);
      if (plan === undefined) throw new ArmError(409, "OperationNotAllowed", "The machine does not run.");
      if (programs === undefined) throw refusedCommand("machines here run no commands");
      await uninstall(vmId);
      await mkdir(folderOf(vmId), { recursive: true, mode: 0o700 });
      const place = { vmId, disks: plan.disks, folder: folderOf(vmId) };
      const program = await programs.start(command, place).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new ArmError(409, "VMExtensionProvisioningError", `The command did not start: ${reason}`);
      });
      // Halted meanwhile: its program must not outlive it.
      if (plans.has(vmId)) running.set(vmId, program);
      else await program.stop();
    },
    remove: async (vmId) => {
      await halt(vmId);
      await rm(folderOf(vmId), { recursive: true, force: true });
    },
    find: (vmId) => {
      const plan = plans.get(vmId);
      return plan === undefined ? undefined : { ...plan, program: running.get(vmId) };
    },
    close: async () => {
      await Promise.all([...plans.keys()].map(halt));
    },
    kill: () => {
      for (const program of running.values()) void program.kill();
    },
  };
}
