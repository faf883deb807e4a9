import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { expect } from "vitest";
import { openCapture } from "../../mobility/capture.ts";
import type { Capture } from "../../mobility/capture.ts";
import { systemClock } from "../../mobility/clock.ts";
import { openDisks } from "../../mobility/disks/open-disks.ts";
import type { OpenedDisk } from "../../mobility/disks/open-disks.ts";
import { sealEpoch } from "../../mobility/epochs/seal.ts";
import { uploadedTo } from "../../mobility/epochs/state.ts";
import type { ServiceState } from "../../mobility/epochs/state.ts";
import type { SpooledDelta } from "../../mobility/epochs/spool.ts";
import { openState, stateFolder } from "../../mobility/open-state.ts";
import type { OpenedState } from "../../mobility/open-state.ts";
import { createPace } from "../../mobility/pace.ts";
import { deltaName } from "../../replication/items/names.ts";
import { startPosition } from "../../replication/position.ts";
import type { Position } from "../../replication/position.ts";
import type { FragileDisk } from "./fragile-disk.ts";
import { replay } from "./replay.ts";

const SECTOR = 512;
const IDS = ["a", "b"] as const;
/** The second disk ends in the middle of a grain of the dirty map. */
const SECTORS = [128, 89] as const;
const ACTIVITY = { regionBytes: 16_384, maxRegions: 5 };

interface Process {
  readonly folder: string;
  readonly disks: readonly OpenedDisk[];
  readonly opened: OpenedState;
  readonly capture: Capture;
  readonly waiting: SpooledDelta[];
  alive: boolean;
}

/** What a sector may hold after a power failure, the newest last: one fill byte each. */
type Allowed = number[];

/**
 * A machine with two small disks under the real capture, a cache that takes what the test lets through, and a model of both in bytes. Kills of the process and
 * of the machine may come at any turn of the event loop.
 */
export class SourceMachine {
  readonly cloud = new Map<string, Buffer>();
  spoolBoundBytes = 1024 * 1024;
  readonly #root: string;
  readonly #disk: FragileDisk;
  readonly #below: (limit: number) => number;
  readonly #sectors: Allowed[][];
  /** Digests of all states that the source disks ever had, in order. */
  readonly #history: string[] = [];
  #folders = 0;
  #boot = 1;
  #streams = 1;
  #process: Process | undefined;
  #faults: unknown[] = [];

