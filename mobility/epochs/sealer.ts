import { join } from "node:path";
import { SEAL_FULL_TRIES } from "../../replication/limits.ts";
import { backOffMs } from "../back-off.ts";
import { pause } from "../clock.ts";
import type { Clock } from "../clock.ts";
import { isFull } from "../full-disk.ts";
import type { Journal } from "../journal/journal.ts";
import { spoolName } from "./spool.ts";
import type { SpooledDelta } from "./spool.ts";
import type { SealThread } from "./seal-thread.ts";
import type { StateFile } from "./state.ts";

/** Turns closed segments into sealed deltas, one after the other. */
export interface Sealer {
  /** Segments that wait or are being sealed. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** The last attempt failed; it is being repeated. */
  readonly failing: boolean;
  /** `lastSequence` is that of its last record: a segment that ends before it when it is read again was damaged. */
  add(segment: number, lengthBytes: number, lastSequence: number): void;
  /** Done when every segment added before has been sealed and removed, or the sealer was stopped. */
  idle(): Promise<void>;
  /** Done as soon as fewer than `count` wait. */
  below(count: number): Promise<void>;
  stop(): Promise<void>;
}

export interface SealerOptions {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly thread: SealThread;
  readonly state: StateFile;
  readonly spoolFolder: string;
  /** Puts all images on the medium. */
  readonly syncImages: () => Promise<void>;
  /** Puts every record on the medium. */
  readonly syncJournal: () => Promise<void>;
  readonly random: () => number;
  readonly sealed: (delta: SpooledDelta) => void;
  /** A segment could not be read back whole. Done when it is certain that later deltas carry `seeding` until everything was read again. */
  readonly damaged: () => Promise<void>;
  /** No room for the delta of this segment. Done with true when the dirty map knows durably what it holds, and it may go without having been sealed. */
  readonly giveUp: (segment: ClosedSegment) => Promise<boolean>;
  /** The segment is gone: its delta is in the spool, and the images have all of it on the medium. */
  readonly removed: (segment: number) => void;
  readonly failed: (error: unknown) => void;
}

export function startSealer(options: SealerOptions): Sealer {
  return new SegmentSealer(options);
}

/** A segment of the journal that waits for its delta. */
export interface ClosedSegment {
  readonly number: number;
  readonly lengthBytes: number;
  readonly lastSequence: number;
}

class SegmentSealer implements Sealer {
  readonly #options: SealerOptions;
  readonly #segments: ClosedSegment[] = [];
  readonly #stopping = new AbortController();
  #watchers: readonly { readonly count: number; readonly resolve: () => void }[] = [];
  #loop: Promise<void> | undefined;
  #failing = false;
  #imagesSegment: number | undefined;

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#segments.length;
  }

  get waitingBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.lengthBytes, 0);
  }

  get failing(): boolean {
    return this.#failing;
  }

  add(number: number, lengthBytes: number, lastSequence: number): void {
    this.#segments.push({ number, lengthBytes, lastSequence });
    this.#loop ??= this.#run();
  }

  idle(): Promise<void> {
    return this.below(1);
  }

  below(count: number): Promise<void> {
    if (this.#segments.length < count || this.#stopping.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => (this.#watchers = [...this.#watchers, { count, resolve }]));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#notify();
    await this.#loop;
  }

  #notify(): void {
    const over = (count: number): boolean => this.#segments.length < count || this.#stopping.signal.aborted;
    const ready = this.#watchers.filter(({ count }) => over(count));
    this.#watchers = this.#watchers.filter(({ count }) => !over(count));
    for (const { resolve } of ready) resolve();
  }

  /**
   * Ends with the queue. A failure is tried again for as long as it takes: the segment holds acknowledged writes (rule 4). Only for want of room it may go
   * unsealed, once the dirty map has taken over what it holds: a disk that is full of the journal could not become emptier otherwise.
   */
  async #run(): Promise<void> {
    let isFullNow = false;
    for (let attempt = 0; !this.#stopping.signal.aborted;) {
      const segment = this.#segments[0];
      if (segment === undefined) break;
      try {
        const isGivenUp = isFullNow && attempt >= SEAL_FULL_TRIES && (await this.#options.giveUp(segment));
        if (isGivenUp) this.#remove(segment.number);
        else await this.#seal(segment);
        this.#segments.shift();
        attempt = 0;
        this.#failing = false;
        this.#notify();
      } catch (error) {
        this.#failing = true;
        isFullNow = isFull(error);
        this.#options.failed(error);
        await pause(this.#options.clock, backOffMs(attempt, this.#options.random), this.#stopping.signal);
        attempt += 1;
      }
    }
    this.#loop = undefined;
  }

  async #seal({ number: segment, lastSequence }: ClosedSegment): Promise<void> {
    const { journal, state, spoolFolder, thread } = this.#options;
    if (segment > state.current.sealedSegment) {
      // What is sealed must not be lost from the journal by a crash of the machine: the images could not be brought to it.
      await this.#options.syncJournal();
      const { sealed: start, itemId, disks, seed: seedBefore } = state.current;
      const job = { segmentPath: journal.pathOf(segment), spoolFolder, itemId, disks, start, seed: seedBefore };
      const sealed = await thread.run(job);
      if (sealed?.lastSequence !== lastSequence) await this.#options.damaged();
      if (sealed === undefined) await state.change({ sealedSegment: segment });
      else {
        const { end, lengthBytes, md5, lastWriteMs } = sealed;
        // A pass that began meanwhile is another one: the end of the old says nothing about it.
        const seed = state.current.seed.pass === sealed.seed.pass ? sealed.seed : state.current.seed;
        const imagesSegment = this.#imagesSegment ?? state.current.imagesSegment;
        await state.change({ sealed: end, sealedSegment: segment, sealedSequence: lastSequence, lastWriteMs, seed, imagesSegment });
        this.#options.sealed({ end, lengthBytes, md5, path: join(spoolFolder, spoolName(end)) });
      }
    }
    // The segment can redo the images until they are on the medium by themselves.
    await this.#options.syncImages();
    this.#remove(segment);
    this.#options.removed(segment);
  }

  /** The images have all of the segment on the medium. */
  #remove(segment: number): void {
    this.#options.journal.remove(segment);
    this.#imagesSegment = segment;
  }
}
