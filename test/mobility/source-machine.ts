import { expect } from "vitest";
import { openCapture, type Capture } from "../../mobility/capture/capture.ts";
import { openState, stateFolder, type OpenedState } from "../../mobility/capture/open-state.ts";
import { openDisks } from "../../mobility/disks/open-disks.ts";
import { createSealMemory, sealEpoch, type SealedEpoch, type SealJob } from "../../mobility/epochs/seal.ts";
import type { SpooledDelta } from "../../mobility/epochs/spool.ts";
import { uploadedTo, type ServiceState } from "../../mobility/epochs/state.ts";
import { pause, type Clock } from "../../mobility/system/clock.ts";
import type { Files } from "../../mobility/system/files.ts";
import { createPace } from "../../mobility/system/pace.ts";
import { LeewardError } from "../../replication/errors.ts";
import { deltaName } from "../../replication/names.ts";
import { startPosition, type Position } from "../../replication/position.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import type { MediumOptions, MemoryMedium, MemoryProcess } from "../memory/memory-medium.ts";
import type { Random } from "../memory/random.ts";
import { createVirtualTime, type VirtualTime } from "../memory/virtual-time.ts";
import { imagePath, imagesDigest } from "./images.ts";
import { NONCE, replay } from "./replay.ts";
import { filesWithRoom, type Room } from "./room.ts";

const SECTOR = 512;
const IDS = ["a", "b"] as const;
/** The second disk ends in the middle of a grain of the dirty map. */
const SECTORS = [128, 89] as const;
/** A sector of each fill. */
const SOLID = Array.from({ length: 256 }, (_, fill) => Buffer.alloc(SECTOR, fill));
const ACTIVITY = { regionBytes: 16_384, maxRegions: 5 };
const PLACES = stateFolder("/state");
const WIDE_BYTES = 1024 * 1024;
/** Buffers of 100 MiB are made once: one epoch is sealed at a time. */
const SEAL_MEMORY = createSealMemory(() => undefined);
/** What the medium needs for one answer, at most. */
const LATENCY_MS = 2;

interface Process {
  readonly medium: MemoryProcess;
  readonly files: Files;
  readonly opened: OpenedState;
  readonly capture: Capture;
  readonly waiting: SpooledDelta[];
}

/** What a sector may hold after a power failure, the newest last: one fill byte each. */
type Allowed = number[];
export type Death = "kill" | "power";

/**
 * A machine with two small disks under the real capture, on a model of the medium and on virtual time, with a cache
 * that takes what the test lets through, and a model of both in bytes. Deaths of the process and of the machine may
 * come at any operation on the medium.
 */
export class SourceMachine {
  readonly cloud = new Map<string, Buffer>();
  readonly medium: MemoryMedium;
  readonly time: VirtualTime;
  spoolBoundBytes = WIDE_BYTES;
  /** Epochs are sealed; else they wait in the journal. */
  isSealing = true;
  /** What journal and spool may still take. What is removed of them makes room again. */
  readonly room: Room = { bytes: Number.POSITIVE_INFINITY };
  readonly #sectors: Allowed[][];
  /** Digests of all states that the source disks ever had, in order. */
  readonly #history: string[] = [];
  #checked = 0;
  /** Since the last start that came to its end the medium may have lost something. */
  #mayLose = false;
  #lastReason: OpenedState["seededAgain"];
  #boot = 1;
  #streams = 1;
  #process: Process | undefined;
  #kill: () => void = () => undefined;
  #clock: Clock;
  #healFull: () => void = () => undefined;
  #healJournal: () => void = () => undefined;
  #healDeltas: () => void = () => undefined;
  #healState: () => void = () => undefined;
  #faults: unknown[] = [];

  constructor(random: Random, options: Pick<MediumOptions, "staleChance"> = {}) {
    this.time = createVirtualTime(1000, random);
    this.#clock = this.time.process().clock;
    this.medium = createMemoryMedium({
      random,
      schedule: (work) => this.time.soon(work, LATENCY_MS),
      shortWriteChance: 0.05,
      ...options,
    });
    this.#sectors = SECTORS.map((count) =>
      Array.from({ length: count }, () => [random.below(3) === 0 ? 0 : random.below(256)]),
    );
    for (const folder of [PLACES.journal, PLACES.spool]) this.medium.process().files.makeFolder(folder, 0o700);
    for (const [index, id] of IDS.entries()) this.medium.put(imagePath(id), this.#model(index));
  }

  get capture(): Capture {
    return this.#running().capture;
  }

  get isAlive(): boolean {
    return this.#process?.medium.isAlive === true;
  }

  /** As the state file has it. */
  get state(): ServiceState {
    return this.#running().opened.state.current;
  }