  constructor(root: string, disk: FragileDisk, below: (limit: number) => number) {
    this.#root = root;
    this.#disk = disk;
    this.#below = below;
    this.#sectors = SECTORS.map((count) => Array.from({ length: count }, () => [below(3) === 0 ? 0 : below(256)]));
    const folder = this.#nextFolder();
    mkdirSync(join(folder, "state", "journal"), { recursive: true });
    mkdirSync(join(folder, "state", "spool"));
    for (const [index, id] of IDS.entries()) writeFileSync(this.#imagePath(folder, id), this.#model(index));
    disk.settle(folder);
  }

  get state(): ServiceState {
    return this.#running().opened.state.current;
  }

  /** Of the oldest segment of the journal. */
  segmentPath(): string {
    return join(this.#running().folder, "state", "journal", this.names("journal")[0] ?? "");
  }

  /** What stands in a folder of the state folder. */
  names(folder: "journal" | "spool"): readonly string[] {
    return readdirSync(join(this.#running().folder, "state", folder)).toSorted();
  }

  get capture(): Capture {
    return this.#running().capture;
  }

  /** Why the last start reads something again, if it does. */
  get readAgain(): OpenedState["seededAgain"] {
    return this.#running().opened.seededAgain;
  }

  async start(): Promise<void> {
    const folder = join(this.#root, String(this.#folders));
    const { files } = this.#disk;
    const disks = openDisks(
      files,
      IDS.map((id) => ({ id, path: this.#imagePath(folder, id), sectorSizeBytes: 512 })),
    );
    const places = stateFolder(join(folder, "state"));
    const opened = await openState({
      files,
      folder: places,
      itemId: "vm1",
      disks,
      bootId: String(this.#boot),
      register: async () =>
        startPosition(
          "vm1",
          1,
          disks.map((each) => each.description),
        ),
      activity: ACTIVITY,
    });
    const waiting = [...opened.spool];
    const capture = openCapture({
      files,
      clock: { ...systemClock(), now: () => 1000 },
      disks,
      opened,
      journalFolder: places.journal,
      spoolFolder: places.spool,
      epochMaxAgeMs: 3_600_000,
      thread: { run: async (job) => sealEpoch(files, job), stop: () => Promise.resolve() },
      spool: () => ({ count: waiting.length, bytes: waiting.reduce((sum, delta) => sum + delta.lengthBytes, 0) }),
      spoolBoundBytes: () => this.spoolBoundBytes,
      seedPace: createPace(undefined, systemClock()),
      random: () => 0,
      sealed: (delta) => void waiting.push(delta),
      streamBegun: () => {
        for (const { path } of waiting.splice(0)) files.remove(path);
      },
      modeChanged: () => undefined,
      failed: (error) => void this.#faults.push(error),
    });
    this.#process = { folder, disks, opened, capture, waiting, alive: true };
    this.#recovered();
  }

  /** A write (or zeros, for the fill 0 at times) that is answered, unless the machine dies first. */
  async write(disk: number, sector: number, count: number, fill: number, fua: boolean): Promise<void> {
    const process = this.#running();
    const first = sector % SECTORS[disk as 0 | 1];
    const sectors = (this.#sectors[disk] ?? []).slice(first, first + count);
    for (const allowed of sectors) allowed.push(fill);
    const volume = this.capture.volumes[disk];
    const length = sectors.length * SECTOR;
    if (fill === 0) await volume?.zero(first * SECTOR, length, fua);
    else await volume?.write(first * SECTOR, Buffer.alloc(length, fill), fua);
    // Nobody got the answer of a machine that died in between.
    if (!process.alive) return;
    for (const allowed of fua ? sectors : []) allowed.splice(0, allowed.length - 1);
    this.#remember();
  }

  async flush(disk: number): Promise<void> {
    const process = this.#running();
    const before = (this.#sectors[disk] ?? []).map((allowed) => allowed.length);
    await this.capture.volumes[disk]?.flush();
    if (!process.alive) return;
    for (const [index, allowed] of (this.#sectors[disk] ?? []).entries()) allowed.splice(0, (before[index] ?? 1) - 1);
  }

  cut(): void {
    this.capture.log.cut();
  }

  async idle(turns: number): Promise<void> {
    for (let left = turns; left > 0; left -= 1) await turn();
  }

  async upload(count: number): Promise<void> {
    const process = this.#running();
    for (let left = count; left > 0 && process.alive; left -= 1) {
      const delta = process.waiting[0];
      if (delta === undefined) return;
      const name = deltaName(delta.end.stream, delta.end.epoch);
      const bytes = readFileSync(delta.path);
      expect(this.cloud.get(name)?.equals(bytes) ?? true).toBe(true);
      this.cloud.set(name, bytes);
      try {
        await process.opened.state.change(uploadedTo(delta.end));
      } catch {
        return;
      }
      if (!process.alive || process.waiting[0] !== delta) return;
      this.#disk.files.remove(delta.path);
      process.waiting.shift();
    }
  }

  /** The start of the newest stream that the control plane minted; `mints`: of another one. */
  startOf(mints: boolean): Position {
    if (mints) this.#streams += 1;
    const { disks } = this.#running();
    return startPosition(
      "vm1",
      this.#streams,
      disks.map((each) => each.description),
    );
  }

  /** The process dies now: what it had written stays. */
  kill(): void {
    this.#end((from, to) => this.#disk.copy(from, to));
  }

  /** The machine dies now: what it had not synced is lost, or not. */
  crash(): void {
    this.#boot += 1;
    this.#end((from, to) => this.#disk.crash(from, to, this.#below));
  }

  /** The model is held by what the deltas say: each that does not carry `seeding` is a state that the source had, in the order in which it had them. */
  checkDeltas(): void {
    let at = 0;
    for (let stream = 1; stream <= this.#streams; stream += 1) {
      replay(this.#cloudOf(stream), Number.POSITIVE_INFINITY, (header, images) => {
        if (header.flags.seeding) return;
        const found = this.#history.indexOf(digest(images), at);
        const what = `epoch ${header.epoch} of stream ${stream} is a state of the source, not older than the one before`;
        expect(found, what).toBeGreaterThanOrEqual(at);
        at = found;
      });
    }
  }

  /** Lets everything go its way until the target has all, or (with a bound that is hit, or a full disk) for a while. */
  async calm(): Promise<void> {
    const process = this.#running();
    for (let left = 40; left > 0 && process.alive && !this.#isComplete(process); left -= 1) {
      this.cut();
      await this.upload(100);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Waits until seeding has read half of what it has to read. */
  async halfSeeded(): Promise<void> {
    const { seeding } = this.#running().capture;
    for (let left = 100_000; left > 0 && seeding.doneBytes * 2 < seeding.totalBytes; left -= 1) await turn();
  }

  /** Waits for the very turn in which something is so. */
  async until(isSo: (capture: Capture) => boolean): Promise<void> {
    const { capture } = this.#running();
    for (let left = 100_000; left > 0 && !isSo(capture); left -= 1) await turn();
  }

  /** Waits until nothing recorded is left: sealed, or given up for want of room. Not for ever: while a delta waits for the network nothing is given up. */
  async givenUp(): Promise<void> {
    const process = this.#running();
    for (let left = 300; left > 0 && process.alive && !process.capture.log.empty; left -= 1) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Waits for the very turn in which there is a log again. */
  async logAgain(): Promise<void> {
    const { capture } = this.#running();
    for (let left = 100_000; left > 0 && capture.recorder.mode.kind === "tracking"; left -= 1) {
      if (left % 20 === 0) await this.upload(100);
      await turn();
    }
  }

  /** Everything is in the cloud, and the last delta makes the target equal to the source. */
  async finish(): Promise<void> {
    const process = this.#running();
    for (let left = 4000; !this.#isComplete(process); left -= 1) {
      if (left === 0) throw new Error(`never finished: ${this.#faults.slice(-3).map(String).join("; ")}`);
      this.cut();
      await this.upload(100);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.checkDeltas();
    const { images, headers } = replay(this.#cloudOf(this.state.sealed.stream));
    expect(headers.at(-1)?.flags.seeding).toBe(false);
    expect(images.map((image, index) => image.equals(this.#image(index)))).toEqual([true, true]);
  }

  async stop(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    process.alive = false;
    await quietly(process);
  }

  #cloudOf(stream: number): ReadonlyMap<string, Buffer> {
    const prefix = deltaName(stream, 0).split("/")[0] ?? "";
    return new Map([...this.cloud].filter(([name]) => name.startsWith(prefix)));
  }

  #isComplete({ capture, waiting }: Process): boolean {
    const { log, map, recorder, seeding } = capture;
    return recorder.mode.kind === "logging" && seeding.done && log.empty && waiting.length === 0 && map.dirtyBytes === 0;
  }

  #running(): Process {
    if (this.#process === undefined) throw new Error("the machine is off");
    return this.#process;
  }

  #end(leave: (from: string, to: string) => void): void {
    const process = this.#running();
    process.alive = false;
    this.#process = undefined;
    leave(process.folder, this.#nextFolder());
    // What it does from now on it does to a folder that nobody reads.
    void quietly(process);
  }

  /** After a start: every sector holds what it may hold, and that is what it holds from now on. */
  #recovered(): void {
    for (const [disk, sectors] of this.#sectors.entries()) {
      const image = this.#image(disk);
      for (const [index, allowed] of sectors.entries()) {
        const bytes = image.subarray(index * SECTOR, (index + 1) * SECTOR);
        const found = allowed.find((fill) => bytes.equals(Buffer.alloc(SECTOR, fill)));
        expect(found, `disk ${disk} sector ${index} holds ${bytes[0]} of ${allowed.join(", ")}`).toBeDefined();
        allowed.splice(0, allowed.length, found ?? 0);
      }
    }
    this.#remember();
  }

  #remember(): void {
    const now = digest(IDS.map((_, index) => this.#image(index)));
    if (this.#history.at(-1) !== now) this.#history.push(now);
  }

  #image(index: number): Buffer {
    return readFileSync(this.#imagePath(this.#running().folder, IDS[index] ?? ""));
  }

  #imagePath(folder: string, id: string): string {
    return join(folder, `${id}.img`);
  }

  #model(disk: number): Buffer {
    return Buffer.concat((this.#sectors[disk] ?? []).map((allowed) => Buffer.alloc(SECTOR, allowed.at(-1))));
  }

  #nextFolder(): string {
    this.#folders += 1;
    return join(this.#root, String(this.#folders));
  }
}

async function quietly({ capture, disks }: Process): Promise<void> {
  try {
    capture.giveUp();
    await capture.stop();
    for (const { image } of disks) image.close();
  } catch {
    // It is dead.
  }
}

function digest(images: readonly Buffer[]): string {
  const hash = createHash("sha1");
  for (const image of images) hash.update(image);
  return hash.digest("hex");
}
