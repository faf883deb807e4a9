import { readFile } from "node:fs/promises";
import type { Cloud } from "./cloud.ts";
import { type MobilityService, mobilityConfigurationFile } from "./mobility-service.ts";
import { operatorApi } from "./operator-api.ts";

export interface VmProtection {
  readonly itemId: string;
  readonly disks: readonly { readonly id: string; readonly path: string; readonly sizeBytes: number }[];
  /** The mobility service's folder: configuration, state, socket. */
  readonly folder: string;
  readonly crashConsistentFrequencyInMinutes: number;
  readonly epochMaxAgeMs: number;
  readonly heartbeatMs: number;
  readonly nbdPort: number | undefined;
}

/**
 * Protects the VM as an operator does, then starts its mobility service. Repeating it with the same disks continues
 * where it stopped.
 */
export async function protectVm(cloud: Cloud, vm: VmProtection): Promise<MobilityService> {
  const api = operatorApi(cloud.app.url, cloud.secrets.functionKey);
  const policy = { crashConsistentFrequencyInMinutes: vm.crashConsistentFrequencyInMinutes };
  const disks = vm.disks.map(({ id, sizeBytes }) => ({ id, sizeBytes }));
  const registrationToken =
    (await api.protect(vm.itemId, disks, policy)) ??
    (await earlierToken(vm.folder)) ??
    (await api.newRegistrationToken(vm.itemId));
  return cloud.startMobility({
    itemId: vm.itemId,
    registrationToken,
    disks: vm.disks.map(({ id, path }) => ({ id, path })),
    folder: vm.folder,
    nbdPort: vm.nbdPort,
    epochMaxAgeMs: vm.epochMaxAgeMs,
    heartbeatMs: vm.heartbeatMs,
  });
}

/** The token of an earlier start: used, or still valid when that start ended before the service could register. */
async function earlierToken(folder: string): Promise<string | undefined> {
  const text = await readFile(mobilityConfigurationFile(folder), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const { registrationToken } = JSON.parse(text) as { readonly registrationToken?: string };
  return registrationToken;
}
