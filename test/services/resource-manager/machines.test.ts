import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { BlobClient, BlobServiceClient } from "@azure/storage-blob";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { readFixedVhd } from "../../../local/resource-manager/disks/fixed-vhd.ts";
import { openNbdDisk } from "../../../local/lab/nbd-client.ts";
import { startMobility } from "../../../local/supervisor/mobility-service.ts";
import { mobilityProgram } from "../../../local/supervisor/programs.ts";
import { startFakeCloud } from "../../mobility/fake-cloud.ts";
import {
  ACCOUNT,
  GROUP,
  idOf,
  machineModel,
  makeDisk,
  makeNic,
  POLL,
  refusal,
  REGION,
  startWorld,
  type World,
} from "./world.ts";

const MIB = 1024 * 1024;
const STORAGE_ID = idOf("Microsoft.Storage/storageAccounts", ACCOUNT);

let world: World;
beforeAll(async () => {
  if (!existsSync(mobilityProgram())) throw new Error("Run: npm run build");
  world = await startWorld({ startMobility });
  await world.clients.storage.storageAccounts.create(
    GROUP,
    ACCOUNT,
    { location: REGION, sku: { name: "Standard_ZRS" }, kind: "StorageV2" },
    POLL,
  );
});
afterAll(() => world.stop());

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

