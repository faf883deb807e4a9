import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openImage } from "../../mobility/disks/image.ts";
import { systemPorts } from "../../mobility/service/ports.ts";
import { startMobility } from "../../mobility/service/service.ts";
import { parseConfig } from "../../mobility/system/config.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { startFakeCloud } from "../mobility/fake-cloud.ts";
import { connectNbd } from "../mobility/nbd-client.ts";
import { replay } from "../mobility/replay.ts";
import { temporaryFolder } from "../mobility/temporary.ts";
import { noise, uploaded } from "../services/mobility/world.ts";
import { need, tool } from "./tools.ts";

const FILES = nodeFiles();

const MIB = 1024 * 1024;
const losetup = need("losetup");
const mkfs = need("losetup", "mkfs.ext4", "mount", "umount");
const loops = losetup.skip ? "losetup is missing" : await loopProblem();
const skip = loops !== undefined && process.env["LEEWARD_REQUIRE_TOOLS"] === undefined;
const note = loops === undefined ? "" : ` (loop devices do not work here: ${loops})`;

/** Why this machine or this user cannot make loop devices, or undefined. */
async function loopProblem(): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "lw-"));
  const path = join(folder, "probe.img");
  try {
    writeFileSync(path, Buffer.alloc(MIB));
    const device = (await tool("losetup", ["--find", "--show", path])).trim();
    await tool("losetup", ["--detach", device]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n")[1] ?? error.message) : String(error);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function loopDevice(
  sizeBytes: number,
  blockBytes = 512,
): Promise<{ readonly path: string; readonly file: string }> {
  const file = join(temporaryFolder(), "disk.img");
  writeFileSync(file, "");
  truncateSync(file, sizeBytes);
  const path = (await tool("losetup", ["--sector-size", String(blockBytes), "--find", "--show", file])).trim();
  onTestFinished(async () => void (await tool("losetup", ["--detach", path])));
  return { path, file };
}

const refused = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string });

describe.skipIf(skip)(`block devices, on loop devices${note}`, () => {
  it("rule 1: a device is served, replicated and equal to its target", async () => {
    const { path } = await loopDevice(4 * MIB);
    const folder = temporaryFolder();
    const cloud = await startFakeCloud();
    onTestFinished(() => cloud.stop());
    const socketPath = join(folder, "nbd.sock");
    const config = {
      itemId: "vm1",
      apiUrl: cloud.apiUrl,
      registrationToken: cloud.registrationToken,
      stateFolder: join(folder, "state"),
      machineId: "machine",
      disks: [{ id: "disk", path }],
      nbd: { socketPath },
      heartbeatMs: 250,
    };
    const ports = systemPorts(() => undefined);
    const service = await startMobility(parseConfig(JSON.stringify(config)), { ...ports, bootId: "boot-1" });
    const client = await connectNbd({ path: socketPath });
    expect(client.sizeBytes).toBe(4 * MIB);
    await client.write(MIB + 100, noise(100_000), true);
    await client.zero(MIB + 4096, 8192);
    await client.close();
    await service.cut();
    await uploaded(service);
    await service.stop();
    ports.transport.close();
    expect(replay(cloud.blobs).images[0]?.equals(readFileSync(path))).toBe(true);
  });

  it("N3: a device whose blocks are not the configured ones is refused", async () => {
    const { path } = await loopDevice(4 * MIB, 4096);
    expect(() => openImage(FILES, "disk", path, 512)).toThrowError(
      refused("disk-invalid", /blocks of 4096 bytes .* sectorSizeBytes 512/),
    );
    const image = openImage(FILES, "disk", path, 4096);
    expect(image.sizeBytes).toBe(4 * MIB);
    image.close();
  });

  it("a device that somebody else holds is refused", async () => {
    const { path } = await loopDevice(4 * MIB);
    const image = openImage(FILES, "disk", path, 512);
    expect(() => openImage(FILES, "disk", path, 512)).toThrowError(
      refused("configuration-invalid", /mounted or in use/),
    );
    image.close();
    openImage(FILES, "disk", path, 512).close();
  });

  it.skipIf(mkfs.skip)(`a mounted device is refused${mkfs.note}`, async () => {
    const { path } = await loopDevice(8 * MIB);
    await tool("mkfs.ext4", ["-q", path]);
    const folder = temporaryFolder();
    await tool("mount", [path, folder]);
    try {
      expect(() => openImage(FILES, "disk", path, 512)).toThrowError(
        refused("configuration-invalid", /mounted or in use/),
      );
    } finally {
      await tool("umount", [folder]);
    }
  });

  it("a device that shrinks under the service fails the read and never reads as zeros; one that grows keeps its size until it is opened again", async () => {
    const { path, file } = await loopDevice(4 * MIB);
    const image = openImage(FILES, "disk", path, 512);
    truncateSync(file, 8 * MIB);
    await tool("losetup", ["--set-capacity", path]);
    expect(image.sizeBytes).toBe(4 * MIB);
    truncateSync(file, 2 * MIB);
    await tool("losetup", ["--set-capacity", path]);
    expect(() => image.read(Buffer.alloc(512), 3 * MIB)).toThrowError(refused("capture-failed", /became shorter/));
    expect(() => image.write(Buffer.alloc(512), 3 * MIB)).toThrowError(/ENOSPC/);
    image.close();
    const again = openImage(FILES, "disk", path, 512);
    expect(again.sizeBytes).toBe(2 * MIB);
    again.close();
  });
});
