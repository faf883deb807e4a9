import { mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseDemoOptions } from "../../local/demo/options.ts";
import { parseStartOptions } from "../../local/start/options.ts";
import { ownVm } from "../../local/start/own-disks.ts";
import { lockFolder, lockHolder } from "../../local/supervisor/lock.ts";
import { FIXED_PORTS } from "../../local/supervisor/ports.ts";
import { cloudSecrets } from "../../local/supervisor/secrets.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "leeward-start-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function image(name: string, sizeBytes: number): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, "");
  await truncate(path, sizeBytes);
  return path;
}

describe("npm start's options", () => {
  it("are the lab VM with a writer on the fixed ports when nothing is said", () => {
    expect(parseStartOptions([])).toEqual({ images: [], writer: true, ports: FIXED_PORTS });
    // The raw disks are open to every user of the machine only when somebody asks for it.
    expect(parseStartOptions([]).ports.nbd).toBeUndefined();
    expect(parseStartOptions(["--nbd-port", "10809"]).ports.nbd).toBe(10_809);
  });
  it("never start a writer on the user's own images", () => {
    expect(parseStartOptions(["--disk", "a.img", "--disk", "b.img"])).toMatchObject({
      images: ["a.img", "b.img"],
      writer: false,
    });
  });
  it("change each port by the option that a taken port names", () => {
    const { ports } = parseStartOptions([
      "--app-port",
      "1",
      "--cache-port",
      "2",
      "--cache-queue-port",
      "3",
      "--target-port",
      "4",
    ]);
    expect(ports).toMatchObject({
      app: 1,
      cacheBlob: 2,
      cacheQueue: 3,
      targetBlob: 4,
      targetQueue: FIXED_PORTS.targetQueue,
    });
  });
  it.each([["--app-port", "0"], ["--app-port", "x"], ["--frobnicate"], ["image.img"]])(
    "refuse %s %s with the usage",
    (...parameters) => {
      expect(() => parseStartOptions(parameters)).toThrow(
        expect.objectContaining({ hint: expect.stringContaining("Usage: npm start") as string }),
      );
    },
  );
});

describe("the demo's options", () => {
  it("take a seed, and draw one otherwise", () => {
    expect(parseDemoOptions(["--seed", "7", "--corrupt"], () => 0)).toEqual({ seed: 7, corrupt: true, keep: false });
    expect(parseDemoOptions([], () => 0.5).seed).toBe(2 ** 30);
  });
  it("refuse a seed that is no whole number", () => {
    expect(() => parseDemoOptions(["--seed", "abc"], () => 0)).toThrow("--seed takes a whole number");
  });
});

describe("the user's own images", () => {
  it("are the same item at every start, and their file names are the disks' ids", async () => {
    const images = [await image("My disk.img", 1024), await image("data.raw", 512)];
    const vm = await ownVm(images);
    expect(vm.disks.map(({ id, sizeBytes }) => [id, sizeBytes])).toEqual([
      ["My-disk", 1024],
      ["data", 512],
    ]);
    expect((await ownVm(images)).itemId).toBe(vm.itemId);
    expect((await ownVm(images.toReversed())).itemId).not.toBe(vm.itemId);
    expect(vm.itemId).toMatch(/^vm-[0-9a-f]{8}$/);
  });
  it("that are missing, empty, no file, of an odd size or too large are named with what to do", async () => {
    const cases: readonly (readonly [string, string])[] = [
      [join(folder, "nowhere.img"), "is not there"],
      [await image("empty.img", 0), "is empty"],
      [folder, "is not a file"],
      [await image("odd.img", 1000), "not a multiple of 512"],
      [await image("huge.img", 8 * 2 ** 40 - 2 ** 20 + 512), `has ${8 * 2 ** 40 - 2 ** 20 + 512} bytes`],
    ];
    for (const [path, problem] of cases) {
      await expect(ownVm([path])).rejects.toMatchObject({
        code: "disk-invalid",
        message: expect.stringContaining(problem) as string,
      });
    }
  });
  it("cannot be given twice, not even under two names", async () => {
    const path = await image("one.img", 512);
    await symlink(path, join(folder, "other.img"));
    await expect(ownVm([path, join(folder, "other.img")])).rejects.toMatchObject({ code: "disk-invalid" });
  });
});

describe("the state folder", () => {
  it("belongs to one running cloud; a holder that is gone does not count", async () => {
    const state = join(folder, "state");
    const unlock = await lockFolder(state);
    await expect(lockFolder(state)).rejects.toThrow(`in use by process ${process.pid}`);
    await unlock();
    expect(await lockHolder(state)).toBeUndefined();
    // No process has this number: Linux ends at 4 million.
    await writeFile(join(state, "lock"), "99999999");
    await (
      await lockFolder(state)
    )();
  });
  it("keeps the keys of the first start", async () => {
    const first = await cloudSecrets(folder, ["one"]);
    expect(await cloudSecrets(folder, ["one"])).toEqual(first);
    await expect(cloudSecrets(folder, ["one", "two"])).rejects.toMatchObject({ hint: "Run: npm run reset" });
  });
});
