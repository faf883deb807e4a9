import { expect, it } from "vitest";
import { openService } from "../../mobility/service/service.ts";
import { parseConfig } from "../../mobility/system/config.ts";
import type { HttpAnswer } from "../../mobility/system/transport.ts";
import { decodeDelta } from "../../replication/delta/decode.ts";
import { startPosition, type DiskDescription } from "../../replication/position.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";
import { createServiceProcess, type CarriedRequest } from "../memory/service-process.ts";
import { createVirtualTime } from "../memory/virtual-time.ts";
import { NONCE } from "./replay.ts";

const START_MS = 1_750_000_000_000;
const CENTURY_MS = Date.UTC(2099, 0, 1) - START_MS;
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

it("a clock in another century does not pin the times of what the service says and sends", async () => {
  const random = createRandom(1);
  const time = createVirtualTime(START_MS, random);
  const medium = createMemoryMedium({ random, schedule: (work) => time.soon(work, 3) });
  medium.put("/dev/disk.img", Buffer.alloc(64 * 1024, 7));
  const opened = { stream: 1, start: startPosition("vm1", 1, DISKS, NONCE), nonce: NONCE };
  const lastWrites: number[] = [];
  const beats: { readonly sentMs: number; readonly currentAtMs?: number }[] = [];
  const events: string[] = [];
  let isAway = true;
  const answer = ({ method, url, body }: CarriedRequest): HttpAnswer => {
    if (method === "PUT") {
      lastWrites.push(decodeDelta(body).header.lastWriteMs);
      return { status: 201, headers: {}, body: "" };
    }
    if (url.pathname.endsWith("/heartbeat")) beats.push(JSON.parse(body.toString("utf8")) as (typeof beats)[number]);
    if (isAway && url.pathname.endsWith("/heartbeat")) return { status: 503, headers: {}, body: "" };
    const upload = { containerUrl: "https://own.example/container?sig=x", expiresMs: 1e15 };
    const registered = { ticket: "0".repeat(32), cacheEndpoint: "https://own.example" };
    const said = { ...opened, ...registered, upload, applied: opened.start, nowMs: time.nowMs, intervalMs: 1000 };
    return { status: 200, headers: {}, body: JSON.stringify(said) };
  };
  const process = createServiceProcess(
    { random, time, medium, log: (_, event) => events.push(event), network: async (request) => answer(request) },
    "boot-1",
  );
  const { clock } = process.ports;
  let aheadMs = CENTURY_MS;
  const ports = { ...process.ports, clock: { ...clock, now: () => clock.now() + aheadMs } };
  const service = await time.finish(openService(CONFIG, ports));
  const [volume] = service.volumes;
  const written = async (fill: number): Promise<void> => {
    await time.finish(Promise.resolve(volume?.write(0, Buffer.alloc(512, fill), true)));
    await time.finish(service.cut());
  };
  // Offline, and wrong: nobody knows better.
  await written(1);
  isAway = false;
  await time.until(
    () =>
      service.status().spoolCount === 0 && service.status().seeding.done && service.status().heartbeats.answered > 0,
  );
  expect(Math.max(...lastWrites)).toBeGreaterThan(START_MS + CENTURY_MS - 1);
  expect(events).toContain("clock-changed");
  lastWrites.length = 0;
  beats.length = 0;
  // Online, and still wrong; then right.
  for (const ahead of [CENTURY_MS, 0]) {
    aheadMs = ahead;
    await written(2 + Math.sign(ahead));
    await time.until(() => service.status().spoolCount === 0);
    expect(Math.abs((lastWrites.at(-1) ?? 0) - time.nowMs)).toBeLessThan(60_000);
    await time.until(() => (beats.at(-1)?.currentAtMs ?? 0) > (lastWrites.at(-1) ?? 0));
    expect(Math.abs((beats.at(-1)?.sentMs ?? 0) - time.nowMs)).toBeLessThan(60_000);
  }
  await time.finish(service.stop());
});
