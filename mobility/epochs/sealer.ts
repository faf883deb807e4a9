import { join } from "node:path";
import type { Journal } from "../journal/journal.ts";
import { SEAL_FULL_TRIES } from "../limits.ts";
import { backOffMs } from "../system/back-off.ts";
import { pause, type Clock } from "../system/clock.ts";
import type { Files } from "../system/files.ts";
import { isFull } from "../system/full-disk.ts";
import type { SealThread } from "./seal-thread.ts";
import type { SealedEpoch } from "./seal.ts";
import { removeSpoolFilesBehind, spoolName, type SpooledDelta } from "./spool.ts";
import type { StateFile } from "./state.ts";

/** Turns closed segments into sealed deltas, one at a time. */
export interface Sealer {
  /** Segments that wait or are being sealed. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** The last attempt failed; it is being repeated. */
  readonly failing: boolean;
  /** `lastSequence` is that of its last record: a segment that ends earlier when it is read again was damaged. */
  add(segment: number, lengthBytes: number, lastSequence: number): void;
  /** Resolves when every segment added before has been sealed and removed, or the sealer was stopped. */
  idle(): Promise<void>;
  /** Resolves as soon as fewer than `count` wait. */
  below(count: number): Promise<void>;
  /** The same, and also resolves as soon as sealing fails: it is then unknown when fewer will wait. */
  belowOrFailing(count: number): Promise<void>;
  /** Begins nothing until `resume`; resolves when the work under way has ended, well or not. */
  pause(): Promise<void>;
  resume(): void;
  /**
   * Call while paused. Drops all waiting segments without a delta: the stream is over, and the images have all of them
   * on the medium.
   */
  forget(): void;
  stop(): Promise<void>;
}

export interface SealerOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly thread: SealThread;
  readonly state: StateFile;
  readonly spoolFolder: string;
  /** Syncs all images to the medium. */
  readonly syncImages: () => Promise<void>;
  /** Syncs every record to the medium. */
  readonly syncJournal: () => Promise<void>;
  readonly random: () => number;
  readonly sealed: (delta: SpooledDelta) => void;
  /**
   * A segment could not be read back whole. Resolves when later deltas are certain to carry `seeding` until everything
   * was read again.
   */
  readonly damaged: () => Promise<void>;
  /**
   * No space for the delta of this segment. Resolves with true when the dirty map durably knows its content, and it may
   * be removed unsealed.
   */
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

interface WaitingSegment extends ClosedSegment {
  /**
   * Its delta is durable in the spool (undefined: it held no record). Kept until the state file surely has it: sealed
   * again, perhaps with another flag, it would be another delta, although a failed write of the state file may have
   * recorded this one.
   */
  sealed?: { readonly epoch: SealedEpoch | undefined };
  /** It was damaged, and `damaged` has been called. */
  isDamageKnown?: boolean;
}

interface Watcher {
  readonly count: number;
  /** A failure ends the wait, too. */
  readonly orFailing: boolean;
  readonly resolve: () => void;
}

