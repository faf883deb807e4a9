import { LeewardError, hasCode, invariant } from "../../replication/errors.ts";
import { RESUME_LOOK_MS, SPOOL_LOW_SHARE, SPOOL_MIN_BYTES } from "../limits.ts";
import type { Position } from "../../replication/position.ts";
import { backOffMs } from "../system/back-off.ts";
import { pause } from "../system/clock.ts";
import type { Clock } from "../system/clock.ts";
import type { Activity, CaptureMode, TrackingReason } from "../disks/activity.ts";
import type { DirtyMap } from "../disks/dirty-map.ts";
import type { Image } from "../disks/image.ts";
import type { Files } from "../system/files.ts";
import type { Journal } from "../journal/journal.ts";
import type { JournalRecord } from "../journal/record.ts";
import { readSegmentBytes, walkSegment } from "../journal/segment.ts";
import type { ClosedSegment, Sealer } from "../epochs/sealer.ts";
import { isOfStream } from "../epochs/state.ts";
import type { ResynchronizationReason, StateFile } from "../epochs/state.ts";
import { LADDER, type LadderAction, type LadderEvent, type Rung, judgeRoom } from "./ladder.ts";
import type { WriteLog } from "./write-log.ts";

export type RangeRecord = Omit<JournalRecord, "sequence" | "timeMs">;

/**
 * What a change of a disk goes through before its image is touched: a record in the write log, or, when there is no
 * room for a log, a mark in the dirty map. The back-pressure ladder stands here: the guest waits for the local disk,
 * never for the network.
 */
export interface Recorder {
  readonly mode: CaptureMode;
  readonly failure: LeewardError | undefined;
  /**
   * True when the image may be touched now. False when that has to wait for `ready`: then nothing was recorded. Throws
   * `capture-failed`.
   */
  record(record: RangeRecord, data: Buffer): boolean;
  /** Done when it is worth trying again. */
  ready(record: RangeRecord): Promise<void>;
  /** A seed: into the log or nowhere. False when there is no log now. */
  seed(record: RangeRecord, data: Buffer): boolean;
  /** Done when every change of the disk that was answered before is durable. */
  sync(disk: number): Promise<void>;
  /** Takes nothing more until the service is restarted: an image failed. */
  fail(error: LeewardError): void;
  /** Ends the log. Nothing happens when it has ended. */
  track(reason: TrackingReason): Promise<void>;
  /** Reads everything again, as the operator or damage demands. A request that was obeyed is not obeyed again. */
  resynchronize(reason: ResynchronizationReason, requestId: string | undefined): Promise<void>;
  /**
   * Ends the stream of the state folder and begins this one with a pass over everything, while the guest goes on: see
   * docs/capture.md, "Another stream". Does nothing when it is the open one. Rejects when that cannot be made durable:
   * then the old stream goes on, and the same call may be made again. Whatever dies meanwhile, a start finds the old
   * stream whole or the new one begun.
   */
  beginStream(start: Position): Promise<void>;
  /**
   * A closed segment finds no room to be sealed. True when the dirty map names durably all that it holds and the state
   * file passes it over: then it may go. False while deltas wait for the network: sending them makes the room, and the
   * state that the segment leads to is worth having.
   */
  giveUp(segment: ClosedSegment): Promise<boolean>;
  /** Waiters are answered; nothing more is taken. */
  stop(): Promise<void>;
}

