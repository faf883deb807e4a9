import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { LeewardError } from "../../replication/errors.ts";
import { METADATA_TIMEOUT_MS } from "../limits.ts";
import type { Transport } from "../system/transport.ts";

/**
 * Changes with every start of the machine. Where the system does not report it, every start of the service counts as
 * one: safe, and slower after a kill.
 */
export function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id") ?? randomUUID();
}

/**
 * The machine's own id: from the configuration; on an Azure VM from the instance metadata, which is not on any disk, so
 * a copy of the disks does not carry it along; elsewhere from the system. The firmware identifies Azure, never whether
 * the metadata service answers: a service that took another id after a slow start would count as a clone. Rejects with
 * `control-unavailable` while the metadata service does not answer; stops asking once it has.
 */
export function machineIdentity(
  configured: string | undefined,
  transport: Transport,
  signal: AbortSignal,
): MachineIdentity {
  let known = configured ?? (isAzureVm() ? undefined : systemMachineId());
  return Object.assign(async () => (known ??= await azureVmId(transport, signal)), { known: () => known });
}

export interface MachineIdentity {
  (): Promise<string>;
  /** Undefined until it is known. */
  known(): string | undefined;
}

/**
 * The chassis asset tag of every Azure VM (https://learn.microsoft.com/troubleshoot/azure/virtual-machines; the same
 * that cloud-init looks for).
 */
const AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77";
const isAzureVm = (): boolean => readText("/sys/class/dmi/id/chassis_asset_tag") === AZURE_ASSET_TAG;

const systemMachineId = (): string => readText("/etc/machine-id") ?? hostname();

/** Azure Instance Metadata Service: a link-local address that only the VM itself reaches; http, and no proxy. */
export const VM_ID_URL = "http://169.254.169.254/metadata/instance/compute/vmId?api-version=2021-02-01&format=text";

/** The unique id of this VM, lower case. Throws `control-unavailable`. */
export async function azureVmId(transport: Transport, signal: AbortSignal, url = VM_ID_URL): Promise<string> {
  const { status, body } = await transport.send({
    method: "GET",
    url: new URL(url),
    headers: { metadata: "true" },
    body: { kind: "text", text: "" },
    timeoutMs: METADATA_TIMEOUT_MS,
    signal,
  });
  const id = body.trim().toLowerCase();
  if (status === 200 && /^[0-9a-f-]{36}$/.test(id)) return id;
  throw new LeewardError(
    "control-unavailable",
    `The instance metadata service answered with status ${status} and no id of the VM.`,
    {
      status,
    },
  );
}

function readText(path: string): string | undefined {
  try {
    const text = readFileSync(path, "utf8").trim();
    return text === "" ? undefined : text;
  } catch {
    return undefined;
  }
}
