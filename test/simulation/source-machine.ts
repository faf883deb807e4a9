import { createSealMemory, sealEpoch } from "../../mobility/epochs/seal.ts";
import type { MobilityPorts } from "../../mobility/service/ports.ts";
import { type Doors, type OpenedService, openService } from "../../mobility/service/service.ts";
import { parseConfig } from "../../mobility/system/config.ts";
import { hasCode } from "../../replication/errors.ts";
import { SECTOR_BYTES } from "../../replication/limits.ts";
import type { DiskDescription } from "../../replication/position.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import type { MemoryMedium, MemoryProcess } from "../memory/memory-medium.ts";
import type { Random } from "../memory/random.ts";
import { API_URL, type Network, transportOf } from "./network.ts";
import { type SentChange, WriteLogModel, markOf, sectorOf } from "./oracle.ts";
import type { MachinePlan } from "./plan.ts";
import { SimulatedProcess, type Surroundings } from "./process.ts";

export interface SourceMachineOptions {
  readonly name: string;
  readonly itemId: string;
  readonly plan: MachinePlan;
  readonly surroundings: Surroundings;
  readonly network: Network;
  /** Ids of its disks, in order. */
  readonly diskIds: readonly string[];
  readonly random: Random;
  readonly wrong: (sentence: string) => void;
}

/** One run of the mobility service. */
interface Run {
  readonly process: SimulatedProcess;
  readonly onMedium: MemoryProcess;
  /** Undefined while it starts. */
  service: OpenedService | undefined;
  /** Clients are connected: only after the service has started, and until it stops. */
  isOpen: boolean;
}

/** Shared by all services, because sealing ends before anything else happens. */
const SEAL_MEMORY = createSealMemory(() => undefined);
const MEDIUM_MS = 4;
const RESTART_MS = 5_000;
const STATE = "/state";

/**
 * A source machine: a guest that writes to two disks through the product's mobility service, a medium that can lose
 * what was not synced, and the model of the write log that recovery points are held against. The guest sends one
 * request at a time, so that the order of its writes is known.
 */
export class SourceMachine {
  readonly name: string;
  readonly itemId: string;
  readonly model: WriteLogModel;
  readonly disks: readonly DiskDescription[];
  /**
   * By number of the state: when the machine left it, by its own clock and by true time. The present state has no
   * entry.
   */
  readonly leftAt: { readonly ownMs: number; readonly trueMs: number }[] = [];
  clockOffsetMs = 0;
  /** After a jump the clock says nothing about the age of a point. */
  clockJumped = false;
  #boot = 1;
  #runs = 0;
  #clones = 0;
  #marks = 1;
  #run: Run | undefined;
  #settings: { readonly registrationToken: string | undefined } | undefined;
  #sent: SentChange | undefined;
  #underWay: Promise<void> | undefined;
  #restart: (() => void) | undefined;
  #guestEveryMs = 0;
  #isGuestAwake = false;
  #isPowered = true;
  readonly #failures: (() => void)[] = [];
  readonly #copies: (() => void)[] = [];
  readonly #options: SourceMachineOptions;
  readonly #medium: MemoryMedium;