  /** What stands in a folder of the state folder. */
  names(folder: "journal" | "spool"): readonly string[] {
    return this.#running().medium.files.list(PLACES[folder]).toSorted();
  }

  /** The start of the newest stream that the control plane minted; `mints`: of another one. */
  startOf(mints: boolean): Position {
    if (mints) this.#streams += 1;
    return startPosition("vm1", this.#streams, this.state.disks, NONCE);
  }

  /** Why the last start reads something again, if it does. */
  get readAgain(): OpenedState["seededAgain"] {
    return this.#running().opened.seededAgain;
  }

  /** Starts the service; should it die on the way, `doom` says how. */
  async start(doom?: { readonly operations: number; readonly death: Death }): Promise<void> {
    const medium = this.medium.process();
    const clock = this.time.process();
    const files = filesWithRoom(medium.files, this.room, /\.log$|\/spool\//);
    this.#clock = clock.clock;
    this.#kill = () => {
      clock.kill();
      medium.kill();
    };
    if (doom !== undefined) medium.dieAfter(doom.operations, doom.death);
    const open = async (): Promise<void> => {
      const disks = openDisks(
        files,
        IDS.map((id) => ({ id, path: imagePath(id), sectorSizeBytes: 512 })),
      );
      const descriptions = disks.map((each) => each.description);
      const opened = await openState({
        files,
        folder: PLACES,
        itemId: "vm1",
        disks,
        bootId: String(this.#boot),
        register: async () => startPosition("vm1", 1, descriptions, NONCE),
        activity: ACTIVITY,
      });
      const waiting = [...opened.spool];
      const capture = openCapture({
        files,
        clock: clock.clock,
        disks,
        opened,
        journalFolder: PLACES.journal,
        spoolFolder: PLACES.spool,
        epochMaxAgeMs: 3_600_000,
        thread: { run: (job) => this.#seal(files, job), stop: () => Promise.resolve() },
        spool: () => ({ count: waiting.length, bytes: waiting.reduce((sum, delta) => sum + delta.lengthBytes, 0) }),
        spoolBoundBytes: () => this.spoolBoundBytes,
        seedPace: createPace(undefined, clock.clock),
        random: () => 0,
        sealed: (delta) => void waiting.push(delta),
        streamBegun: () => {
          for (const { path } of waiting.splice(0)) files.remove(path);
        },
        modeChanged: () => undefined,
        failed: (error) => void this.#faults.push(error),
      });
      this.#process = { medium, files, opened, capture, waiting };
      this.#judgeStart(opened.seededAgain);
      this.#recovered();
    };
    let failure: unknown;
    let isOver = false;
    open().then(
      () => (isOver = true),
      (error: unknown) => {
        failure = error;
        isOver = true;
      },
    );
    await this.time.until(() => isOver || !medium.isAlive);
    if (!medium.isAlive) {
      clock.kill();
      this.#dead(doom?.death ?? "kill");
      return;
    }
    if (failure !== undefined) throw failure;
    if (!isOver) throw new Error("the service never starts");
    medium.dieAfter(Number.POSITIVE_INFINITY, "kill");
  }

  async #seal(files: Files, job: SealJob): Promise<SealedEpoch | undefined> {
    if (!this.isSealing) throw new LeewardError("capture-failed", "The thread that seals is away.");
    return sealEpoch(files, job, SEAL_MEMORY);
  }

  /** A write (or zeros, for the fill 0 at times) that is answered, unless the machine dies first. */
  async write(disk: number, sector: number, count: number, fill: number, fua: boolean): Promise<void> {
    const { capture, medium } = this.#running();
    const first = sector % SECTORS[disk as 0 | 1];
    const sectors = (this.#sectors[disk] ?? []).slice(first, first + count);
    for (const allowed of sectors) allowed.push(fill);
    const volume = capture.volumes[disk];
    const length = sectors.length * SECTOR;
    if (fill === 0) await volume?.zero(first * SECTOR, length, fua);
    else await volume?.write(first * SECTOR, Buffer.alloc(length, fill), fua);
    // Nobody got the answer of a machine that died in between.
    if (!medium.isAlive) return;
    for (const allowed of fua ? sectors : []) allowed.splice(0, allowed.length - 1);
    this.#remember();
  }

  async flush(disk: number): Promise<void> {
    const { capture, medium } = this.#running();
    const before = (this.#sectors[disk] ?? []).map((allowed) => allowed.length);
    await capture.volumes[disk]?.flush();
    if (!medium.isAlive) return;
    for (const [index, allowed] of (this.#sectors[disk] ?? []).entries()) allowed.splice(0, (before[index] ?? 1) - 1);
  }

  cut(): void {
    this.capture.log.cut();
  }

  async idle(turns: number): Promise<void> {
    for (let left = turns; left > 0; left -= 1) await this.time.step();
  }

  async upload(count: number): Promise<void> {
    const { medium, files, opened, waiting } = this.#running();
    for (let left = count; left > 0 && medium.isAlive; left -= 1) {
      const delta = waiting[0];
      if (delta === undefined) return;
      const name = deltaName(delta.end.stream, delta.end.epoch);
      const bytes = medium.files.readFile(delta.path);
      expect(this.cloud.get(name)?.equals(bytes) ?? true).toBe(true);
      this.cloud.set(name, bytes);
      try {
        await opened.state.change(uploadedTo(delta.end));
      } catch {
        // It goes on as if the cache had not got it.
        return;
      }
      if (!medium.isAlive || waiting[0] !== delta) return;
      files.remove(delta.path);
      waiting.shift();
    }
  }

  /** The process dies now (what it had written stays), or the machine: what it had not synced is lost, or not. */
  die(death: Death): void {
    this.#kill();
    if (death === "power") this.medium.cutPower();
    this.#dead(death);
  }

  /**
   * The process dies in the middle of its nth operation on the medium, or at the latest when nothing happens any more.
   */
  async dieAfter(operations: number, death: Death, work: () => Promise<unknown>): Promise<void> {
    const { medium } = this.#running();
    medium.dieAfter(operations, death);
    work().catch(() => undefined);
    await this.time.until(() => !medium.isAlive, 4 * operations + 10);
    if (medium.isAlive) return this.die(death);
    this.#kill();
    this.#dead(death);
  }

  /**
   * As an operator stops the service, and starts the machine anew if asked to. The state says that it was clean when
   * nothing is left in the journal.
   */
  async stop(reboot: boolean): Promise<void> {
    const { capture, medium, opened } = this.#running();
    const { log, recorder, sealer, seeding } = capture;
    const work = async (): Promise<void> => {
      await seeding.stop();
      log.cut();
      await Promise.race([sealer.idle(), pause(this.#clock, 5000, new AbortController().signal)]);
      await recorder.stop();
      await capture.settle();
      const clean = log.empty && log.failure === undefined;
      if (clean) await opened.state.change({ clean }).catch(() => undefined);
      this.#mayLose ||= reboot && !opened.state.current.clean;
      await capture.stop();
    };
    await this.time.finish(work());
    expect(medium.openPaths).toEqual(IDS.map(imagePath));
    this.#kill();
    this.#dead("stop");
    if (!reboot) return;
    this.medium.cutPower();
    this.#boot += 1;
  }

  /** No room for the journal and the spool; the state file has its reserve. */
  set isFull(isFull: boolean) {
    this.#healFull();
    if (!isFull) return;
    this.#healFull = this.medium.fail({
      operations: ["make", "write"],
      path: /\.log$|\/spool\//,
      code: "ENOSPC",
      when: "partly",
    });
  }

  /** Deltas find no room, whatever else does: they are the largest files. */
  set isFullForDeltas(isFull: boolean) {
    this.#healDeltas();
    if (isFull)
      this.#healDeltas = this.medium.fail({ operations: ["write"], path: /\/spool\//, code: "ENOSPC", when: "before" });
  }

  /**
   * So many times the state file cannot be replaced, or (`after`) is replaced and says that it was not. Each change of
   * it is tried twice.
   */
  failState(times: number, when: "before" | "after"): void {
    this.#healState();
    if (times > 0)
      this.#healState = this.medium.fail({ operations: ["rename"], path: /\/state\.json/, code: "EIO", when, times });
  }

  healState(): void {
    this.#healState();
  }

  /** The next sync of a journal segment fails. */
  failJournal(): void {
    this.healJournal();
    this.#healJournal = this.medium.fail({
      operations: ["datasync"],
      path: /\.log$/,
      code: "EIO",
      when: "before",
      times: 1,
    });
  }

  /** The medium itself loses or changes a file, while the machine is off. */
  damage(path: string, bytes: Buffer | undefined): void {
    if (bytes === undefined) this.medium.process().files.remove(path);
    else this.medium.put(path, bytes);
    this.#mayLose = true;
  }

  healJournal(): void {
    this.#healJournal();
  }

  /**
   * The model is held by what the deltas say: each that does not carry `seeding` is a state that the source had, in the
   * order in which it had them.
   */
  checkDeltas(): void {
    if (this.cloud.size === this.#checked) return;
    this.#checked = this.cloud.size;
    let at = 0;
    for (let stream = 1; stream <= this.#streams; stream += 1) {
      replay(this.#cloudOf(stream), Number.POSITIVE_INFINITY, (header, images) => {
        if (header.flags.seeding) return;
        const found = this.#history.indexOf(imagesDigest(images), at);
        const what = `epoch ${header.epoch} of stream ${stream}`;
        if (found < at) throw new Error(`${what} is no state of the source, or an older one than the one before`);
        at = found;
      });
    }
  }

  /** Lets everything go its way until the target has all, or (with a bound that is hit, or a full disk) for a while. */
  async calm(): Promise<void> {
    const process = this.#running();
    for (let left = 100; left > 0 && process.medium.isAlive && !this.#isComplete(process); left -= 1) {
      this.cut();
      await this.upload(100);
      await this.idle(10);
    }
  }

  /** Waits until seeding has read half of what it has to read. */
  async halfSeeded(): Promise<void> {
    const { capture, medium } = this.#running();
    const { seeding } = capture;
    await this.time.until(() => !medium.isAlive || seeding.doneBytes * 2 >= seeding.totalBytes);
  }

  /** Waits for the very moment in which something is so. */
  async until(isSo: (capture: Capture) => boolean): Promise<void> {
    const { capture, medium } = this.#running();
    if (!(await this.time.until(() => !medium.isAlive || isSo(capture)))) throw new Error("it never came to that");
  }

  /** Waits until nothing recorded is left: sealed, or given up for want of room. */
  async givenUp(): Promise<void> {
    const { capture, medium } = this.#running();
    await this.time.until(() => !medium.isAlive || capture.log.empty, 5000);
  }

  /** Waits for the very turn in which there is a log again. */
  async logAgain(): Promise<void> {
    const { capture, medium } = this.#running();
    for (let left = 10_000; left > 0 && medium.isAlive && capture.recorder.mode.kind === "tracking"; left -= 1) {
      if (left % 20 === 0) await this.upload(100);
      await this.time.step();
    }
  }

  /** Everything is in the cloud, and the last delta makes the target equal to the source. */
  async finish(): Promise<void> {
    const process = this.#running();
    for (let left = 4000; !this.#isComplete(process); left -= 1) {
      if (left === 0) throw new Error(`never finished: ${this.#faults.slice(-3).map(String).join("; ")}`);
      this.cut();
      await this.time.finish(this.upload(100));
      await this.idle(5);
    }
    this.checkDeltas();
    const { images, headers } = replay(this.#cloudOf(this.state.sealed.stream));
    expect(headers.at(-1)?.flags.seeding).toBe(false);
    expect(images.map((image, index) => image.equals(this.#image(index)))).toEqual([true, true]);
  }

  #cloudOf(stream: number): ReadonlyMap<string, Buffer> {
    const [folder = ""] = deltaName(stream, 0).split("/");
    return new Map([...this.cloud].filter(([name]) => name.startsWith(folder)));
  }

  #isComplete({ capture, waiting }: Process): boolean {
    const { log, map, recorder, seeding } = capture;
    return (
      recorder.mode.kind === "logging" && seeding.done && log.empty && waiting.length === 0 && map.dirtyBytes === 0
    );
  }

  #running(): Process {
    if (this.#process === undefined) throw new Error("the machine is off");
    return this.#process;
  }

  #dead(death: Death | "stop"): void {
    this.#process = undefined;
    if (death === "stop") return;
    if (death === "power") this.#boot += 1;
    this.#mayLose ||= death === "power";
  }

  /** Reading again costs hours of a large disk: it has to have a reason. */
  #judgeStart(reason: OpenedState["seededAgain"]): void {
    if (reason === "dirty-map-missing") throw new Error("a dirty map that was made is lost");
    const isFoundAgain = reason === "journal-damaged" && this.#lastReason === reason;
    if (this.#mayLose || isFoundAgain || reason === undefined) this.#lastReason = reason;
    else throw new Error(`the service reads again (${reason}) though nothing can be lost`);
    this.#mayLose = false;
  }

  /** After a start: every sector holds what it may hold, and that is what it holds from now on. */
  #recovered(): void {
    for (const [disk, sectors] of this.#sectors.entries()) {
      const image = this.#image(disk);
      for (const [index, allowed] of sectors.entries()) {
        const bytes = image.subarray(index * SECTOR, (index + 1) * SECTOR);
        const found = allowed.find((fill) => bytes.equals(SOLID[fill] ?? bytes.subarray(0, 0)));
        if (found === undefined)
          throw new Error(`disk ${disk} sector ${index} holds ${bytes[0]} and not one of ${allowed.join(", ")}`);
        allowed.splice(0, allowed.length, found);
      }
    }
    this.#remember();
  }

  #remember(): void {
    const now = imagesDigest(IDS.map((_, index) => this.#image(index)));
    if (this.#history.at(-1) !== now) this.#history.push(now);
  }

  #image(index: number): Buffer {
    return this.medium.get(imagePath(IDS[index] ?? "")) ?? Buffer.alloc(0);
  }

  #model(disk: number): Buffer {
    return Buffer.concat((this.#sectors[disk] ?? []).map((allowed) => Buffer.alloc(SECTOR, allowed.at(-1))));
  }
}
