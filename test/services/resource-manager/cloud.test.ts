import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openNbdDisk } from "../../../local/lab/nbd-client.ts";
import { startCloud, TARGET_ACCOUNT, CACHE_ACCOUNT, type Cloud } from "../../../local/supervisor/cloud.ts";
import { operatorApi } from "../../../local/supervisor/operator-api.ts";
import { freePort, FREE_PORTS } from "../../../local/supervisor/ports.ts";
import { hostProgram } from "../../../local/supervisor/programs.ts";
import { clientsOf, POLL } from "../../../packages/azure-local/test/services/resource-manager/world.ts";
import { until } from "../whole/until.ts";

const REGION = "westeurope";
const GROUP = "vm-group";

/** A machine with one small disk and one interface, made as anybody makes one in Azure; its id. */
async function makeMachine({ network, compute, resources }: ReturnType<typeof clientsOf>): Promise<string> {
  await resources.resourceGroups.createOrUpdate(GROUP, { location: REGION });
  const addresses = {
    addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
    subnets: [{ name: "s", addressPrefix: "10.0.0.0/24" }],
  };
  const net = await network.virtualNetworks.createOrUpdate(GROUP, "net", { location: REGION, ...addresses }, POLL);
  const configuration = { name: "p", subnet: { id: net.subnets?.[0]?.id ?? "" } };
  const nic = await network.networkInterfaces.createOrUpdate(
    GROUP,
    "nic",
    { location: REGION, ipConfigurations: [configuration] },
    POLL,
  );
  const creationData = { createOption: "Empty" } as const;
  const disk = await compute.disks.createOrUpdate(GROUP, "os", { location: REGION, creationData, diskSizeGB: 1 }, POLL);
  const model = {
    location: REGION,
    hardwareProfile: { vmSize: "Standard_B1s" },
    storageProfile: {
      osDisk: { createOption: "Attach" as const, osType: "Linux" as const, managedDisk: { id: disk.id ?? "" } },
    },
    networkProfile: { networkInterfaces: [{ id: nic.id ?? "" }] },
  };
  return (await compute.virtualMachines.createOrUpdate(GROUP, "vm", model, POLL)).id ?? "";
}

it("the local cloud has its accounts as resources, protects a machine by its extension alone, and has it back after a restart", async () => {
  expect.assertions(4);
  if (!existsSync(hostProgram())) throw new Error("Run: npm run build");
  const folder = await mkdtemp(join(tmpdir(), "leeward-arm-cloud-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [app, cacheBlob, cacheQueue, targetBlob, targetQueue, resourceManager] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const start = (): Promise<Cloud> =>
    startCloud({
      folder,
      ports: { ...FREE_PORTS, app, cacheBlob, cacheQueue, targetBlob, targetQueue, resourceManager },
      persistence: "disk",
      schedules: { points: "*/1 * * * * *", sweep: "*/2 * * * * *" },
      random: () => 0.5,
    });
  const first = await start();
  let last = first;
  onTestFinished(() => last.stop());
  const arm = first.resourceManager;
  const clients = clientsOf(arm.url, arm.token, arm.subscriptionId);
  const accounts: (readonly (string | undefined)[])[] = [];
  for await (const { name, provisioningState } of clients.storage.storageAccounts.list())
    accounts.push([name, provisioningState]);
  expect(accounts.toSorted((one, other) => String(one).localeCompare(String(other)))).toEqual([
    [CACHE_ACCOUNT, "Succeeded"],
    [TARGET_ACCOUNT, "Succeeded"],
  ]);

  const id = await makeMachine(clients);
  const api = operatorApi(first.app.url, first.secrets.functionKey);
  const registrationToken = await api.protect("arm-vm", [{ id: "os", sizeBytes: 1024 ** 3 }], {
    crashConsistentFrequencyInMinutes: 1 / 60,
  });
  const settings = {
    itemId: "arm-vm",
    apiUrl: `${first.app.url}/api`,
    registrationToken,
    epochMaxAgeMs: 150,
    heartbeatMs: 300,
  };
  await clients.compute.virtualMachineExtensions.createOrUpdate(
    GROUP,
    "vm",
    "mobility",
    {
      location: REGION,
      publisher: "Microsoft.Azure.Extensions",
      typePropertiesType: "CustomScript",
      typeHandlerVersion: "2.1",
      protectedSettings: {
        commandToExecute: `sh install-mobility.sh ${Buffer.from(JSON.stringify(settings)).toString("base64url")}`,
      },
    },
    POLL,
  );
  const write = async (cloud: Cloud, text: string): Promise<void> => {
    const address = cloud.resourceManager.machineOf(id)?.program?.address ?? { kind: "unix", path: "" };
    const disk = await openNbdDisk(address, "os");
    await disk.write(4096, Buffer.alloc(4096, text), { forceUnitAccess: true });
    disk.close();
  };
  await write(first, "before");
  const applied = (): Promise<number> =>
    api.item("arm-vm").then(
      ({ appliedEpoch }) => appliedEpoch,
      () => 0,
    );
  const before = await until("the first epochs are applied", async () =>
    (await applied()) > 0 ? applied() : undefined,
  );
  expect(before).toBeGreaterThan(0);

  await first.stop();
  last = await start();
  expect(last.resourceManager.machineOf(id)?.program?.running).toBe(true);
  await write(last, "after");
  const after = await until("later epochs are applied", async () =>
    (await applied()) > before ? applied() : undefined,
  );
  expect(after).toBeGreaterThan(before);
});