/** The pass that reads disks into the log, as far as the end and the beginning of a log touch it. */
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
  /** What they and the journal may take together, as things stand now. */
  readonly spoolBoundBytes: () => number;
  readonly random: () => number;
  readonly failed: (error: unknown) => void;
  readonly changed: (mode: CaptureMode) => void;
  /** Another stream has begun, durably: sealed deltas of the one before are of no use any more. */
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
  /** Changes of the mode, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Replaced whenever something changed for those who wait. */
  #news = Promise.withResolvers<void>();
  #resuming: Promise<void> | undefined;
  /** Changes of the stream, one after the other. */
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
    else if (!activity.touch(record.disk, record.offsetBytes, record.lengthBytes)) await this.#heat(record);
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
        // Its marks may still be on their way to the medium: until they are, the activity log names their regions.
        await this.#mustLater(() => images[disk]?.sync());
        return;
      } else {
        try {
          return await journal.sync();
        } catch {
          // The images have everything that was recorded: from now on they are what is made durable.
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
      // First the flag, then the marks, then the request: whatever a kill leaves of these is done again, and no delta
      // passes for a whole one. Should the flag not become durable, the pass that runs goes on as if nobody had asked.
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
        // The pass has to end, whether the request is known to have been obeyed or comes again.
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
    // Only without a log the images are known to hold, on the medium, all that was recorded: nothing of the segment has
    // to be redone.
    await this.track("disk-full");
    return this.#exclusive(async () => {
      if (this.#mode.kind !== "tracking" || this.failure !== undefined) return false;
      let readTo: number | undefined;
      this.#must(() => {
        walkSegment(readSegmentBytes(files, journal.pathOf(number)), ({ disk, offsetBytes, lengthBytes, sequence }) => {
          map.mark(disk, offsetBytes, lengthBytes);
          readTo = sequence;
        });
        // Nobody can say what the rest of it held.
        if (readTo !== lastSequence) map.markAll();
      });
      await this.#mustLater(() => map.sync());
      // What stands behind it may be sealed before there is a log again, and lacks all that it held: only a pass that
      // begins later ends the gap. A new one in any case: segments behind it may hold the end of the pass that runs,
      // which read what is gone now.
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
      // A failed image, or the end of the service, is no matter of room.
      if (log.failure !== undefined || !hasCode(error, "capture-failed")) throw error;
      this.#options.failed(error);
      this.#trackSoon(journal.failure === undefined ? "disk-full" : "journal-failed");
      return false;
    }
  }

  async #heat(record: RangeRecord): Promise<void> {
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
      this.#options.activity.heat(record.disk, record.offsetBytes, record.lengthBytes, settle),
    );
    if (this.#meet("change") === "wait") await this.#news.promise;
  }

  /** From this turn of the event loop on nothing is recorded, until the change is over. */
  #trackSoon(reason: TrackingReason): void {
    if (this.#meet("lose") === "nothing") return;
    this.track(reason).catch((error: unknown) => this.#options.failed(error));
  }

  /**
   * The order is the proof: the log is closed and the images are put on the medium, so no record has to be redone; then
   * the activity log says durably that there is no log and which records are never redone; only then an image may
   * change without a record.
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
      // Some records may be lost. All that were not durable lie in active regions: the target gets those again.
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
      // Outside of the turn: what the sealer is about may need one.
      await sealer.pause();
      await this.#exclusive(() => this.#exchange(start));
    } finally {
      sealer.resume();
    }
  }

  /**
   * Without a log, and with the sealer at rest: the images have on the medium all that was recorded, so segments and
   * deltas are needed for the old stream only. First the map names everything, which changes nothing for the old stream
   * but that all of it is read again; then one change of the state file is both the end of the old and the beginning of
   * the new one; what is left of the old is removed here, or by the next start.
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
      // Its target disks are new.
      seedFresh: true,
      isMarkingAll: false,
      resynchronizationReason: undefined,
    }));
    sealer.forget();
    log.forgetTimes();
    this.#options.streamBegun();
  }

  /**
   * Looks now and then whether there is room for a log again. After a failure of the medium only a restart can tell.
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
    // What was recorded before is sealed first, without the flag that the gap needs if nothing before it is missing:
    // that state is worth having.
    if (sealer.waiting > 0) return;
    const { sealed, seed, seedFresh } = state.current;
    const pass = seed.done ? seed.pass + 1 : seed.pass;
    // As long as nothing of the stream was sealed its target disks are as empty as in the beginning: this is initial
    // replication.
    const fresh = seedFresh && sealed.epoch === 0;
    const resynchronizationReason = fresh ? undefined : mode.reason;
    await state.change({ seed: { pass, done: false }, seedFresh: fresh, resynchronizationReason });
    this.#meet("open");
    try {
      await map.sync();
      // FLUSH looks at the journal from now on: what went past it has to be durable already.
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

  /** Takes the step that the ladder has for this, and says what is to be done. */
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

  /** What the guest's safety rests on: when it fails nothing more is taken. */
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
