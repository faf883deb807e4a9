import { mkdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import type { MobilityOptions, MobilityService } from "./machine-service.ts";
import { ArmError } from "../engine/arm-error.ts";
import type { MobilitySettings } from "./install-command.ts";

/** One disk of a machine, as a file. */
export interface MachineDisk {
  /** The name of the managed disk. */
  readonly name: string;
  /** Undefined for the OS disk. */
  readonly lun: number | undefined;
  readonly path: string;
  readonly sizeBytes: number;
}

interface MachinePlan {
  /** The id that the machine knows itself by. */
  readonly vmId: string;
  readonly disks: readonly MachineDisk[];
}

/**
 * A machine that runs: its disks are files that nobody else touches, and served over NBD while its mobility service
 * runs.
 */
export interface Machine extends MachinePlan {
  readonly mobility: MobilityService | undefined;
}

/**
 * The machines that run here. There is no guest in them: whoever writes to the NBD disks is the guest. Every method can
 * be called twice.
 */
export interface Machines {
  boot(plan: MachinePlan): void;
  /** Stops its mobility service, then the machine. */
  halt(vmId: string): Promise<void>;
  /**
   * Starts the mobility service in the machine, anew when it runs. Errors: ArmError `VMExtensionProvisioningError` with
   * the service's own words.
   */
  install(vmId: string, settings: MobilitySettings): Promise<void>;
  uninstall(vmId: string): Promise<void>;
  /** Halts it and forgets what its mobility service kept. */
  remove(vmId: string): Promise<void>;
  find(vmId: string): Machine | undefined;
  /** Halts all. */
  close(): Promise<void>;
  /** Kills all mobility services at once and waits for nothing. */
  kill(): void;
}

export interface MachinesOptions {
  readonly folder: string;
  readonly logFolder: string;
  readonly startMobility: (options: MobilityOptions) => Promise<MobilityService>;
}

/**
 * What the mobility service uses when its settings say nothing: the product's own defaults (mobility/system/config.ts).
 */
const EPOCH_MAX_AGE_MS = 5_000;
const HEARTBEAT_MS = 5_000;

export function createMachines({ folder, logFolder, startMobility }: MachinesOptions): Machines {
  const plans = new Map<string, MachinePlan>();
  const services = new Map<string, MobilityService>();
  // A unix socket's path has at most 107 bytes, so the folder has a short name.
  const folderOf = (vmId: string): string => shortPath(join(folder, vmId.slice(0, 13)));
  const uninstall = async (vmId: string): Promise<void> => {
    await services.get(vmId)?.stop();
    services.delete(vmId);
  };
  const halt = async (vmId: string): Promise<void> => {
    await uninstall(vmId);
    plans.delete(vmId);
  };
  return {
    boot: (plan) => void plans.set(plan.vmId, plan),
    halt,
    uninstall,
    install: async (vmId, settings) => {
      const plan = plans.get(vmId);
      if (plan === undefined) throw new ArmError(409, "OperationNotAllowed", "The machine does not run.");
      await uninstall(vmId);
      await mkdir(folderOf(vmId), { recursive: true, mode: 0o700 });
      const service = await startMobility({
        itemId: settings.itemId,
        apiUrl: settings.apiUrl,
        registrationToken: settings.registrationToken,
        machineId: vmId,
        disks: chooseDisks(plan, settings),
        folder: folderOf(vmId),
        logFolder,
        nbdPort: undefined,
        epochMaxAgeMs: settings.epochMaxAgeMs ?? EPOCH_MAX_AGE_MS,
        heartbeatMs: settings.heartbeatMs ?? HEARTBEAT_MS,
      }).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new ArmError(409, "VMExtensionProvisioningError", `The mobility service did not start: ${reason}`);
      });
      // Halted meanwhile: its service must not outlive it.
      if (plans.has(vmId)) services.set(vmId, service);
      else await service.stop();
    },
    remove: async (vmId) => {
      await halt(vmId);
      await rm(folderOf(vmId), { recursive: true, force: true });
    },
    find: (vmId) => {
      const plan = plans.get(vmId);
      return plan === undefined ? undefined : { ...plan, mobility: services.get(vmId) };
    },
    close: async () => {
      await Promise.all([...plans.keys()].map(halt));
    },
    kill: () => {
      for (const service of services.values()) void service.kill();
    },
  };
}

/**
 * The disks to protect, under the ids that the item knows them by: the ones named in the settings, or all under their
 * own names.
 */
function chooseDisks(
  plan: MachinePlan,
  settings: MobilitySettings,
): readonly { readonly id: string; readonly path: string }[] {
  if (settings.disks === undefined) return plan.disks.map(({ name, path }) => ({ id: name, path }));
  return settings.disks.map(({ id, lun }) => {
    const disk = plan.disks.find((candidate) => candidate.lun === lun);
    if (disk !== undefined) return { id, path: disk.path };
    throw new ArmError(
      409,
      "VMExtensionProvisioningError",
      `The machine has no ${lun === undefined ? "OS disk" : `disk at LUN ${lun}`} for ${id}.`,
    );
  });
}

/** Below a deep folder the way from the current folder is shorter. */
function shortPath(folder: string): string {
  return Buffer.byteLength(join(folder, "nbd.sock")) <= 107 ? folder : relative(".", folder);
}