  constructor(options: SourceMachineOptions) {
    this.#options = options;
    this.name = options.name;
    this.itemId = options.itemId;
    const { random, plan, diskIds, surroundings } = options;
    this.#medium = createMemoryMedium({
      random,
      schedule: (work) => void surroundings.timeline.after(1 + random.below(MEDIUM_MS), work),
    });
    this.disks = plan.sectors.map((sectors, index) => ({
      id: diskIds[index] ?? "",
      sizeBytes: sectors * SECTOR_BYTES,
      sectorSizeBytes: 512,
    }));
    const marks = plan.sectors.map((sectors) =>
      Array.from({ length: sectors }, () => (random.chance(0.4) ? 0 : this.#nextMark())),
    );
    this.model = new WriteLogModel(marks);
    for (const [index, disk] of this.disks.entries())
      this.#medium.put(imagePath(disk), Buffer.concat((marks[index] ?? []).map(sectorOf)));
  }

  /** The operator or the extension installs the service, perhaps again: an old state folder stays. */
  install(registrationToken: string | undefined): void {
    this.#settings = { registrationToken };
    this.kill();
    this.start();
  }

  /** The service is removed; its folder stays. */
  uninstall(): void {
    this.#settings = undefined;
    this.kill();
  }

  get registrationToken(): string | undefined {
    return this.#settings?.registrationToken;
  }

  /** The machine is lost with its region. */
  destroy(): void {
    this.uninstall();
    this.#isPowered = false;
  }

  get isRunning(): boolean {
    return this.#run?.service !== undefined;
  }

  get service(): OpenedService | undefined {
    return this.#run?.service;
  }

  /** Starts the service; after a failure it starts again later. */
  start(): void {
    if (this.#run !== undefined || this.#settings === undefined || !this.#isPowered) return;
    this.#runs += 1;
    const { surroundings } = this.#options;
    const process = new SimulatedProcess(`${this.name}-service-${this.#runs}`, surroundings, () => this.clockOffsetMs);
    const run: Run = { process, onMedium: this.#medium.process(), service: undefined, isOpen: true };
    this.#run = run;
    openService(this.#config(), this.#portsOf(run), this.#doorsOf(run)).then(
      (service) => {
        if (this.#run !== run) return;
        run.service = service;
        this.#cameBack(service);
        this.#wakeGuest();
      },
      (error: unknown) => {
        if (this.#run !== run) return;
        surroundings.trace(`${process.name} cannot start: ${String(error)}`);
        this.#end(run);
        this.#startLater();
      },
    );
  }

  /** The process dies. What it has written to the medium stays, synced or not. */
  kill(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#end(run);
    // An interrupted write may have reached some of its sectors. All writes that were answered are kept.
    this.model.killed(this.#sent);
  }

  /** The system restarts the service once each time it has ended. */
  #startLater(): void {
    this.#restart?.();
    this.#restart = this.#options.surroundings.timeline.after(RESTART_MS, () => this.start());
  }

  /** An orderly stop, as in a package update. The guest has no disks until the next start. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run?.service === undefined) return this.kill();
    // The process ends even if its orderly stop fails.
    await run.service.stop().catch(() => undefined);
    if (this.#run === run) this.kill();
  }

  /** The whole machine loses its power, and comes back after a while under another boot id. */
  powerCut(downMs: number): void {
    if (this.#run !== undefined) this.#end(this.#run);
    this.#medium.cutPower();
    this.model.cutOff();
    this.#isPowered = false;
    this.#boot += 1;
    this.#options.surroundings.timeline.after(downMs, () => {
      this.#isPowered = true;
      this.start();
    });
  }

  /** Mean time between the guest's writes; 0: none. */
  setGuest(everyMs: number): void {
    this.#guestEveryMs = everyMs;
    this.#wakeGuest();
  }

  /** Ends a run: it neither does nor receives anything more. */
  #end(run: Run): void {
    run.process.kill();
    run.onMedium.kill();
    if (this.#run === run) this.#run = undefined;
  }

  /** Limits disk space for the duration. */
  fillDisk(roomBytes: number, durationMs: number): void {
    this.#medium.capacityBytes = this.#medium.usedBytes + roomBytes;
    this.#options.surroundings.timeline.after(durationMs, () => (this.#medium.capacityBytes = Number.MAX_SAFE_INTEGER));
  }

  failStateWrites(times: number, isDone: boolean): void {
    const when = isDone ? "after" : "before";
    this.#failures.push(
      this.#medium.fail({
        operations: ["open", "write", "sync", "rename"],
        path: /state\.json/,
        code: "EIO",
        when,
        times,
      }),
    );
  }

  failJournalSync(times: number): void {
    this.#failures.push(
      this.#medium.fail({ operations: ["datasync", "sync"], path: /journal/, code: "EIO", when: "before", times }),
    );
  }

  jumpClock(byMs: number): void {
    this.clockOffsetMs += byMs;
    this.clockJumped = true;
  }

  /**
   * A copy of the whole machine runs as another machine for a while, as in a test failover. Nothing that it sends may
   * be accepted.
   */
  wakeClone(durationMs: number): void {
    this.#startCopy("clone", durationMs);
  }

  /**
   * A second service runs for a while on copies of disks and state folder, in the same boot of the same machine: both
   * claim the same identity.
   */
  startSecond(durationMs: number): void {
    this.#startCopy("second", durationMs);
  }

  #startCopy(kind: "clone" | "second", durationMs: number): void {
    // A copy of a service that has not registered yet has its one-time token, and could register as the machine.
    if (this.#settings === undefined || this.#medium.get(`${STATE}/state.json`) === undefined) return;
    const { random, surroundings } = this.#options;
    this.#clones += 1;
    const name = `${this.name}-${kind}-${this.#clones}`;
    const medium = createMemoryMedium({
      random,
      schedule: (work) => void surroundings.timeline.after(1 + random.below(MEDIUM_MS), work),
    });
    for (const path of this.#medium.paths()) medium.put(path, this.#medium.get(path) ?? Buffer.alloc(0));
    const process = new SimulatedProcess(name, surroundings);
    const run: Run = { process, onMedium: medium.process(), service: undefined, isOpen: false };
    const ports: MobilityPorts = { ...this.#portsOf(run), ...(kind === "clone" ? { bootId: `boot-of-${name}` } : {}) };
    openService({ ...this.#config(), machineId: kind === "clone" ? name : this.name }, ports).catch((error: unknown) =>
      surroundings.trace(`${name}: ${String(error)}`),
    );
    const end = (): void => {
      process.kill();
      run.onMedium.kill();
    };
    this.#copies.push(end);
    surroundings.timeline.after(durationMs, end);
  }

  /** The operator restarts a service that reports that only a restart helps. */
  lookAfter(): void {
    const mode = this.#run?.service?.parts.capture.recorder.mode;
    if (mode?.kind !== "tracking" || mode.reason !== "journal-failed") return;
    this.kill();
    this.start();
  }

  /** Ends all faults of this machine, and starts the service if it does not run. */
  calm(): void {
    this.#medium.capacityBytes = Number.MAX_SAFE_INTEGER;
    for (const undo of [...this.#failures.splice(0), ...this.#copies.splice(0)]) undo();
    this.#isPowered = true;
    this.start();
  }

  /** Where the guest connects. A stop takes no new request, and waits for the one under way. */
  #doorsOf(run: Run): Doors {
    return {
      serve: async () => ({
        port: undefined,
        stop: async () => {
          run.isOpen = false;
          await this.#underWay;
        },
      }),
      showStatus: async () => ({ stop: () => undefined }),
    };
  }

  #portsOf({ process, onMedium: { files } }: Run): MobilityPorts {
    const { network, plan, random, surroundings } = this.#options;
    const number = this.#runs;
    return {
      files,
      clock: {
        now: process.clock.now,
        monotonicMs: () => surroundings.timeline.now(),
        after: (waitMs, run) => process.hear(waitMs, run),
        turn: () => new Promise((resolve) => void process.hear(0, resolve)),
      },
      random: () => random.next(),
      randomBytes: (count) => Buffer.from(Array.from({ length: count }, () => random.below(256))),
      transport: transportOf(process, files, network),
      startSealThread: () => ({
        run: async (job) => {
          await process.pause(plan.sealMs);
          return sealEpoch(files, job, SEAL_MEMORY);
        },
        stop: async () => undefined,
      }),
      runScript: async () => {
        throw new Error("There is no script.");
      },
      // Each process has its own id and start time, so that the folder's previous holder is known to be dead.
      processes: {
        ownId: number,
        startTime: (id) => (id === number ? String(id) : undefined),
        exists: (id) => id === number,
      },
      log: (_level, event, facts) => surroundings.trace(`${process.name} ${event} ${JSON.stringify(facts ?? {})}`),
      bootId: `boot-${this.#boot}`,
    };
  }

  #config() {
    const { plan } = this.#options;
    return parseConfig(
      JSON.stringify({
        itemId: this.itemId,
        apiUrl: API_URL,
        registrationToken: this.#settings?.registrationToken,
        stateFolder: STATE,
        machineId: this.name,
        disks: this.disks.map((disk) => ({ id: disk.id, path: imagePath(disk) })),
        nbd: { socketPath: "/run/nbd.sock" },
        epochMaxAgeMs: plan.epochMaxAgeMs,
        spoolMaxBytes: plan.spoolMaxBytes,
      }),
    );
  }

  /** The guest reads its disks, and compares them with the model. */
  #cameBack(service: OpenedService): void {
    for (const [index, disk] of this.disks.entries()) {
      const bytes = volumeOf(service, disk).read(0, disk.sizeBytes);
      const marks = Array.from({ length: disk.sizeBytes / SECTOR_BYTES }, (_, at) =>
        markOf(bytes.subarray(at * SECTOR_BYTES, (at + 1) * SECTOR_BYTES)),
      );
      for (const sentence of this.model.cameBack(index, marks)) this.#options.wrong(`${this.name}: ${sentence}`);
    }
    this.#settled();
  }

  #wakeGuest(): void {
    if (this.#isGuestAwake) return;
    this.#isGuestAwake = true;
    this.#turn();
  }

  #turn(): void {
    const service = this.#run?.service;
    if (this.#guestEveryMs === 0 || service === undefined || this.#run?.isOpen !== true) {
      this.#isGuestAwake = false;
      return;
    }
    const { random, surroundings } = this.#options;
    const next = (): void =>
      void surroundings.timeline.after(1 + random.below(2 * this.#guestEveryMs), () => this.#turn());
    const request = this.#request(service);
    this.#underWay = request.catch(() => undefined);
    request.then(next, (error: unknown) => {
      surroundings.trace(`${this.name} guest: ${String(error)}`);
      // An operator, or the machine's watchdog, restarts a service that accepts no more writes.
      if (hasCode(error, "capture-failed") && this.#run?.service === service) {
        this.kill();
        this.#startLater();
      }
      next();
    });
  }

  /**
   * One request of the guest. It never ends if the service dies before; the guest then continues after the next start.
   */
  async #request(service: OpenedService): Promise<void> {
    const { random, surroundings } = this.#options;
    const disk = random.below(this.disks.length);
    const description = this.disks[disk];
    if (description === undefined) return;
    const volume = volumeOf(service, description);
    const chance = random.next();
    if (chance < 0.15) return this.#flush(disk, () => volume.flush());
    const sectors = description.sizeBytes / SECTOR_BYTES;
    const first = random.below(sectors);
    const count = Math.min(sectors - first, 1 + random.below(random.pick([1, 3, 12])));
    const isZero = chance < 0.3;
    const marks = Array.from({ length: count }, () => (isZero ? 0 : this.#nextMark()));
    const fua = random.chance(0.1);
    this.model.begin(disk, first, marks);
    this.#sent = { disk, first, marks };
    const offsetBytes = first * SECTOR_BYTES;
    const write = (): Promise<void> | undefined =>
      isZero
        ? volume.zero(offsetBytes, count * SECTOR_BYTES, fua)
        : volume.write(offsetBytes, Buffer.concat(marks.map(sectorOf)), fua);
    const counts = this.model.counts(disk);
    await this.#answered(service, write);
    this.#sent = undefined;
    surroundings.trace(`${this.name} wrote disk ${disk} sector ${first} to ${first + count}`);
    this.model.done(disk, first, marks);
    if (fua) this.model.flushed(disk, counts, { first, count });
    this.#settled();
  }

  async #flush(disk: number, flush: () => Promise<void>): Promise<void> {
    const counts = this.model.counts(disk);
    const service = this.#run?.service;
    if (service === undefined) return;
    await this.#answered(service, flush);
    this.model.flushed(disk, counts);
  }

  /** The answer of a service that is gone is lost. */
  async #answered(service: OpenedService, request: () => Promise<void> | undefined): Promise<void> {
    await request();
    if (this.#run?.service !== service) {
      this.#isGuestAwake = false;
      await new Promise(() => undefined);
    }
  }

  /** Records that the machine has entered a new state. */
  #settled(): void {
    const left = this.leftAt;
    const now = {
      ownMs: this.#options.surroundings.timeline.now() + this.clockOffsetMs,
      trueMs: this.#options.surroundings.timeline.now(),
    };
    const index = this.model.settled();
    while (left.length < index) left.push(now);
  }

  #nextMark(): number {
    this.#marks += 1_000;
    return this.#marks;
  }
}

const imagePath = ({ id }: DiskDescription): string => `/disks/${id}.img`;

function volumeOf(service: OpenedService, { id }: DiskDescription): OpenedService["volumes"][number] {
  const found = service.volumes.find(({ name }) => name === id);
  if (found === undefined) throw new Error(`There is no volume ${id}.`);
  return found;
}
