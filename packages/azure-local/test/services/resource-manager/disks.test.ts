import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { BlobClient, BlobServiceClient } from "@azure/storage-blob";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFixedVhd } from "../../../resource-manager/disks/fixed-vhd.ts";
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
  world = await startWorld();
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
  it("report by their extension that its program does not start, and delete disks and interfaces that are marked for it", async () => {
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
    const extension = {
      location: REGION,
      publisher: "Microsoft.Azure.Extensions",
      typePropertiesType: "CustomScript",
      typeHandlerVersion: "2.1",
      protectedSettings: { commandToExecute: "run broken" },
    };
    await expect(
      compute.virtualMachineExtensions.createOrUpdate(GROUP, "vm2", "program", extension, POLL),
    ).rejects.toThrow(/VMExtensionProvisioningError.*it is broken/);
    expect((await compute.virtualMachineExtensions.get(GROUP, "vm2", "program")).provisioningState).toBe("Failed");
    await compute.virtualMachines.delete(GROUP, "vm2", POLL);
    await expect(compute.disks.get(GROUP, "os2")).rejects.toEqual(refusal(404, "ResourceNotFound"));
    await expect(network.networkInterfaces.get(GROUP, "nic2")).rejects.toEqual(refusal(404, "ResourceNotFound"));
    expect(existsSync(path)).toBe(false);
  });
});
