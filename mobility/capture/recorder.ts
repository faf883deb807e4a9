import { LeewardError, hasCode, invariant } from "../../replication/errors.ts";
import type { Position } from "../../replication/position.ts";
import type { Activity, CaptureMode, TrackingReason } from "../disks/activity.ts";
import type { DirtyMap } from "../disks/dirty-map.ts";
import type { Image } from "../disks/image.ts";
import type { ClosedSegment, Sealer } from "../epochs/sealer.ts";
import { isOfStream, type ResynchronizationReason, type StateFile } from "../epochs/state.ts";
import type { Journal } from "../journal/journal.ts";
import type { JournalRecord } from "../journal/record.ts";
import { readSegmentBytes, walkSegment } from "../journal/segment.ts";
import { RESUME_LOOK_MS, SPOOL_LOW_SHARE, SPOOL_MIN_BYTES } from "../limits.ts";
import { backOffMs } from "../system/back-off.ts";
import { pause, type Clock } from "../system/clock.ts";
import type { Files } from "../system/files.ts";
import { LADDER, type LadderAction, type LadderEvent, type Rung, judgeRoom } from "./ladder.ts";
import type { WriteLog } from "./write-log.ts";

export type RangeRecord = Omit<JournalRecord, "sequence" | "timeMs">;

/**
 * Records every change of a disk before its image is touched: in the write log or, when there is no space for a log, as
 * a mark in the dirty map. Applies the back-pressure ladder: the guest waits for the local disk, never for the network.
 */
export interface Recorder {
  readonly mode: CaptureMode;
  readonly failure: LeewardError | undefined;
  /**
   * True when the image may be touched now. False when the caller has to wait for `ready`: then nothing was recorded.
   * Throws `capture-failed`.
   */
  record(record: RangeRecord, data: Buffer): boolean;
  /** Resolves when it is worth trying again. */
  ready(record: RangeRecord): Promise<void>;
  /** Records a seed in the log, or nowhere. False when there is no log now. */
  seed(record: RangeRecord, data: Buffer): boolean;
  /** Resolves when every change of the disk that was answered before is durable. */
  sync(disk: number): Promise<void>;
  /** An image failed: accepts nothing more until the service is restarted. */
  fail(error: LeewardError): void;
  /** Ends the log. Does nothing when it has already ended. */
  track(reason: TrackingReason): Promise<void>;
  /**
   * Reads everything again, on the operator's request or after damage. A request that was already obeyed is ignored.
   */
  resynchronize(reason: ResynchronizationReason, requestId: string | undefined): Promise<void>;
  /**
   * Ends the stream of the state folder and begins this one with a pass over everything, while the guest keeps running:
   * see docs/capture.md, "Another stream". Does nothing when it is already open. Rejects when that cannot be made
   * durable: the old stream then continues, and the call may be repeated. After a crash at any moment, a start finds
   * either the whole old stream or the new one begun.
   */
  beginStream(start: Position): Promise<void>;
  /**
   * There is no space to seal a closed segment. True when the dirty map durably names everything in it and the state
   * file skips it: then it may be removed. False while deltas wait for the network: sending them frees the space, and
   * the state that the segment leads to is worth having.
   */
  giveUp(segment: ClosedSegment): Promise<boolean>;
  /** Answers the waiters; accepts nothing more. */
  stop(): Promise<void>;
}

/** The pass that reads disks into the log, as far as the log's end and beginning affect it. */
interface Pass {
  begin(pass: number, fresh: boolean): void;
  interrupt(): void;
}

export interface RecorderOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly log: WriteLog;
  readonly journal: Journal;
  readonly sealer: Sealer;
  readonly map: DirtyMap;
  readonly activity: Activity;
  readonly images: readonly Image[];
  readonly state: StateFile;
  readonly seeding: () => Pass;
  /** Sealed deltas that wait for upload. */
  readonly spooledBytes: () => number;
  /** What they and the journal may take together at present. */
  readonly spoolBoundBytes: () => number;
  readonly random: () => number;
  readonly failed: (error: unknown) => void;
  readonly changed: (mode: CaptureMode) => void;
  /** Another stream has durably begun: sealed deltas of the previous one are useless now. */
  readonly streamBegun: () => void;
}

export function openRecorder(options: RecorderOptions): Recorder {
  return new LadderRecorder(options);
}