class SegmentSealer implements Sealer {
  readonly #options: SealerOptions;
  readonly #segments: WaitingSegment[] = [];
  readonly #stopping = new AbortController();
  #pausing = new AbortController();
  #watchers: readonly Watcher[] = [];
  #loop: Promise<void> | undefined;
  #failing = false;
  #imagesSegment: number | undefined;
  /** A failed attempt may have left its delta in the spool. */
  #hasStrays = false;

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
    this.#start();
  }

  idle(): Promise<void> {
    return this.below(1);
  }

  below(count: number): Promise<void> {
    return this.#watch(count, false);
  }

  belowOrFailing(count: number): Promise<void> {
    return this.#watch(count, true);
  }

  async pause(): Promise<void> {
    this.#pausing.abort();
    await this.#loop;
  }

  resume(): void {
    this.#pausing = new AbortController();
    this.#start();
  }

  forget(): void {
    for (const { number, sealed } of this.#segments.splice(0)) {
      if (sealed?.epoch !== undefined)
        this.#options.files.remove(join(this.#options.spoolFolder, spoolName(sealed.epoch.end)));
      this.#remove(number);
    }
    this.#failing = false;
    this.#notify();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#notify();
    await this.#loop;
  }

  #start(): void {
    if (this.#segments.length > 0 && !this.#pausing.signal.aborted) this.#loop ??= this.#run();
  }

  #watch(count: number, orFailing: boolean): Promise<void> {
    const watched = new Promise<void>(
      (resolve) => (this.#watchers = [...this.#watchers, { count, orFailing, resolve }]),
    );
    this.#notify();
    return watched;
  }

  #notify(): void {
    const isOver = ({ count, orFailing }: Watcher): boolean =>
      this.#segments.length < count || this.#stopping.signal.aborted || (orFailing && this.#failing);
    const ready = this.#watchers.filter(isOver);
    this.#watchers = this.#watchers.filter((watcher) => !isOver(watcher));
    for (const { resolve } of ready) resolve();
  }

  /**
   * Ends with the queue. Repeats a failed attempt for as long as it takes: the segment holds acknowledged writes (rule
   * 4). Only for lack of space may it go unsealed, once the dirty map has taken over its content: a disk that is full
   * of the journal could not be freed otherwise.
   */
  async #run(): Promise<void> {
    let isFullNow = false;
    const ends = [this.#stopping.signal, this.#pausing.signal];
    for (let attempt = 0; !ends.some(({ aborted }) => aborted);) {
      const segment = this.#segments[0];
      if (segment === undefined) break;
      try {
        const mayGo = isFullNow && attempt >= SEAL_FULL_TRIES && segment.sealed === undefined;
        const isGivenUp = mayGo && (await this.#options.giveUp(segment));
        if (isGivenUp) this.#remove(segment.number);
        else await this.#seal(segment);
        this.#segments.shift();
        attempt = 0;
        this.#failing = false;
        this.#notify();
      } catch (error) {
        this.#failing = true;
        this.#notify();
        isFullNow = isFull(error);
        this.#options.failed(error);
        await pause(this.#options.clock, backOffMs(attempt, this.#options.random), ...ends);
        attempt += 1;
      }
    }
    this.#loop = undefined;
  }

  async #seal(segment: WaitingSegment): Promise<void> {
    const { number, lastSequence } = segment;
    if (number > this.#options.state.current.sealedSegment) {
      segment.sealed ??= { epoch: await this.#sealEpoch(number) };
      const { epoch } = segment.sealed;
      if (epoch?.lastSequence !== lastSequence && segment.isDamageKnown !== true) {
        await this.#options.damaged();
        segment.isDamageKnown = true;
      }
      await this.#remember(number, lastSequence, epoch);
    }
    // The segment can redo the images until they are durable themselves.
    await this.#options.syncImages();
    this.#remove(number);
    this.#options.removed(number);
  }

  async #sealEpoch(segment: number): Promise<SealedEpoch | undefined> {
    const { files, journal, spoolFolder, state, thread } = this.#options;
    // A crash of the machine must not lose sealed records from the journal: the images could not be brought up to date.
    await this.#options.syncJournal();
    const { sealed: start, itemId, disks, seed } = state.current;
    if (this.#hasStrays) removeSpoolFilesBehind(files, spoolFolder, start);
    this.#hasStrays = true;
    const epoch = await thread.run({ segmentPath: journal.pathOf(segment), spoolFolder, itemId, disks, start, seed });
    this.#hasStrays = false;
    return epoch;
  }

  /** First the state file learns of the delta, then the uploader: after any crash in between, a start finds it. */
  async #remember(sealedSegment: number, sealedSequence: number, epoch: SealedEpoch | undefined): Promise<void> {
    const { state, spoolFolder } = this.#options;
    if (epoch === undefined) return state.change({ sealedSegment, sealedSequence });
    const { end: sealed, lengthBytes, md5, lastWriteMs } = epoch;
    await state.change(({ imagesSegment, seed }) => ({
      sealed,
      sealedSegment,
      sealedSequence,
      lastWriteMs,
      // A pass that began meanwhile is a new one: the end of the old says nothing about it.
      seed: seed.pass === epoch.seed.pass ? epoch.seed : seed,
      imagesSegment: this.#imagesSegment ?? imagesSegment,
    }));
    this.#options.sealed({ end: sealed, lengthBytes, md5, path: join(spoolFolder, spoolName(sealed)) });
  }

  /** Requires that the images have all of the segment on the medium. */
  #remove(segment: number): void {
    this.#options.journal.remove(segment);
    this.#imagesSegment = segment;
  }
}
