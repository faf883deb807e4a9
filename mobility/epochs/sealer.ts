import { join } from "node:path";
import { backOffMs, pause } from "../back-off.ts";
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
  add(segment: number, lengthBytes: number): void;
  /** Done when every segment added before has been sealed and removed, or the sealer was stopped. */
  idle(): Promise<void>;
  /** Done as soon as fewer than `count` wait. */
  below(count: number): Promise<void>;
  stop(): Promise<void>;
}

export interface SealerOptions {
  readonly journal: Journal;
  readonly thread: SealThread;
  readonly state: StateFile;
  readonly spoolFolder: string;
  /** Puts all images on the medium. */
  readonly syncImages: () => Promise<void>;
  readonly random: () => number;
  readonly sealed: (delta: SpooledDelta) => void;
  readonly failed: (error: unknown) => void;
}

export function startSealer(options: SealerOptions): Sealer {
  return new SegmentSealer(options);
}

class SegmentSealer implements Sealer {
  readonly #options: SealerOptions;
  readonly #segments: { readonly number: number; readonly lengthBytes: number }[] = [];
  readonly #stopping = new AbortController();
  #watchers: readonly { readonly count: number; readonly resolve: () => void }[] = [];
  #loop: Promise<void> | undefined;

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#segments.length;
  }

  get waitingBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.lengthBytes, 0);
  }

  add(number: number, lengthBytes: number): void {
    this.#segments.push({ number, lengthBytes });
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

  /** Ends with the queue. A failure (a full disk) is tried again for as long as it takes: the segment holds acknowledged writes (rule 4). */
  async #run(): Promise<void> {
    for (let attempt = 0; !this.#stopping.signal.aborted;) {
      const segment = this.#segments[0];
      if (segment === undefined) break;
      try {
        await this.#seal(segment.number);
        this.#segments.shift();
        attempt = 0;
        this.#notify();
      } catch (error) {
        this.#options.failed(error);
        await pause(backOffMs(attempt, this.#options.random), this.#stopping.signal);
        attempt += 1;
      }
    }
    this.#loop = undefined;
  }

  async #seal(segment: number): Promise<void> {
    const { journal, state, spoolFolder, thread } = this.#options;
    const { sealed: start, sealedSegment, itemId, disks, seed: seedBefore } = state.current;
    if (segment > sealedSegment) {
      const job = { segmentPath: journal.pathOf(segment), spoolFolder, itemId, disks, start, seed: seedBefore };
      const sealed = await thread.run(job);
      if (sealed === undefined) await state.change({ sealedSegment: segment });
      else {
        const { end, lengthBytes, lastSequence, lastWriteMs, seed } = sealed;
        await state.change({ sealed: end, sealedSegment: segment, sealedSequence: lastSequence, lastWriteMs, seed });
        this.#options.sealed({ end, lengthBytes, path: join(spoolFolder, spoolName(end)) });
      }
    }
    // The segment can redo the images until they are on the medium by themselves.
    await this.#options.syncImages();
    journal.remove(segment);
  }
}
