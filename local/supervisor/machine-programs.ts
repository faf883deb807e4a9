import { join, relative } from "node:path";
import type { MachinePrograms, ProgramPlace } from "@leeward/azure-local/resource-manager/machines";
import { hasCode, LeewardError } from "../../replication/errors.ts";
import { readInstallCommand, type MobilitySettings } from "./install-command.ts";
import type { MobilityOptions, MobilityService } from "./mobility-service.ts";

/** The mobility service's values where its settings have none: the product's defaults (mobility/system/config.ts). */
const EPOCH_MAX_AGE_MS = 5_000;
const HEARTBEAT_MS = 5_000;

/** Machines of the local cloud run one program: the mobility service, on the disks named in its settings. */
export function mobilityPrograms(
  logFolder: string,
  start: (options: MobilityOptions) => Promise<MobilityService>,
): MachinePrograms<MobilityService> {
  return {
    refusal: (command) => {
      try {
        readInstallCommand(command);
        return undefined;
      } catch (error) {
        if (hasCode(error, "invalid-request")) return error.message;
        throw error;
      }
    },
    start: async (command, place) => {
      const settings = readInstallCommand(command);
      return start({
        itemId: settings.itemId,
        apiUrl: settings.apiUrl,
        registrationToken: settings.registrationToken,
        machineId: place.vmId,
        disks: chooseDisks(place, settings),
        folder: shortPath(place.folder),
        logFolder,
        nbdPort: undefined,
        epochMaxAgeMs: settings.epochMaxAgeMs ?? EPOCH_MAX_AGE_MS,
        heartbeatMs: settings.heartbeatMs ?? HEARTBEAT_MS,
      });
    },
  };
}

/** The disks to protect, under the item's ids: those named in the settings, or all under their own names. */
function chooseDisks(
  place: ProgramPlace,
  settings: MobilitySettings,
): readonly { readonly id: string; readonly path: string }[] {
  if (settings.disks === undefined) return place.disks.map(({ name, path }) => ({ id: name, path }));
  return settings.disks.map(({ id, lun }) => {
    const disk = place.disks.find((candidate) => candidate.lun === lun);
    if (disk !== undefined) return { id, path: disk.path };
    const missing = lun === undefined ? "OS disk" : `disk at LUN ${lun}`;
    throw new LeewardError("invalid-request", `The machine has no ${missing} for ${id}.`, { disk: id });
  });
}

/** A unix socket's path has at most 107 bytes: below a deep folder the relative path is shorter. */
function shortPath(folder: string): string {
  return Buffer.byteLength(join(folder, "nbd.sock")) <= 107 ? folder : relative(".", folder);
}