describe("disks", () => {
  it("are imported from a page blob byte for byte, copied, snapped, and downloaded as VHDs again", async () => {
    expect.assertions(11);
    const { compute } = world.clients;
    const bytes = content(5);
    const uri = await world.putVhd("good.vhd", bytes);
    const made = await importDisk("imported", uri);
    expect(made).toMatchObject({ provisioningState: "Succeeded", diskSizeBytes: 5 * MIB, diskSizeGB: 1 });
    const copy = { location: REGION, creationData: { createOption: "Copy", sourceResourceId: made.id ?? "" } } as const;
    const snapshot = await compute.snapshots.createOrUpdate(GROUP, "snap", copy, POLL);
    const fromSnapshot = {
      location: REGION,
      creationData: { createOption: "Copy", sourceResourceId: snapshot.id ?? "" },
    } as const;
    await compute.disks.createOrUpdate(GROUP, "again", fromSnapshot, POLL);
    for (const read of [
      await compute.disks.grantAccess(GROUP, "again", { access: "Read", durationInSeconds: 600 }, POLL),
      await compute.snapshots.grantAccess(GROUP, "snap", { access: "Read", durationInSeconds: 600 }, POLL),
    ]) {
      const vhd = await new BlobClient(read.accessSAS ?? "").downloadToBuffer();
      expect(vhd.subarray(0, bytes.length).equals(bytes)).toBe(true);
      expect(readFixedVhd(vhd.subarray(bytes.length), vhd.length)).toEqual({ sizeBytes: bytes.length });
    }
    const { accessSAS = "" } = await compute.disks.grantAccess(
      GROUP,
      "again",
      { access: "Read", durationInSeconds: 600 },
      POLL,
    );
    expect((await compute.disks.get(GROUP, "again")).diskState).toBe("ActiveSAS");
    const part = await fetch(accessSAS, { headers: { "x-ms-range": `bytes=${5 * MIB - 512}-${5 * MIB + 511}` } });
    expect([part.status, part.headers.get("content-range")]).toEqual([
      206,
      `bytes ${5 * MIB - 512}-${5 * MIB + 511}/${5 * MIB + 512}`,
    ]);
    expect(
      Buffer.from(await part.arrayBuffer())
        .subarray(0, 512)
        .equals(bytes.subarray(-512)),
    ).toBe(true);
    await expect(compute.disks.delete(GROUP, "again", POLL)).rejects.toEqual(refusal(409, "OperationNotAllowed"));
    await compute.disks.revokeAccess(GROUP, "again", POLL);
    expect((await fetch(accessSAS)).status).toBe(403);
    await compute.disks.delete(GROUP, "again", POLL);
    expect((await fetch(accessSAS.replace(/sig=[^&]*/, "sig=x"))).status).toBe(403);
  });

  it("are refused when the blob is no fixed VHD that Azure would import, with the reason", async () => {
    expect.assertions(8);
    const bytes = content(2);
    const refused = async (name: string, damage: (vhd: Buffer) => void): Promise<unknown> =>
      importDisk(name, await world.putVhd(`${name}.vhd`, bytes, damage)).then(undefined, (error: unknown) =>
        String(error),
      );
    const footerAt = bytes.length;
    expect(await refused("cookie", (vhd) => vhd.write("connectiy", footerAt))).toContain("InvalidVhd");
    expect(await refused("sum", (vhd) => vhd.writeUInt8(vhd.readUInt8(footerAt + 500) ^ 1, footerAt + 500))).toContain(
      "checksum",
    );
    expect(await refused("dynamic", (vhd) => vhd.writeUInt32BE(3, footerAt + 60))).toContain("not 2 (fixed)");
    const missing = await importDisk("missing", `${world.storage.account(ACCOUNT).blobUrl}/vhds/nothing.vhd`).then(
      undefined,
      String,
    );
    expect(missing).toContain("BlobNotFound");
    expect((await world.clients.compute.disks.get(GROUP, "missing")).provisioningState).toBe("Failed");
    const service = BlobServiceClient.fromConnectionString(world.storage.account(ACCOUNT).connectionString);
    const block = service.getContainerClient("vhds").getBlockBlobClient("block.vhd");
    await block.upload(bytes, bytes.length);
    expect(await importDisk("block", block.url).then(undefined, String)).toContain("not a page blob");
    await expect(importDisk("foreign", "https://other.blob.core.windows.net/vhds/x.vhd")).rejects.toEqual(
      refusal(400, "InvalidParameter"),
    );
    await expect(importDisk("lost", await world.putVhd("lost.vhd", bytes), `${STORAGE_ID}x`)).rejects.toMatchObject({
      statusCode: 400,
    });
  });
});

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
    expect(world.arm.machineOf(vmId)?.mobility).toBeUndefined();

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
      const address = world.arm.machineOf(vmId)?.mobility?.address ?? { kind: "unix", path: "" };
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
    expect(world.arm.machineOf(vmId)?.mobility?.running).toBe(true);
    await expect(
      compute.disks.grantAccess(GROUP, "os", { access: "Read", durationInSeconds: 60 }, POLL),
    ).rejects.toEqual(refusal(409, "OperationNotAllowed"));
    const hotCopy = { location: REGION, creationData: { createOption: "Copy", sourceResourceId: disks[0] } } as const;
    await expect(compute.snapshots.createOrUpdate(GROUP, "hot", hotCopy, POLL)).rejects.toEqual(
      refusal(501, "NotSupportedByLocalCloud"),
    );

    await world.restart();
    expect(world.arm.machineOf(vmId)?.mobility?.running).toBe(true);
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

  it("tell by their extension when its service does not start, and take disks and interfaces along that are to be deleted with them", async () => {
    expect.assertions(5);
    const { compute, network } = world.clients;
    const model = machineModel(await makeNic(world, "nic2"), await makeDisk(world, "os2"));
    const deep = {
      ...model,
      storageProfile: { osDisk: { ...model.storageProfile.osDisk, deleteOption: "Delete" as const } },
      networkProfile: {
        networkInterfaces: [{ ...model.networkProfile.networkInterfaces[0], deleteOption: "Delete" as const }],
      },
    };
    const vm = await compute.virtualMachines.createOrUpdate(GROUP, "vm2", deep, POLL);
    const path = world.arm.machineOf(vm.id ?? "")?.disks[0]?.path ?? "";
    const settings = { itemId: "NOT AN ITEM", apiUrl: "http://127.0.0.1:9/api", registrationToken: "t" };
    const extension = {
      location: REGION,
      publisher: "Microsoft.Azure.Extensions",
      typePropertiesType: "CustomScript",
      typeHandlerVersion: "2.1",
      protectedSettings: {
        commandToExecute: `sh install-mobility.sh ${Buffer.from(JSON.stringify(settings)).toString("base64url")}`,
      },
    };
    await expect(
      compute.virtualMachineExtensions.createOrUpdate(GROUP, "vm2", "mobility", extension, POLL),
    ).rejects.toThrow(/VMExtensionProvisioningError.*itemId/);
    expect((await compute.virtualMachineExtensions.get(GROUP, "vm2", "mobility")).provisioningState).toBe("Failed");
    await compute.virtualMachines.delete(GROUP, "vm2", POLL);
    await expect(compute.disks.get(GROUP, "os2")).rejects.toEqual(refusal(404, "ResourceNotFound"));
    await expect(network.networkInterfaces.get(GROUP, "nic2")).rejects.toEqual(refusal(404, "ResourceNotFound"));
    expect(existsSync(path)).toBe(false);
  });
});
