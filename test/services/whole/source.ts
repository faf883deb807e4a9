import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openNbdDisk, type NbdDisk } from "../../../local/lab/nbd-client.ts";
import type { MobilityService } from "../../../local/supervisor/mobility-service.ts";
import { until } from "./until.ts";
import { WriteLog, writesOf, type LoggedWrite } from "./write-log.ts";

/** A guest may wait for the service as long as a busy machine needs to start it again. */
const ATTACH_TRIES = 300;

export interface SourceDisk {
  readonly id: string;
  readonly path: string;
  readonly sizeBytes: number;
}

/** What the mobility service says about itself in `status.json`, as far as tests look. */
export interface ServiceStatus {
  readonly state: string;
  /** When it said so, on its own clock. */
  readonly atMs: number;
  readonly pendingBytes: number;
  readonly sealed: { readonly epoch: number };
  readonly uploaded: { readonly epoch: number };
  readonly seeding: { readonly done: boolean };
  readonly spoolCount: number;
  readonly uploadedCount: number;
  readonly identity: { readonly state: string; readonly machineId?: string };
  readonly heartbeats: { readonly sent: number };
  readonly lastError?: { readonly code: string; readonly message: string };
}

/**
 * The source machine: its disks, its mobility service (a process that can be killed), and a guest that writes through
 * NBD, one request at a time. A request without an answer is sent again, the same bytes to the same place, when the
 * service is back, as the guest's block layer would.
 */
export class Source {
  readonly disks: readonly SourceDisk[];
  readonly log: WriteLog;
  readonly #launch: () => Promise<MobilityService>;
  readonly #next: () => LoggedWrite;
  #service: MobilityService;
  #guest: readonly NbdDisk[] = [];
  #flushed = 0;

  private constructor(
    disks: readonly SourceDisk[],
    seed: number,
    launch: () => Promise<MobilityService>,
    service: MobilityService,
  ) {
    this.disks = disks;
    this.log = new WriteLog(disks.map(({ path }) => readFileSync(path)));
    this.#next = writesOf(
      seed,
      disks.map(({ sizeBytes }) => sizeBytes),
    );
    this.#launch = launch;
    this.#service = service;
  }

  /** `launch` starts the service, and starts it again after a kill. */
  static async start(
    disks: readonly SourceDisk[],
    seed: number,
    launch: () => Promise<MobilityService>,
  ): Promise<Source> {
    return new Source(disks, seed, launch, await launch());
  }

  /** Writes before the last flush that was answered. */
  get flushed(): number {
    return this.#flushed;
  }

  /** Sends so many writes of the seed, with a flush behind every eighth and the last. */
  async write(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) {
      const write = this.#next();
      this.log.add(write);
      await this.#send((guest) => guest[write.disk]?.write(write.offsetBytes, write.bytes));
      if (left % 8 === 1) await this.flush();
    }
  }

  async flush(): Promise<void> {
    const length = this.log.length;
    await this.#send((guest) => Promise.all(guest.map((disk) => disk.flush())));
    this.#flushed = length;
  }

  async status(): Promise<ServiceStatus | undefined> {
    return (await this.#service.status()) as ServiceStatus | undefined;
  }

  /** Waits until all that was written so far lies in the cache; returns the last epoch. */
  async uploaded(): Promise<number> {
    const before = (await this.status())?.atMs;
    this.#service.cut();
    return until("everything is uploaded", async () => {
      const status = await this.status();
      // The file is written every second: only the next one speaks of what was written before the call.
      if (status === undefined || status.atMs === before || status.pendingBytes > 0 || !status.seeding.done)
        return undefined;
      return status.uploaded.epoch === status.sealed.epoch ? status.uploaded.epoch : undefined;
    });
  }

  /** SIGKILL, at once. */
  async kill(): Promise<void> {
    await this.#service.kill();
  }

  async restart(): Promise<void> {
    this.#service = await this.#launch();
  }

  async stop(): Promise<void> {
    for (const disk of this.#guest) disk.close();
    this.#guest = [];
    await this.#service.stop();
  }

  async #send(request: (guest: readonly NbdDisk[]) => Promise<unknown> | undefined): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        if (this.#guest.length === 0) this.#guest = await this.#attach();
        await request(this.#guest);
        return;
      } catch (error) {
        if (tries === ATTACH_TRIES) throw error;
        for (const disk of this.#guest) disk.close();
        this.#guest = [];
        await sleep(50);
      }
    }
  }

  async #attach(): Promise<readonly NbdDisk[]> {
    const opened: NbdDisk[] = [];
    for (const { id } of this.disks) opened.push(await openNbdDisk(this.#service.address, id));
    return opened;
  }
}