class LadderRecorder implements Recorder {
  readonly #options: RecorderOptions;
  readonly #stopping = new AbortController();
  #rung: Rung;
  #mode: CaptureMode;
  /** Changes of the mode, one at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Replaced whenever something that waiters wait for has changed. */
  #news = Promise.withResolvers<void>();
  #resuming: Promise<void> | undefined;
  /** Changes of the stream, one at a time. */
  #beginning: Promise<unknown> = Promise.resolve();

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#mode = options.activity.mode;
    this.#rung = this.#mode.kind;
    if (this.#rung === "tracking") this.#resuming = this.#resumeLater();
  }

  get mode(): CaptureMode {
    return this.#mode;
  }

  get failure(): LeewardError | undefined {
    return this.#options.log.failure;
  }

  record(record: RangeRecord, data: Buffer): boolean {
    const { activity, log, map, sealer } = this.#options;
    if (log.failure !== undefined) throw log.failure;
    const action = this.#meet("change");
    if (action === "wait" || !activity.touch(record.disk, record.offsetBytes, record.lengthBytes)) return false;
    if (action === "mark") {
      this.#must(() => map.mark(record.disk, record.offsetBytes, record.lengthBytes));
      return true;
    }
    const room = judgeRoom({
      hasRoom: log.hasRoom,
      isSealerFailing: sealer.failing,
      bytes: this.#options.spooledBytes() + log.pendingBytes + data.length,
      boundBytes: this.#options.spoolBoundBytes(),
    });
    if (room === "record") return this.#append(record, data);
    if (room !== "wait") this.#trackSoon(room);
    return false;
  }

  async ready(record: RangeRecord): Promise<void> {
    const { activity, log } = this.#options;
    if (log.failure !== undefined) return;
    const news = this.#news.promise;
    const action = this.#meet("change");
    if (action === "wait") await news;
    else if (!activity.touch(record.disk, record.offsetBytes, record.lengthBytes)) await this.#markActive(record);
    else if (action === "record" && !log.hasRoom) await Promise.race([log.room(), news]);
  }

  seed(record: RangeRecord, data: Buffer): boolean {
    if (this.failure !== undefined) throw this.failure;
    return this.#meet("seed") === "record" && this.#append(record, data);
  }

  async sync(disk: number): Promise<void> {
    const { journal, images } = this.#options;
    for (;;) {
      if (this.failure !== undefined) throw this.failure;
      const action = this.#meet("flush");
      if (action === "wait") {
        await this.#news.promise;
      } else if (action === "sync-images") {
        // Its marks may not be on the medium yet: until they are, the activity log names their regions.
        await this.#mustLater(() => images[disk]?.sync());
        return;
      } else {
        try {
          return await journal.sync();
        } catch {
          // The images hold everything recorded: from now on they are what is made durable.
          await this.track("journal-failed");
        }
      }
    }
  }

  fail(error: LeewardError): void {
    this.#options.log.fail(error);
    this.#tell();
  }

