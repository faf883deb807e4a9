import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { connectNbd } from "../../mobility/nbd-client.ts";
import type { TestClient } from "../../mobility/nbd-client.ts";
import { replay } from "../../mobility/replay.ts";
import { createWorld, noise, until } from "./world.ts";
import type { World } from "./world.ts";

const SEED = Number(process.env["FC_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const KILLS = Number(process.env["LEEWARD_KILLS"] ?? 6);
const SECTORS = 3000;

/** A generator of its own, so that a seed gives the same moments and writes again (mulberry32). */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below;
  };
}

async function startChild(world: World) {
  const child = fork("mobility/main.ts", ["--config", world.configPath], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let ready = false;
  child.on("message", (message) => (ready ||= (message as { readonly kind: string }).kind === "ready"));
  await until("the service is ready", () => ready);
  return child;
}

/**
 * What a sector of one disk may hold: the last answered content, or that of a request under way when the service died. Writers of different lanes never
 * touch the same sector, and a lane has one request at a time, so the order is known without looking at the service.
 */
interface Sector {
  answered: number;
  underWay: number | undefined;
}

describe("mobility service under kill -9", () => {
  it(`rule 4: loses nothing that was answered, in ${KILLS} kills under writes (FC_SEED=${SEED})`, async () => {
    const random = createRandom(SEED);
    const world = await createWorld({ first: noise(700_000), epochMaxAgeMs: 60, sizeBytes: SECTORS * 512 });
    const initial = [world.image(0), world.image(1)];
    const sectors = [0, 1].map(() => Array.from({ length: SECTORS }, (): Sector => ({ answered: 0, underWay: undefined })));
    let stamp = 0;

    /** One sector of content that names itself; 0 stands for what the disk held first, negative numbers for zeros. */
    const content = (disk: number, sector: number, number: number): Buffer => {
      if (number === 0) return initial[disk]?.subarray(sector * 512, sector * 512 + 512) ?? Buffer.alloc(512);
      if (number < 0) return Buffer.alloc(512);
      const bytes = Buffer.alloc(512, number % 251);
      bytes.writeUInt32LE(number, 0);
      bytes.writeUInt32LE(sector, 508);
      return bytes;
    };
    const matches = (image: Buffer, disk: number): readonly number[] =>
      (sectors[disk] ?? []).flatMap(({ answered, underWay }, sector) => {
        const found = image.subarray(sector * 512, sector * 512 + 512);
        const allowed = underWay === undefined ? [answered] : [answered, underWay];
        return allowed.some((number) => found.equals(content(disk, sector, number))) ? [] : [sector];
      });
    const settle = (disk: number, image: Buffer): void => {
      for (const [sector, state] of (sectors[disk] ?? []).entries()) {
        const { underWay } = state;
        if (underWay !== undefined && image.subarray(sector * 512, sector * 512 + 512).equals(content(disk, sector, underWay)))
          state.answered = underWay;
        state.underWay = undefined;
      }
    };

    /** Writes without end over the sectors of one lane, until the connection breaks. */
    const lane = async (number: number): Promise<void> => {
      const disk = number % 2;
      let client: TestClient | undefined;
      try {
        client = await connectNbd({ path: world.socketPath }, disk === 0 ? "a-data" : "b-os");
        for (;;) {
          const count = 1 + Math.floor(random(8));
          const first = number * (SECTORS / 4) + Math.floor(random(SECTORS / 4 - count));
          stamp += 1;
          const value = random(8) < 1 ? -stamp : stamp;
          const range = (sectors[disk] ?? []).slice(first, first + count);
          for (const sector of range) sector.underWay = value;
          const data = Buffer.concat(range.map((_, index) => content(disk, first + index, value)));
          if (value < 0) await client.zero(first * 512, count * 512);
          else await client.write(first * 512, data, random(10) < 1);
          for (const sector of range) {
            sector.answered = value;
            sector.underWay = undefined;
          }
          if (random(20) < 1) await client.flush();
        }
      } catch {
        client?.destroy();
      }
    };

    for (let kill = 0; kill < KILLS; kill += 1) {
      const child = await startChild(world);
      // A request that was under way has been redone from its record, or left no trace: now its sectors are settled.
      for (const disk of [0, 1]) {
        expect(matches(world.image(disk), disk)).toEqual([]);
        settle(disk, world.image(disk));
      }
      const lanes = [0, 1, 2, 3].map(lane);
      await sleep(20 + random(400));
      child.kill("SIGKILL");
      await once(child, "exit");
      await Promise.all(lanes);
      for (const disk of [0, 1]) expect(matches(world.image(disk), disk)).toEqual([]);
    }

    const service = await world.start();
    for (const disk of [0, 1]) expect(matches(world.image(disk), disk)).toEqual([]);
    await service.cut();
    await until("everything is uploaded", () => service.status().seeding.done && service.status().pendingBytes === 0);
    const { images, headers } = replay(world.cloud.blobs);
    expect(images.map((image, disk) => image.equals(world.image(disk)))).toEqual([true, true]);
    expect(headers.at(-1)?.flags.seeding).toBe(false);
    expect(world.journalFiles().length).toBe(1);
  });
});
