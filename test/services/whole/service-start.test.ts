import { truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type MobilityOptions, startMobility } from "../../../local/supervisor/mobility-service.ts";
import { type World, onSuiteEnd, startWorld } from "./world.ts";

const MIB = 1024 * 1024;

describe("a mobility service that cannot start says why, and what to do", () => {
  const onEnd = onSuiteEnd();
  let world: World;
  let image = "";
  let registrationToken: string | undefined;
  let tries = 0;
  beforeAll(async () => {
    world = await startWorld(onEnd);
    image = join(world.folder, "only.img");
    await writeFile(image, "");
    await truncate(image, MIB);
    registrationToken = await world.operator.protect([{ id: "only", sizeBytes: MIB }], "starter");
  });

  const start = async (changes: Partial<MobilityOptions>): Promise<string> => {
    tries += 1;
    const options: MobilityOptions = {
      itemId: "starter",
      apiUrl: `${world.cloud.app.url}/api`,
      registrationToken,
      disks: [{ id: "only", path: image }],
      folder: join(world.folder, `vm-${tries}`),
      logFolder: world.cloud.logFolder,
      nbdPort: undefined,
      epochMaxAgeMs: 1000,
      heartbeatMs: 1000,
      ...changes,
    };
    try {
      await (await startMobility(options)).stop();
      return "started";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };

  it("because of its disks", async () => {
    const missing = join(world.folder, "missing.img");
    expect(await start({ disks: [{ id: "only", path: missing }] })).toContain(missing);
    const odd = join(world.folder, "odd.img");
    await writeFile(odd, "x".repeat(1000));
    expect(await start({ disks: [{ id: "only", path: odd }] })).toMatch(/multiple of 512/);
    expect(await start({ disks: [] })).toMatch(/1 to 65 disks/);
    const huge = join(world.folder, "huge.img");
    await writeFile(huge, "");
    await truncate(huge, 8 * MIB * MIB);
    expect(await start({ disks: [{ id: "only", path: huge }] })).toMatch(/8 TiB - 1 MiB/);
  });

  it("because of its settings", async () => {
    expect(await start({ apiUrl: "http://example.invalid/api" })).toMatch(/https/);
    expect(await start({ itemId: "UPPER" })).toMatch(/itemId/);
  });

  it("because the control plane refuses it; and with the right token it starts", async () => {
    expect(await start({ itemId: "nobody" })).toMatch(/not one of this item/);
    expect(await start({ registrationToken: "0".repeat(64) })).toMatch(/not one of this item/);
    expect(await start({ disks: [{ id: "other", path: image }] })).toMatch(/other disks/);
    const folder = join(world.folder, "vm-right");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(await start({ folder, nbdPort: port })).toMatch(/nbd\.port/);
    await new Promise((resolve) => server.close(resolve));
    // It had registered already: starting again from the same folder needs no new token.
    expect(await start({ folder })).toBe("started");
    // The token is used up: another service, with an empty state folder, needs a new one.
    expect(await start({})).toMatch(/Ask for a new registration token/);
    // The first one knows its stream and starts without any.
    expect(await start({ folder, registrationToken: undefined })).toBe("started");
    const second = join(world.folder, "second.img");
    await writeFile(second, Buffer.alloc(2 * MIB));
    expect(await start({ folder, disks: [{ id: "only", path: second }] })).toMatch(/another item or to other disks/);
  });
});
