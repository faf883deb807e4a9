import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { vhdDataBytes, vhdFooter, vhdUniqueId } from "../../replication/records/vhd-footer.ts";
import { need, tool } from "./tools.ts";

const qemuImg = need("qemu-img");
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

it.skipIf(qemuImg.skip)(
  `qemu-img takes a disk with our footer for a fixed VHD of exactly its size${qemuImg.note}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "leeward-vhd-"));
    try {
      for (const sizeBytes of [512, MIB, 5 * MIB + 512, 30 * GIB, 127 * GIB, 1000 * GIB]) {
        const path = join(folder, "disk.vhd");
        const dataBytes = vhdDataBytes(sizeBytes);
        const file = openSync(path, "w");
        ftruncateSync(file, dataBytes);
        writeSync(
          file,
          vhdFooter({ sizeBytes: dataBytes, uniqueId: vhdUniqueId("vm-1", 1, "os"), createdMs: 0 }),
          0,
          512,
          dataBytes,
        );
        closeSync(file);
        const info: unknown = JSON.parse(await tool("qemu-img", ["info", "-f", "vpc", "--output=json", path]));
        expect(info).toMatchObject({ format: "vpc", "virtual-size": dataBytes });
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
