import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { LeewardError } from "../../replication/errors.ts";
import { LAB_TOOL_MS } from "../limits.ts";

/** A Resource Manager, and the credential for it. */
export interface ResourceManagerAccess {
  readonly url: string;
  readonly token: string;
  readonly subscriptionId: string;
  /** The version to ask for, by type in lower case. */
  readonly apiVersions: Readonly<Record<string, string>>;
}

export interface LabMachine {
  readonly name: string;
  readonly resourceGroup: string;
  readonly region: string;
  /** The first one is the OS disk; each has 1 GiB, Azure's minimum. */
  readonly disks: readonly string[];
}

const POLL_MS = 100;
const NETWORK = "hub";
const SUBNET = "web";

/**
 * Makes a running virtual machine as any Azure client does: group, network, interface, disks, machine. Keeps existing
 * resources. Returns the machine's id.
 */
export async function makeMachine(
  access: ResourceManagerAccess,
  { name, resourceGroup, region, disks }: LabMachine,
): Promise<string> {
  const group = `/subscriptions/${access.subscriptionId}/resourceGroups/${resourceGroup}`;
  const idOf = (provider: string, type: string, of: string): string =>
    `${group}/providers/Microsoft.${provider}/${type}/${of}`;
  const make = (id: string, body: object): Promise<void> => put(access, id, { location: region, ...body });
  await make(group, {});
  const network = idOf("Network", "virtualNetworks", NETWORK);
  const subnets = [{ name: SUBNET, properties: { addressPrefix: "10.0.0.0/24" } }];
  await make(network, { properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] }, subnets } });
  const nic = idOf("Network", "networkInterfaces", `${name}-nic`);
  const ipConfigurations = [{ name: "primary", properties: { subnet: { id: `${network}/subnets/${SUBNET}` } } }];
  await make(nic, { properties: { ipConfigurations } });
  for (const [at, disk] of disks.entries()) {
    const system = at === 0 ? { osType: "Linux", hyperVGeneration: "V2" } : {};
    await make(idOf("Compute", "disks", disk), {
      properties: { creationData: { createOption: "Empty" }, diskSizeGB: 1, ...system },
    });
  }
  const attached = disks.map((disk) => ({
    createOption: "Attach",
    managedDisk: { id: idOf("Compute", "disks", disk) },
  }));
  const machine = idOf("Compute", "virtualMachines", name);
  await make(machine, {
    properties: {
      hardwareProfile: { vmSize: "Standard_B1s" },
      storageProfile: {
        osDisk: { osType: "Linux", ...attached[0] },
        dataDisks: attached.slice(1).map((disk, lun) => ({ lun, ...disk })),
      },
      networkProfile: { networkInterfaces: [{ id: nic }] },
    },
  });
  return machine;
}

const ANSWER = z.object({ properties: z.object({ provisioningState: z.string() }) });

/** Sends one resource and waits until it exists. */
async function put(access: ResourceManagerAccess, id: string, body: object): Promise<void> {
  const deadlineMs = Date.now() + LAB_TOOL_MS;
  let answer = await ask(access, "PUT", id, body);
  for (;;) {
    const { provisioningState } = ANSWER.parse(answer).properties;
    if (provisioningState === "Succeeded") return;
    if (provisioningState === "Failed" || Date.now() > deadlineMs) {
      throw new LeewardError("azure-refused", `${id} does not come up: ${provisioningState}.`, { id });
    }
    await sleep(POLL_MS);
    answer = await ask(access, "GET", id, undefined);
  }
}

async function ask(
  { url, token, apiVersions }: ResourceManagerAccess,
  method: string,
  id: string,
  body: object | undefined,
): Promise<unknown> {
  const answer = await fetch(`${url}${id}?api-version=${versionOf(id, apiVersions)}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text);
  throw new LeewardError("azure-refused", `${method} ${id} was answered with ${answer.status}: ${text}`, { id });
}

/** The local Resource Manager knows one version of each type. */
function versionOf(id: string, apiVersions: ResourceManagerAccess["apiVersions"]): string {
  const name = /\/providers\/([^/]+\/[^/]+)\/[^/]+$/.exec(id)?.[1] ?? "Microsoft.Resources/resourceGroups";
  const version = apiVersions[name.toLowerCase()];
  if (version === undefined)
    throw new LeewardError("not-supported", `The local Resource Manager has no ${name}.`, { name });
  return version;
}
