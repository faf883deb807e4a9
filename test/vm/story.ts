import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "../../local/lab/random.ts";
import { SEED, startWorld, type OnEnd, type Point, type World } from "../services/whole/world.ts";
import type { Mark } from "./machine.ts";
import { type Known, makePool } from "./oracle.ts";
import { protectVm, type Vm } from "./vm.ts";

/** A moment at which something was killed. */
interface Blow {
  readonly what: string;
  /** Unix milliseconds. */
  readonly atMs: number;
}

/** What happened to one VM until its power was cut for good and everything it had written was replicated. */
export interface Story {
  readonly world: World;
  readonly vm: Vm;
  readonly known: Known;
  readonly blows: readonly Blow[];
  /** Oldest first; the last one holds everything. */
  readonly points: readonly Point[];
}

/**
 * Protects a VM, boots it, and kills its mobility service and its power at moments of the seed, each alone and both at
 * once.
 */
export async function playStory(onEnd: OnEnd): Promise<Story> {
  const world = await startWorld(onEnd);
  const pool = makePool(SEED);
  const vm = await protectVm(world, pool, onEnd);
  const random = seededRandom(SEED, 0x766d);
  const blows: Blow[] = [];
  const strike = async (what: string, kill: () => Promise<unknown>): Promise<void> => {
    await vm.writes(8 + random.below(12));
    // A mark is read between two files; a while later the guest may be at any step of any of the next ones.
    await sleep(random.below(200));
    blows.push({ what, atMs: Date.now() });
    await kill();
  };

  const killService = (): Promise<void> =>
    strike("the service is killed", () => vm.killService()).then(() => vm.startService());
  await vm.boot();
  for (let kill = 0; kill < 3; kill += 1) await killService();
  await strike("the power is cut", () => vm.cutPower());
  await vm.boot();
  await killService();
  await strike("the service is killed and the power is cut", () => Promise.all([vm.killService(), vm.cutPower()]));
  await vm.startService();
  await vm.boot();
  await killService();
  await strike("the power is cut for good", () => vm.cutPower());

  const last = await world.operator.pointOf(await vm.uploaded());
  const points = (await world.operator.points())
    .filter(({ position }) => position.epoch <= last.position.epoch)
    .toReversed();
  const hashes = new Map(vm.marks().map(({ number, hash }) => [number, hash]));
  return { world, vm, blows, points, known: { pool, hashes, boots: vm.boots().length } };
}

/**
 * The last file that the guest had marked before the source time of the point: the point must hold it and all before
 * it.
 */
export function filesDue(point: Point, marks: readonly Mark[]): number {
  return marks.findLast(({ atMs }) => atMs < Date.parse(point.sourceTime))?.number ?? 0;
}

/** The last point before each blow, the first one behind it, and the very last. */
export function pointsAround({ blows, points }: Story): readonly Point[] {
  const chosen = blows.flatMap(({ atMs }) => {
    const behind = points.findIndex(({ sourceTime }) => Date.parse(sourceTime) > atMs);
    return points.slice(Math.max(behind - 1, 0), behind + 1);
  });
  return [...new Set([...chosen, ...points.slice(-1)])];
}