  track(reason: TrackingReason): Promise<void> {
    return this.#exclusive(async () => {
      if (this.failure === undefined) await this.#track(reason);
    });
  }

  resynchronize(reason: ResynchronizationReason, requestId: string | undefined): Promise<void> {
    return this.#exclusive(async () => {
      const { state, map, seeding } = this.#options;
      if (requestId !== undefined && state.current.resynchronizationId === requestId) return;
      // Order: the flag, the marks, the request. A kill in between repeats what is missing, and no incomplete delta
      // passes for a whole one. If the flag cannot be made durable, the running pass continues as if there had been no
      // request.
      const pass = state.current.seed.pass + 1;
      const seed = { pass, done: false };
      await state.change({ seed, seedFresh: false, isMarkingAll: true, resynchronizationReason: reason });
      seeding().interrupt();
      this.#must(() => map.markAll());
      await this.#mustLater(() => map.sync());
      try {
        await state.change({
          isMarkingAll: false,
          ...(requestId === undefined ? {} : { resynchronizationId: requestId }),
        });
      } finally {
        // The pass has to end, whether or not the request is known to have been obeyed.
        if (this.#mode.kind === "logging") seeding().begin(pass, false);
      }
    });
  }

  beginStream(start: Position): Promise<void> {
    const begun = this.#beginning.then(() => this.#beginStream(start));
    this.#beginning = begun.catch(() => undefined);
    return begun;
  }

  async giveUp({ number, lastSequence }: ClosedSegment): Promise<boolean> {
    const { files, journal, map, spooledBytes, state } = this.#options;
    if (spooledBytes() > 0 || this.failure !== undefined || this.#stopping.signal.aborted) return false;
    // Only without a log are the images known to hold everything recorded on the medium, so that nothing of the segment
    // has to be redone.
    await this.track("disk-full");
    return this.#exclusive(async () => {
      if (this.#mode.kind !== "tracking" || this.failure !== undefined) return false;
      let readTo: number | undefined;
      this.#must(() => {
        walkSegment(readSegmentBytes(files, journal.pathOf(number)), ({ disk, offsetBytes, lengthBytes, sequence }) => {
          map.mark(disk, offsetBytes, lengthBytes);
          readTo = sequence;
        });
        // The content of the rest is unknown.
        if (readTo !== lastSequence) map.markAll();
      });
      await this.#mustLater(() => map.sync());
      // Later segments may be sealed before there is a log again, and they lack what this one held: only a pass that
      // begins later closes the gap. Always a new pass: later segments may hold the end of the running one, which has
      // read data that is now lost.
      const seed = { pass: state.current.seed.pass + 1, done: false };
      const gap = { seed, seedFresh: false, resynchronizationReason: this.#mode.reason };
      await state.change({ sealedSegment: number, sealedSequence: lastSequence, ...gap });
      return true;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#tell();
    await this.#beginning;
    await this.#resuming;
    await this.#turn;
  }

  #append(record: RangeRecord, data: Buffer): boolean {
    const { journal, log } = this.#options;
    try {
      log.append(record, data);
      return true;
    } catch (error) {
      // A failed image or the end of the service has nothing to do with space.
      if (log.failure !== undefined || !hasCode(error, "capture-failed")) throw error;
      this.#options.failed(error);
      this.#trackSoon(journal.failure === undefined ? "disk-full" : "journal-failed");
      return false;
    }
  }

  async #markActive(record: RangeRecord): Promise<void> {
    const settle = async (): Promise<boolean> => {
      const action = this.#meet("settle");
      if (action === "refuse") return false;
      try {
        await (action === "sync-map" ? this.#options.map.sync() : this.#options.journal.sync());
        return true;
      } catch (error) {
        this.#options.failed(error);
        if (action === "sync-journal") this.#trackSoon("journal-failed");
        else this.#failWith("The dirty map cannot be made durable.", error);
        return false;
      }
    };
    await this.#mustLater(() =>
      this.#options.activity.markActive(record.disk, record.offsetBytes, record.lengthBytes, settle),
    );
    if (this.#meet("change") === "wait") await this.#news.promise;
  }

  /** From this turn of the event loop on, nothing is recorded until the change is complete. */
  #trackSoon(reason: TrackingReason): void {
    if (this.#meet("lose") === "nothing") return;
    this.track(reason).catch((error: unknown) => this.#options.failed(error));
  }

  /**
   * The order is the proof: the log is closed and the images are synced, so no record has to be redone; then the
   * activity log says durably that there is no log and which records are never redone; only then may an image change
   * without a record.
   */
  async #track(reason: TrackingReason): Promise<void> {
    const { activity, images, journal, log, map, seeding } = this.#options;
    if (this.#meet("close") === "nothing") return;
    seeding().interrupt();
    let mode: CaptureMode = { kind: "tracking", reason };
    log.cut();
    try {
      await journal.sync();
    } catch (error) {
      // Some records may be lost. All that were not durable lie in active regions, which are sent again.
      this.#options.failed(error);
      mode = { kind: "tracking", reason: "journal-failed" };
      await this.#mustLater(() => {
        for (const { disk, offsetBytes, lengthBytes } of activity.regions()) map.mark(disk, offsetBytes, lengthBytes);
        return map.sync();
      });
    }
    await this.#mustLater(async () => {
      for (const image of images) await image.sync();
      await activity.change(mode, journal.nextSequence);
    });
    seeding().interrupt();
    this.#mode = mode;
    this.#meet("closed");
    this.#options.changed(mode);
    this.#resuming = this.#resumeLater();
    this.#tell();
  }

  async #beginStream(start: Position): Promise<void> {
    const { sealer, state } = this.#options;
    if (isOfStream(state.current, start)) return;
    try {
      // Not inside the turn: the sealer's work may need one.
      await sealer.pause();
      await this.#exclusive(() => this.#exchange(start));
    } finally {
      sealer.resume();
    }
  }

  /**
   * Call without a log and with the sealer paused: the images are synced, so segments and deltas matter to the old
   * stream only. First the map names everything, which only makes the old stream read all of it again; then one change
   * of the state file both ends the old stream and begins the new one; this call or the next start removes what is left
   * of the old.
   */
  async #exchange(start: Position): Promise<void> {
    const { journal, log, map, sealer, state } = this.#options;
    if (this.failure !== undefined) throw this.failure;
    await this.#track("stream-changed");
    this.#must(() => map.markAll());
    await this.#mustLater(() => map.sync());
    const sealedSegment = journal.openNumber - 1;
    await state.change(({ seed }) => ({
      start,
      sealed: start,
      uploaded: start,
      sealedSegment,
      sealedSequence: journal.nextSequence - 1,
      imagesSegment: sealedSegment,
      lastWriteMs: 0,
      seed: { pass: seed.pass + 1, done: false },
      // The target disks of this stream are new.
      seedFresh: true,
      isMarkingAll: false,
      resynchronizationReason: undefined,
    }));
    sealer.forget();
    log.forgetTimes();
    this.#options.streamBegun();
  }

  /**
   * Checks now and then whether there is space for a log again. After a failure of the medium only a restart can tell.
   */
  async #resumeLater(): Promise<void> {
    for (let attempt = 0; this.#mode.kind === "tracking" && this.failure === undefined;) {
      const waitMs = attempt === 0 ? RESUME_LOOK_MS : backOffMs(attempt, this.#options.random);
      await pause(this.#options.clock, waitMs, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      if (this.#options.journal.failure !== undefined) continue;
      try {
        await this.#exclusive(() => this.#resume());
        attempt = 0;
      } catch (error) {
        this.#options.failed(error);
        attempt += 1;
      }
    }
  }

  async #resume(): Promise<void> {
    const { activity, images, journal, log, map, sealer, seeding, state } = this.#options;
    const mode = this.#mode;
    if (mode.kind !== "tracking") return;
    const bound = this.#options.spoolBoundBytes();
    if (bound < SPOOL_MIN_BYTES || this.#options.spooledBytes() + log.pendingBytes > bound * SPOOL_LOW_SHARE) return;
    // Earlier records are sealed first, without the flag for the gap, if nothing before them is missing: that state is
    // worth having.
    if (sealer.waiting > 0) return;
    const { sealed, seed, seedFresh } = state.current;
    const pass = seed.done ? seed.pass + 1 : seed.pass;
    // Until something of the stream is sealed, its target disks are empty: this is still initial replication.
    const fresh = seedFresh && sealed.epoch === 0;
    const resynchronizationReason = fresh ? undefined : mode.reason;
    await state.change({ seed: { pass, done: false }, seedFresh: fresh, resynchronizationReason });
    this.#meet("open");
    try {
      await map.sync();
      // From now on FLUSH syncs the journal: changes that bypassed it must already be durable.
      await this.#mustLater(async () => {
        for (const image of images) await image.sync();
      });
      await activity.change({ kind: "logging" }, journal.nextSequence);
    } catch (error) {
      this.#meet("failed");
      this.#tell();
      throw error;
    }
    this.#mode = { kind: "logging" };
    this.#meet("opened");
    this.#options.changed(this.#mode);
    seeding().begin(pass, fresh);
    this.#tell();
  }

  #exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Takes the ladder's step for the event and returns the action. */
  #meet(event: LadderEvent): LadderAction {
    const taken = LADDER[this.#rung][event];
    invariant(taken !== undefined, "the ladder has a step for what happens", { rung: this.#rung, event });
    this.#rung = taken.next;
    return taken.action;
  }

  #tell(): void {
    const { resolve } = this.#news;
    this.#news = Promise.withResolvers();
    resolve();
  }

  /** The guest's safety depends on this: when it fails, nothing more is accepted. */
  #must(work: () => void): void {
    try {
      work();
    } catch (cause) {
      throw this.#failWith("The dirty map cannot be written.", cause);
    }
  }

  async #mustLater(work: () => Promise<void> | undefined): Promise<void> {
    try {
      await work();
    } catch (cause) {
      throw this.#failWith("The state folder or an image cannot be made durable.", cause);
    }
  }

  #failWith(message: string, cause: unknown): LeewardError {
    const error = new LeewardError("capture-failed", message, {}, { cause });
    this.fail(error);
    return error;
  }
}
