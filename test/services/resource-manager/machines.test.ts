import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BlobClient } from "@azure/storage-blob";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { openNbdDisk } from "../../../local/lab/nbd-client.ts";
import { mobilityPrograms } from "../../../local/supervisor/machine-programs.ts";
import { startMobility, type MobilityService } from "../../../local/supervisor/mobility-service.ts";
import { mobilityProgram } from "../../../local/supervisor/programs.ts";
import {
  ACCOUNT,
  GROUP,
  idOf,
  machineModel,
  makeNic,
  POLL,
  refusal,
  REGION,
  startWorld,
  type World,
} from "../../../packages/azure-local/test/services/resource-manager/world.ts";
import { startFakeCloud } from "../../mobility/fake-cloud.ts";

const MIB = 1024 * 1024;
const STORAGE_ID = idOf("Microsoft.Storage/storageAccounts", ACCOUNT);

let world: World;
let logFolder: string;
let service: MobilityService | undefined;
beforeAll(async () => {
  if (!existsSync(mobilityProgram())) throw new Error("Run: npm run build");
  logFolder = await mkdtemp(join(tmpdir(), "leeward-logs-"));
  world = await startWorld({
    programs: mobilityPrograms(logFolder, async (options) => (service = await startMobility(options))),
  });
  await world.clients.storage.storageAccounts.create(
    GROUP,
    ACCOUNT,
    { location: REGION, sku: { name: "Standard_ZRS" }, kind: "StorageV2" },
    POLL,
  );
});
afterAll(async () => {
  await world.stop();
  await rm(logFolder, { recursive: true, force: true });
});

/** A disk with noise at both ends, text in the middle and holes between. */
function content(sizeMiB: number): Buffer {
  const bytes = Buffer.alloc(sizeMiB * MIB);
  randomBytes(70_000).copy(bytes, 0);
  bytes.write("in the middle", MIB + 12_288);
  randomBytes(512).copy(bytes, bytes.length - 512);
  return bytes;
}

function importDisk(name: string, sourceUri: string, storageAccountId = STORAGE_ID) {
  const creationData = { createOption: "Import", sourceUri, storageAccountId } as const;
  return world.clients.compute.disks.createOrUpdate(GROUP, name, { location: REGION, creationData }, POLL);
}

/** The file of a disk, found as the machine that holds it sees it. */
async function fileOf(vmId: string, lun: number | undefined): Promise<Buffer> {
  const disk = world.arm.machineOf(vmId)?.disks.find((candidate) => candidate.lun === lun);
  return readFile(disk?.path ?? "");
}

describe("machines", () => {
  it("run the real mobility service on their disks: it writes what NBD clients write, stops with the machine and comes back with it", async () => {
    expect.assertions(13);
    const { compute } = world.clients;
    const control = await startFakeCloud("vm1");
    onTestFinished(() => control.stop());
    const bytes = content(3);
    await importDisk("os", await world.putVhd("os.vhd", bytes));
    await importDisk("data", await world.putVhd("data.vhd", content(2)));
    const disks = [idOf("Microsoft.Compute/disks", "os"), idOf("Microsoft.Compute/disks", "data")] as const;
    const vm = await compute.virtualMachines.createOrUpdate(
      GROUP,
      "vm1",
      machineModel(await makeNic(world, "nic1"), disks[0], [disks[1]]),
      POLL,
    );
    const vmId = vm.id ?? "";
    expect((await fileOf(vmId, undefined)).equals(bytes)).toBe(true);
    expect(world.arm.machineOf(vmId)?.program).toBeUndefined();

    const settings = {
      itemId: "vm1",
      apiUrl: control.apiUrl,
      registrationToken: control.registrationToken,
      disks: [{ id: "system" }, { id: "data", lun: 0 }],
      epochMaxAgeMs: 100,
      heartbeatMs: 250,
    };
    const install = await compute.virtualMachineExtensions.createOrUpdate(
      GROUP,
      "vm1",
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
    expect(install.provisioningState).toBe("Succeeded");

    const write = async (offsetBytes: number, text: string): Promise<void> => {
      const address = service?.address ?? { kind: "unix", path: "" };
      const disk = await openNbdDisk(address, "system");
      const sector = Buffer.alloc(512);
      sector.write(text);
      await disk.write(offsetBytes, sector, { forceUnitAccess: true });
      disk.close();
    };
    await write(MIB, "a guest was here");
    await compute.virtualMachines.powerOff(GROUP, "vm1", POLL);
    expect(world.arm.machineOf(vmId)).toBeUndefined();
    const { accessSAS = "" } = await compute.disks.grantAccess(
      GROUP,
      "os",
      { access: "Read", durationInSeconds: 600 },
      POLL,
    );
    expect((await new BlobClient(accessSAS).downloadToBuffer(MIB, 16)).toString()).toBe("a guest was here");
    await compute.disks.revokeAccess(GROUP, "os", POLL);

    await compute.virtualMachines.start(GROUP, "vm1", POLL);
    expect(world.arm.machineOf(vmId)?.program?.running).toBe(true);
    await expect(
      compute.disks.grantAccess(GROUP, "os", { access: "Read", durationInSeconds: 60 }, POLL),
    ).rejects.toEqual(refusal(409, "OperationNotAllowed"));
    const hotCopy = { location: REGION, creationData: { createOption: "Copy", sourceResourceId: disks[0] } } as const;
    await expect(compute.snapshots.createOrUpdate(GROUP, "hot", hotCopy, POLL)).rejects.toEqual(
      refusal(501, "NotSupportedByLocalCloud"),
    );

    await world.restart();
    expect(world.arm.machineOf(vmId)?.program?.running).toBe(true);
    await write(2 * MIB, "after the restart");
    expect((await compute.virtualMachines.instanceView(GROUP, "vm1")).extensions?.[0]?.statuses?.[0]?.code).toBe(
      "ProvisioningState/succeeded",
    );
    const configuration = JSON.parse(
      await readFile(join(world.folder, "arm", "machines", (vm.vmId ?? "").slice(0, 13), "mobility.json"), "utf8"),
    ) as object;
    expect(configuration).toMatchObject({
      machineId: vm.vmId,
      itemId: "vm1",
      disks: [{ id: "system" }, { id: "data" }],
    });

    await compute.virtualMachines.deallocate(GROUP, "vm1", POLL);
    await compute.virtualMachines.delete(GROUP, "vm1", POLL);
    expect(world.arm.machineOf(vmId)).toBeUndefined();
    await expect(stat(join(world.folder, "arm", "machines", (vm.vmId ?? "").slice(0, 13)))).rejects.toMatchObject({
      code: "ENOENT",
    });
  });
});
