import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { replay } from "../mobility/replay.ts";
import { createWorld, noise, uploaded, type World } from "../services/mobility/world.ts";
import { need, tool } from "./tools.ts";

const nbdinfo = need("nbdinfo");
const nbdcopy = need("nbdcopy", "cmp");
const qemuImg = need("qemu-img");
const qemuIo = need("qemu-io");
const fio = need("fio");

const MIB = 1024 * 1024;
const SIZE = 32 * MIB;

/** The default export, as every tool takes it. */
const address = (world: World, name = ""): string => `nbd+unix:///${name}?socket=${world.socketPath}`;

async function startedWorld(first = noise(3 * MIB)) {
  const world = await createWorld({ second: first, sizeBytes: SIZE, epochMaxAgeMs: 200 });
  return { world, service: await world.start() };
}

/** A file as large as the disk: data, zeros and data again. */
function sourceFile(world: World): string {
  const path = join(world.folder, "source.img");
  writeFileSync(path, Buffer.concat([noise(5 * MIB), Buffer.alloc(7 * MIB), noise(3 * MIB + 4096)]));
  truncateSync(path, SIZE);
  return path;
}

describe("real NBD clients", () => {
  it.skipIf(nbdinfo.skip)(`nbdinfo shows the export with all that it offers${nbdinfo.note}`, async () => {
    const { world } = await startedWorld();
    const info = JSON.parse(await tool("nbdinfo", ["--json", address(world)])) as {
      readonly protocol: string;
      readonly exports: readonly object[];
    };
    expect(info).toMatchObject({
      protocol: "newstyle-fixed",
      exports: [
        {
          "export-size": SIZE,
          is_read_only: false,
          can_flush: true,
          can_fua: true,
          can_multi_conn: true,
          can_trim: true,
          can_zero: true,
          can_cache: true,
          block_size_minimum: 512,
          block_size_preferred: 4096,
          block_size_maximum: 64 * MIB,
        },
      ],
    });
  });

  it.skipIf(nbdinfo.skip)(`nbdinfo --list names every disk, the default export first${nbdinfo.note}`, async () => {
    const { world } = await startedWorld();
    const list = JSON.parse(await tool("nbdinfo", ["--list", "--json", address(world)])) as {
      readonly exports: readonly { readonly "export-name": string }[];
    };
    expect(list.exports.map((entry) => entry["export-name"])).toEqual(["b-os", "a-data"]);
  });

  it.skipIf(nbdcopy.skip)(
    `nbdcopy brings an image in over four connections and out again, byte for byte${nbdcopy.note}`,
    async () => {
      const { world, service } = await startedWorld();
      const source = sourceFile(world);
      const copy = join(world.folder, "copy.img");
      await tool("nbdcopy", ["--connections=4", source, address(world)]);
      await tool("nbdcopy", ["--connections=4", address(world), copy]);
      await tool("cmp", [source, copy]);
      await tool("cmp", [source, world.images[1] ?? ""]);
      await service.cut();
      await uploaded(service);
      expect(replay(world.cloud.blobs).images[1]?.equals(readFileSync(source))).toBe(true);
    },
  );

  it.skipIf(qemuImg.skip)(`qemu-img converts to and from the disk and finds it identical${qemuImg.note}`, async () => {
    const { world, service } = await startedWorld();
    const source = sourceFile(world);
    const qcow = join(world.folder, "copy.qcow2");
    await tool("qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", source, address(world, "b-os")]);
    expect(await tool("qemu-img", ["compare", "-f", "raw", "-F", "raw", source, address(world, "b-os")])).toContain(
      "identical",
    );
    await tool("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", address(world, "b-os"), qcow]);
    expect(await tool("qemu-img", ["compare", "-f", "raw", "-F", "qcow2", source, qcow])).toContain("identical");
    await service.cut();
    await uploaded(service);
    expect(replay(world.cloud.blobs).images[1]?.equals(readFileSync(source))).toBe(true);
  });

  it.skipIf(qemuIo.skip)(
    `qemu-io reads back its patterns after writes, FUA, zeroes, discards and overlapping requests in flight${qemuIo.note}`,
    async () => {
      const { world, service } = await startedWorld();
      const commands = [
        "write -P 0x5a 0 1M",
        "write -f -P 0x11 4k 4k",
        "write -z 1M 64k",
        "discard 2M 64k",
        "flush",
        "read -P 0x5a 8k 4k",
        "read -P 0x11 4k 4k",
        "read -P 0 1M 64k",
        "aio_write -P 0x21 8M 1M",
        "aio_write -P 0x22 8704k 1M",
        "aio_write -z 9M 512k",
        "aio_flush",
        "write -P 0x33 100 1000",
        "read -P 0x33 100 1000",
      ];
      const output = await tool("qemu-io", [
        "-f",
        "raw",
        ...commands.flatMap((command) => ["-c", command]),
        address(world),
      ]);
      expect(output).not.toMatch(/verification failed|error/i);
      await service.cut();
      await uploaded(service);
      expect(replay(world.cloud.blobs).images[1]?.equals(world.image(1))).toBe(true);
    },
  );

  it.skipIf(fio.skip)(
    `fio writes at random with 16 requests in flight and verifies every block${fio.note}`,
    async () => {
      const { world, service } = await startedWorld();
      const job = [
        "--name=verify",
        "--ioengine=nbd",
        `--uri=${address(world)}`,
        "--rw=randwrite",
        "--bsrange=4k-64k",
        "--iodepth=16",
      ];
      const output = await tool(
        "fio",
        [...job, `--size=${SIZE}`, "--verify=crc32c", "--verify_fatal=1", "--fsync=64"],
        world.folder,
      );
      expect(output).toMatch(/err= 0/);
      await service.cut();
      await uploaded(service);
      expect(replay(world.cloud.blobs).images[1]?.equals(world.image(1))).toBe(true);
    },
  );
});
