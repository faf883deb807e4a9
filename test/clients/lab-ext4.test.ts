import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addExt4File, checkExt4, makeExt4, missingExt4Tools } from "../../local/lab/ext4.ts";

const missing = missingExt4Tools();
const required = process.env["LEEWARD_REQUIRE_TOOLS"] !== undefined;
const SEED = 5;
const DISK_BYTES = 16 * 1024 * 1024;

describe.skipIf(missing.length > 0 && !required)(
  `the lab's ext4 file system${missing.length > 0 ? ` (needs ${missing.join(", ")})` : ""}`,
  () => {
    let folder = "";
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "leeward-ext4-"));
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    it("can be cut behind any block: the journal replays, e2fsck finds nothing, and a file is there from its commit block on", async () => {
      const shadowPath = join(folder, "shadow.img");
      const diskPath = join(folder, "disk.img");
      await makeExt4(shadowPath, DISK_BYTES);
      const disk = await readFile(shadowPath);
      let committed = 0;
      for (const number of [1, 2]) {
        for (const write of await addExt4File(shadowPath, number, SEED)) {
          write.bytes.copy(disk, write.offsetBytes);
          if (write.commits) committed = number;
          await writeFile(diskPath, disk);
          expect(await checkExt4(diskPath, SEED)).toEqual({ kind: "files", count: committed });
        }
        expect(committed).toBe(number);
        expect(disk.equals(await readFile(shadowPath))).toBe(true);
      }
    });

    it("is found damaged when one of its writes is lost", async () => {
      const shadowPath = join(folder, "lossy.img");
      const diskPath = join(folder, "lossy-disk.img");
      await makeExt4(shadowPath, DISK_BYTES);
      const disk = await readFile(shadowPath);
      const writes = await addExt4File(shadowPath, 1, SEED);
      for (const write of writes.slice(1)) write.bytes.copy(disk, write.offsetBytes);
      await writeFile(diskPath, disk);
      expect(await checkExt4(diskPath, SEED)).toMatchObject({ kind: "damaged" });
    });
  },
);
