import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { need, tool } from "../../clients/tools.ts";
import { createRandom } from "../../memory/random.ts";
import { connectNbd, type TestClient } from "../../mobility/nbd-client.ts";
import { replay } from "../../mobility/replay.ts";
import { activityOf, expectJournalIsImage, startChild } from "./killed.ts";
import { createWorld, noise, sameDisks, statusOf, until, uploaded } from "./world.ts";

const FIO = "fio";
const fio = need(FIO);
const SEED = Number(process.env["FC_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** CI asks for more: `npm run test:long`. */
const KILLS = Number(process.env["LEEWARD_KILLS"] ?? 12);
const SECTORS = 3000;
const LANE_SECTORS = SECTORS / 4;

/**
 * What a sector of one disk may hold: the last answered content, or that of a request under way when the service died.
 * Writers of different lanes never touch the same sector, and a lane has one request at a time, so the order is known
 * without looking at the service.
 */
interface Sector {
  answered: number;
  underWay: number | undefined;
}

/** One request of a lane: `value` names the content, a negative one zeros. */
interface Request {
  readonly first: number;
  readonly count: number;
  readonly value: number;
}

/** Four lanes of writers and what they know: requests in the order in which they were answered. */
class Oracle {
  readonly #initial: readonly Buffer[];
  readonly #sectors = [0, 1].map(() =>
    Array.from({ length: SECTORS }, (): Sector => ({ answered: 0, underWay: undefined })),
  );
  readonly #requests: Request[][] = [[], [], [], []];

  constructor(initial: readonly Buffer[]) {
    this.#initial = initial;
  }

  begin(lane: number, request: Request): Buffer {
    const { first, count, value } = request;
    for (const sector of this.#range(lane % 2, request)) sector.underWay = value;
    this.#requests[lane]?.push(request);
    return Buffer.concat(Array.from({ length: count }, (_, index) => this.#content(lane % 2, first + index, value)));
  }

  answered(lane: number, request: Request): void {
    for (const sector of this.#range(lane % 2, request)) {
      sector.answered = request.value;
      sector.underWay = undefined;
    }
  }

  /** Sectors that hold neither what was answered last nor what was under way. */
  wrong(disk: number, image: Buffer): readonly number[] {
    return (this.#sectors[disk] ?? []).flatMap(({ answered, underWay }, sector) => {
      const allowed = underWay === undefined ? [answered] : [answered, underWay];
      return allowed.some((value) => this.#holds(image, disk, sector, value)) ? [] : [sector];
    });
  }

  /**
   * After a start: a request that was under way has been redone from its record, or left no trace. Without a log
   * nothing redoes it, and the kernel ends a write between two pages when the process is killed: then its first sectors
   * may be there, as on any disk.
   */
  settle(images: readonly Buffer[], hadLog: boolean): void {
    for (const [lane, requests] of this.#requests.entries()) {
      const disk = lane % 2;
      const image = images[disk] ?? Buffer.alloc(0);
      const last = requests.at(-1);
      const sectors = last === undefined ? [] : this.#range(disk, last);
      if (last === undefined || sectors.every(({ underWay }) => underWay === undefined)) continue;
      const missing = sectors.findIndex((_, index) => !this.#holds(image, disk, last.first + index, last.value));
      const count = missing === -1 ? last.count : hadLog ? 0 : missing;
      requests.pop();
      if (count > 0) {
        const done = { ...last, count };
        requests.push(done);
        this.answered(lane, done);
      }
      for (const sector of sectors) sector.underWay = undefined;
    }
  }

  /**
   * Throws when the disks are not what every lane had made of them after some number of its requests, never fewer than
   * before.
   */
  prefixes(): (images: readonly Buffer[]) => void {
    const states = this.#requests.map((_, lane) => ({ at: 0, values: new Map<number, number>(), lane }));
    return (images) => {
      for (const state of states) {
        const requests = this.#requests[state.lane] ?? [];
        const image = images[state.lane % 2] ?? Buffer.alloc(0);
        while (!this.#isState(image, state.lane, state.values)) {
          const request = requests[state.at];
          expect(request, `lane ${state.lane} has a state that it never had`).toBeDefined();
          for (let index = 0; index < (request?.count ?? 0); index += 1)
            state.values.set((request?.first ?? 0) + index, request?.value ?? 0);
          state.at += 1;
        }
      }
    };
  }

  #isState(image: Buffer, lane: number, values: ReadonlyMap<number, number>): boolean {
    for (let sector = lane * LANE_SECTORS; sector < (lane + 1) * LANE_SECTORS; sector += 1) {
      if (!this.#holds(image, lane % 2, sector, values.get(sector) ?? 0)) return false;
    }
    return true;
  }

  #range(disk: number, { first, count }: Request): readonly Sector[] {
    return (this.#sectors[disk] ?? []).slice(first, first + count);
  }

  #holds(image: Buffer, disk: number, sector: number, value: number): boolean {
    return image.subarray(sector * 512, sector * 512 + 512).equals(this.#content(disk, sector, value));
  }

  /** One sector of content that names itself; 0 stands for what the disk held first, negative numbers for zeros. */
  #content(disk: number, sector: number, value: number): Buffer {
    if (value === 0) return this.#initial[disk]?.subarray(sector * 512, sector * 512 + 512) ?? Buffer.alloc(512);
    if (value < 0) return Buffer.alloc(512);
    const bytes = Buffer.alloc(512, value % 251);
    bytes.writeUInt32LE(value, 0);
    bytes.writeUInt32LE(sector, 508);
    return bytes;
  }
}

describe("mobility service under kill -9", () => {
  it(
    `rule 4: loses nothing that was answered, with a log and without one, in ${KILLS} kills under writes (FC_SEED=${SEED})`,
    { timeout: 600_000 },
    async () => {
      const random = createRandom(SEED);
      const settings = { spoolMaxBytes: 1024 * 1024 };
      const world = await createWorld({ first: noise(700_000), epochMaxAgeMs: 60, sizeBytes: SECTORS * 512, settings });
      const images = (): readonly Buffer[] => [world.image(0), world.image(1)];
      const oracle = new Oracle(images());
      const expectRight = (): void => {
        for (const [disk, image] of images().entries()) expect(oracle.wrong(disk, image)).toEqual([]);
      };
      let stamp = 0;

      /** Writes without end over the sectors of one lane, until the connection breaks. */
      const write = async (lane: number): Promise<void> => {
        let client: TestClient | undefined;
        try {
          client = await connectNbd({ path: world.socketPath }, lane % 2 === 0 ? "a-data" : "b-os");
          for (;;) {
            const count = 1 + random.below(8);
            stamp += 1;
            const value = random.below(8) === 0 ? -stamp : stamp;
            const request = { first: lane * LANE_SECTORS + random.below(LANE_SECTORS - count), count, value };
            const data = oracle.begin(lane, request);
            if (value < 0) await client.zero(request.first * 512, count * 512);
            else await client.write(request.first * 512, data, random.below(10) === 0);
            oracle.answered(lane, request);
            if (random.below(20) === 0) await client.flush();
          }
        } catch {
          client?.destroy();
        }
      };

      let tracked = 0;
      let hadLog = true;
      for (let kill = 0; kill < KILLS; kill += 1) {
        // In every second life nothing leaves the machine, and after a MiB of writes there is no log.
        world.cloud.onPut = kill % 2 === 1 ? () => 503 : undefined;
        const child = await startChild(world);
        expectRight();
        oracle.settle(images(), hadLog);
        const lanes = [0, 1, 2, 3].map(write);
        if (kill % 4 === 1) await until("there is no log", () => activityOf(world).kind === "tracking");
        await sleep(20 + random.below(400));
        child.kill("SIGKILL");
        await once(child, "exit");
        await Promise.all(lanes);
        expectRight();
        hadLog = activityOf(world).kind === "logging";
        if (!hadLog) tracked += 1;
      }
      expect(tracked).toBeGreaterThanOrEqual(Math.floor((KILLS + 2) / 4));

      world.cloud.onPut = undefined;
      const service = await world.start();
      expectRight();
      oracle.settle(images(), hadLog);
      await until("everything is uploaded", () => {
        const { mode, seeding, pendingBytes } = service.status();
        return mode === "logging" && seeding.done && pendingBytes === 0;
      });
      const check = oracle.prefixes();
      const target = replay(world.cloud.blobs, undefined, ({ flags }, disks) => {
        if (!flags.seeding) check(disks);
      });
      expect(target.images.map((image, disk) => image.equals(world.image(disk)))).toEqual([true, true]);
      expect(target.headers.at(-1)?.flags.seeding).toBe(false);
    },
  );
});

describe("mobility service under kill -9 of fio's verified writes", () => {
  it.skipIf(fio.skip)(
    `rule 4: the journal replayed on the deltas is the image after each of ${KILLS} kills, and fio finds every block (FC_SEED=${SEED})${fio.note}`,
    { timeout: 600_000 },
    async () => {
      const random = createRandom(SEED + 1);
      const MIB = 1024 * 1024;
      const world = await createWorld({ sizeBytes: 16 * MIB, epochMaxAgeMs: 100 });
      const fioArguments = (name: string, offset: string, seed: number): readonly string[] => [
        `--name=${name}`,
        "--ioengine=nbd",
        `--uri=nbd+unix:///a-data?socket=${world.socketPath}`,
        "--rw=randwrite",
        "--bs=4k",
        "--iodepth=16",
        `--offset=${offset}`,
        "--size=4M",
        "--verify=crc32c",
        "--verify_fatal=1",
        `--randseed=${seed}`,
      ];
      let child = await startChild(world);
      await tool(FIO, [...fioArguments("kept", "0", SEED), "--do_verify=0", "--end_fsync=1"], world.folder);
      await until("the first pass is over", () => statusOf(world).seeding.done);
      for (let kill = 0; kill < KILLS; kill += 1) {
        const load = spawn(FIO, [...fioArguments("killed", "8M", kill), "--do_verify=0", "--fsync=32", "--loops=100"], {
          cwd: world.folder,
        });
        const ended = once(load, "exit");
        onTestFinished(() => void load.kill("SIGKILL"));
        await until("fio writes", () => world.journalFiles().length > 0);
        await sleep(random.below(250));
        child.kill("SIGKILL");
        await once(child, "exit");
        load.kill("SIGKILL");
        await ended;
        expectJournalIsImage(world);
        child = await startChild(world);
        if (kill % 5 === 4) await tool(FIO, [...fioArguments("kept", "0", SEED), "--verify_only"], world.folder);
      }
      child.kill("SIGTERM");
      await once(child, "exit");
      const service = await world.start();
      await uploaded(service);
      expect(sameDisks(world)).toEqual([true, true]);
    },
  );
});
