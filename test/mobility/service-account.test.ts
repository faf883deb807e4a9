import { expect, it } from "vitest";
import { openService } from "../../mobility/service/service.ts";
import { parseConfig } from "../../mobility/system/config.ts";
import type { HttpAnswer } from "../../mobility/system/transport.ts";
import { startPosition, type DiskDescription } from "../../replication/position.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";
import { createServiceProcess } from "../memory/service-process.ts";
import { createVirtualTime } from "../memory/virtual-time.ts";
import { NONCE } from "./replay.ts";

const DISKS: readonly DiskDescription[] = [{ id: "disk", sizeBytes: 64 * 1024, sectorSizeBytes: 512 }];
const CONFIG = parseConfig(
  JSON.stringify({
    itemId: "vm1",
    apiUrl: "https://app.example/api",
    registrationToken: "one-time-token",
    stateFolder: "/var/leeward/state",
    machineId: "machine",
    disks: [{ id: "disk", path: "/dev/disk.img" }],
    nbd: { socketPath: "/run/never.sock" },
  }),
);

it("the guest's data go to the account that the registration named, wherever heartbeats point", async () => {
  const random = createRandom(1);
  const time = createVirtualTime(1_750_000_000_000, random);
  const medium = createMemoryMedium({ random, schedule: (work) => time.soon(work, 3) });
  medium.put("/dev/disk.img", Buffer.alloc(64 * 1024, 7));
  const opened = { stream: 1, start: startPosition("vm1", 1, DISKS, NONCE), nonce: NONCE };
  const sentTo: string[] = [];
  let account = "https://other.example";
  const answer = (method: string, url: URL): HttpAnswer => {
    if (method === "PUT") {
      sentTo.push(url.host);
      return { status: 201, headers: {}, body: "" };
    }
    const upload = { containerUrl: `${account}/container?sig=x`, expiresMs: 1e15 };
    const registered = { ticket: "0".repeat(32), cacheEndpoint: "https://own.example" };
    return {
      status: 200,
      headers: {},
      body: JSON.stringify({ ...opened, ...registered, upload, applied: opened.start, intervalMs: 1000 }),
    };
  };
  const process = createServiceProcess(
    { random, time, medium, log: () => undefined, network: async ({ method, url }) => answer(method, url) },
    "boot-1",
  );
  const service = await time.finish(openService(CONFIG, process.ports));
  await time.until(() => service.status().spoolCount > 0 && service.status().heartbeats.answered > 3);
  expect(sentTo).toEqual([]);
  expect(service.status().lastError).toMatchObject({
    code: "store-refused",
    message: expect.stringContaining("another storage account"),
  });
  account = "https://own.example";
  await time.until(() => service.status().spoolCount === 0 && service.status().seeding.done);
  expect(new Set(sentTo)).toEqual(new Set(["own.example"]));
  await time.finish(service.stop());
  expect(process.medium.openPaths).toEqual([]);
});
