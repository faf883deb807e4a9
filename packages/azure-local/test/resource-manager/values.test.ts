import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it, onTestFinished } from "vitest";
import { openDiskFiles } from "../../resource-manager/disks/disk-files.ts";
import { readFixedVhd, vhdFooter } from "../../resource-manager/disks/fixed-vhd.ts";
import { isGranted, signatureHash } from "../../resource-manager/disks/vhd-download.ts";
import { createFaults } from "../../resource-manager/engine/faults.ts";
import { createPast } from "../../resource-manager/engine/past.ts";
import { openStore } from "../../resource-manager/engine/store.ts";
import { readCommand } from "../../resource-manager/machines/machine-program.ts";
import { contains, formatAddress, overlap, parseAddress, parseBlock } from "../../resource-manager/types/addresses.ts";

const MIB = 1024 * 1024;

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "leeward-arm-unit-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe("the footer of a downloaded VHD", () => {
  test.prop([fc.integer({ min: 1, max: 8 * MIB - 1 }), fc.integer({ min: 946_684_800_000, max: 4_000_000_000_000 })])(
    "is one that an import takes",
    (sizeMiB, createdMs) => {
      const footer = vhdFooter(sizeMiB * MIB, { uniqueId: randomUUID(), createdMs });
      expect(readFixedVhd(footer, sizeMiB * MIB + 512)).toEqual({ sizeBytes: sizeMiB * MIB });
    },
  );
});

describe("disk files", () => {
  it("are copied with their holes, grow and never shrink, and appear only when they are whole", async () => {
    const folder = temporaryFolder();
    const disks = await openDiskFiles(folder);
    const noise = randomBytes(70_000);
    await disks.create("a", async (file) => {
      await file.truncate(32 * MIB);
      await file.write(noise, 0, noise.length, 9 * MIB + 512);
    });
    await disks.copy("a", "b");
    const copied = readFileSync(disks.path("b"));
    expect(copied.equals(readFileSync(disks.path("a")))).toBe(true);
    expect(statSync(disks.path("b")).blocks * 512).toBeLessThan(16 * MIB);
    await disks.grow("b", 33 * MIB);
    await disks.grow("b", MIB);
    expect(await disks.sizeBytes("b")).toBe(33 * MIB);
    const broken = disks.create("c", () => Promise.reject(new Error("broke off")));
    await expect(broken).rejects.toThrow("broke off");
    expect(await disks.sizeBytes("c")).toBeUndefined();
    await disks.create("c", (file) => file.truncate(MIB));
    expect(await disks.sizeBytes("c")).toBe(MIB);
    await disks.remove("c");
    await disks.remove("c");
    expect(await disks.sizeBytes("c")).toBeUndefined();
  });
});

describe("addresses", () => {
  it.each(["10.0.0.1/16", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.256/32", "x/8", "10.0.0.0/8/8"])(
    "%s is no block",
    (text) => {
      expect(parseBlock(text)).toBeUndefined();
    },
  );
  test.prop([fc.nat(0xffff_ffff)])("are parsed as they are formatted", (address) => {
    expect(parseAddress(formatAddress(address))).toBe(address);
  });
  it("contain and overlap each other", () => {
    const block = (text: string) => parseBlock(text) ?? { first: 0, last: 0 };
    const [wide, narrow, beside] = [block("10.0.0.0/16"), block("10.0.3.0/24"), block("10.1.0.0/16")] as const;
    expect([contains(wide, narrow), contains(narrow, wide), overlap(wide, narrow), overlap(wide, beside)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });
});

describe("faults", () => {
  const request = { method: "POST", type: "Microsoft.Compute/virtualMachines", name: "VM", action: "start" };
  it("strike as often as they say, and only where they are meant to", () => {
    const faults = createFaults(createPast());
    faults.add({
      phase: "request",
      type: "microsoft.compute/virtualmachines",
      name: "vm",
      action: "START",
      times: 2,
      code: "X",
    });
    expect(() => faults.refuse({ ...request, action: "deallocate" })).not.toThrow();
    expect(() => faults.refuse({ ...request, name: "other" })).not.toThrow();
    for (let time = 0; time < 2; time++)
      expect(() => faults.refuse(request)).toThrow(expect.objectContaining({ status: 409, code: "X" }));
    expect(() => faults.refuse(request)).not.toThrow();
    faults.add({ phase: "async", times: 1 });
    expect(() => faults.refuse(request)).not.toThrow();
    expect(faults.failureOf(request)).toMatchObject({
      code: "InternalExecutionError",
      message: expect.any(String) as string,
    });
    expect(faults.failureOf(request)).toBeUndefined();
  });
});

describe("the protected settings of an extension", () => {
  it("is a script, decoded, or a command line", () => {
    expect(readCommand({ script: Buffer.from("#!/bin/sh\n").toString("base64") })).toEqual({
      kind: "script",
      text: "#!/bin/sh\n",
    });
    expect(readCommand({ commandToExecute: "run it" })).toEqual({ kind: "command", text: "run it" });
  });
  it.each([[undefined], [{}], ["text"], [{ script: 7 }], [{ script: "", commandToExecute: "both" }]])(
    "is refused when it is %j",
    (given) => {
      expect(() => readCommand(given)).toThrow(expect.objectContaining({ code: "VMExtensionProvisioningError" }));
    },
  );
});

describe("access to a disk", () => {
  it("needs the signature, before its time is over", () => {
    const access = { signatureHash: signatureHash("right"), expiresMs: 1000 };
    expect([isGranted(access, "right", 999), isGranted(access, "right", 1000), isGranted(access, "wrong", 0)]).toEqual([
      true,
      false,
      false,
    ]);
    expect(isGranted(undefined, "", 0)).toBe(false);
  });
});

describe("the store", () => {
  it("undoes a transaction that throws, and says what to do with a damaged file", () => {
    const file = join(temporaryFolder(), "resources.sqlite");
    const store = openStore(file, () => []);
    const record = {
      id: "/A",
      key: "/a",
      type: "t",
      name: "a",
      groupKey: "g",
      parentKey: undefined,
      location: "l",
      body: { properties: {} },
      hidden: {},
      provisioningState: "Succeeded",
      etag: "1",
    };
    store.transaction(() => store.putResource(record));
    expect(() =>
      store.transaction(() => {
        store.removeResource("/a");
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(store.resource("/a")).toMatchObject({ id: "/A" });
    expect(statSync(file).mode & 0o077).toBe(0);
    store.close();
    writeFileSync(file, "this is no database, and long enough to be taken for none".repeat(20));
    expect(() => openStore(file, () => [])).toThrow(
      expect.objectContaining({
        code: "state-damaged",
        hint: expect.stringContaining("forgets all resources") as string,
      }),
    );
  });
});
