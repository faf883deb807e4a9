import { LeewardError } from "../../replication/errors.ts";
import { UPLOADS_IN_FLIGHT } from "../../replication/limits.ts";
import type { Position } from "../../replication/position.ts";
import type { SettleAnswer, SettleRequest } from "../../replication/service/protocol.ts";
import { removeSpoolFile, type SpooledDelta } from "../epochs/spool.ts";
import { backOffMs } from "../system/back-off.ts";
import { pause, within, type Clock } from "../system/clock.ts";
import type { Files } from "../system/files.ts";
import type { Pace } from "../system/pace.ts";
import type { Transport } from "../system/transport.ts";
import { openKeptDeltas, type KeptDeltas } from "./kept.ts";
import { putDelta } from "./put-blob.ts";

/**
 * Uploads sealed deltas to the cache. A spool file is removed only when the cache certainly has its delta (rule 4), and
 * is kept for as long as space allows.
 */
export interface Uploader {
  /** Deltas not known to be in the cache. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Set when another service has written this item: nothing more is uploaded until the service is restarted. */
  readonly stopped: LeewardError | undefined;
  readonly uploadedCount: number;
  readonly uploadedBytes: number;
  add(delta: SpooledDelta): void;
  /** A new place to upload to (with a new credential, in memory only). */
  grant(containerUrl: string): void;
  /** The target has applied everything up to here. */
  applied(end: Position): void;
  /**
   * The target lacks this epoch, or cannot read it: it is sent once more, if it is still here. Failing is harmless: the
   * target asks again.
   */
  resend(epoch: number): void;
  /** Uploaded and not yet applied: kept only where space allows. */
  readonly keptBytes: number;
  /** The available space may have shrunk. */
  trimKept(): void;
  /**
   * The service has no right to upload for now: waiting deltas are sent after the next grant. A request under way may
   * still arrive, which is harmless (rule 4).
   */
  suspend(): void;
  /** Stops uploading until another stream begins, and says why. */
  halt(error: LeewardError): void;
  /** Another stream has begun: removes everything that waits, and forgets where to upload and why it was halted. */
  forget(): void;
  /** Resolves when nothing waits, uploading was halted, or the time is over. */
  drained(withinMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface UploaderOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly transport: Transport;
  readonly control: { settle(request: Omit<SettleRequest, "sessionId">): Promise<SettleAnswer> };
  readonly random: () => number;
  /** Keeps all uploads together below the configured rate. */
  readonly pace?: Pace;
  /** Asks for a heartbeat soon: the credential is missing or expired. */
  readonly renew: () => void;
  /** Why nothing may be sent to a container; undefined when sending is allowed. */
  readonly obstacle: (containerUrl: string) => LeewardError | undefined;
  /** Durably remembers that the cache has everything up to here. */
  readonly uploaded: (end: Position) => Promise<void>;
  /** Where uploaded deltas stay until the target has applied them, and the space that they may take. */
  readonly kept: { readonly folder: string; readonly roomBytes: () => number };
  readonly failed: (error: unknown) => void;
}

interface Entry {
  delta: SpooledDelta;
  /** `done`: the cache has it, but not yet all before it. `forgotten`: its stream is over. */
  state: "waiting" | "under-way" | "done" | "forgotten";
}

export function startUploader(options: UploaderOptions): Uploader {
  return new SpoolUploader(options);
}

class SpoolUploader implements Uploader {
  readonly #options: UploaderOptions;
  readonly #kept: KeptDeltas;
  #resending = false;
  /** In the order of the stream. */
  #entries: Entry[] = [];
  /** Aborted when the stream is over. */
  #stream = new AbortController();
  readonly #stopping = new AbortController();
  readonly #workers = new Set<Promise<void>>();
  #containerUrl: string | undefined;
  #refusedHost: string | undefined;
  #suspended = false;
  #stopped: LeewardError | undefined;
  #uploadedCount = 0;
  #uploadedBytes = 0;
  #waitingBytes = 0;
  #finishing: Promise<void> = Promise.resolve();
  /** Aborted when waiting has become pointless: a credential came, or everything is over. */
  #wake = new AbortController();
  #drainWatchers: readonly (() => void)[] = [];

  constructor(options: UploaderOptions) {
    this.#options = options;
    this.#kept = openKeptDeltas(options.files, options.kept.folder, options.kept.roomBytes);
  }

  get waiting(): number {
    return this.#entries.length;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get stopped(): LeewardError | undefined {
    return this.#stopped;
  }

  get uploadedCount(): number {
    return this.#uploadedCount;
  }

  get uploadedBytes(): number {
    return this.#uploadedBytes;
  }

  get keptBytes(): number {
    return this.#kept.bytes;
  }

  trimKept(): void {
    this.#kept.trim();
  }

  add(delta: SpooledDelta): void {
    this.#entries.push({ delta, state: "waiting" });
    this.#waitingBytes += delta.lengthBytes;
    this.#start();
  }

  grant(containerUrl: string): void {
    const obstacle = this.#options.obstacle(containerUrl);
    if (obstacle !== undefined) return this.#refuse(obstacle);
    const missing = this.#containerUrl === undefined;
    this.#refusedHost = undefined;
    this.#containerUrl = containerUrl;
    this.#suspended = false;
    if (missing) {
      this.#wake.abort();
      this.#wake = new AbortController();
    }
    this.#start();
  }

  /** Reported once for each place: the next heartbeat names it again. Uploads under way go to the previous place. */
  #refuse(obstacle: LeewardError): void {
    this.#containerUrl = undefined;
    const host = String(obstacle.facts["host"]);
    if (host !== this.#refusedHost) this.#options.failed(obstacle);
    this.#refusedHost = host;
  }

  applied({ epoch }: Position): void {
    this.#kept.applied(epoch);
  }

  resend(epoch: number): void {
    const delta = this.#kept.find(epoch);
    if (delta === undefined || this.#resending || this.#containerUrl === undefined || this.#isOver()) return;
    this.#resending = true;
    const worker = this.#attempt({ delta, state: "under-way" }, this.#stream.signal)
      .catch(this.#options.failed)
      .finally(() => {
        this.#resending = false;
        this.#workers.delete(worker);
        this.#start();
      });
    this.#workers.add(worker);
  }

  suspend(): void {
    this.#containerUrl = undefined;
    this.#suspended = true;
    // Entries that wait for their next attempt release their slot.
    this.#wake.abort();
    this.#wake = new AbortController();
  }

  halt(error: LeewardError): void {
    this.#stopped ??= error;
    this.#options.failed(error);
    this.#wake.abort();
    this.#notifyDrained();
  }

  forget(): void {
    this.#stream.abort();
    this.#stream = new AbortController();
    for (const entry of this.#entries) {
      entry.state = "forgotten";
      removeSpoolFile(this.#options.files, entry.delta);
    }
    this.#entries = [];
    this.#waitingBytes = 0;
    this.#kept.forget();
    this.#containerUrl = undefined;
    this.#stopped = undefined;
    this.#notifyDrained();
  }

  async drained(withinMs: number): Promise<void> {
    if (this.#entries.length === 0 || this.#isOver()) return;
    const watched = new Promise<void>((resolve) => (this.#drainWatchers = [...this.#drainWatchers, resolve]));
    await within(this.#options.clock, withinMs, watched);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#notifyDrained();
    await Promise.all(this.#workers);
  }

  #isOver(): boolean {
    return this.#stopping.signal.aborted || this.#stopped !== undefined;
  }

  #notifyDrained(): void {
    if (this.#entries.length > 0 && !this.#isOver()) return;
    for (const resolve of this.#drainWatchers) resolve();
    this.#drainWatchers = [];
  }

  #start(): void {
    while (this.#workers.size < UPLOADS_IN_FLIGHT && this.#containerUrl !== undefined && !this.#isOver()) {
      const entry = this.#entries.find((each) => each.state === "waiting");
      if (entry === undefined) return;
      entry.state = "under-way";
      const worker = this.#upload(entry).finally(() => {
        this.#workers.delete(worker);
        this.#start();
      });
      this.#workers.add(worker);
    }
  }

  /**
   * Repeats until the cache has the delta or the service stops; the waits grow up to BACK_OFF_MAX_MS and there is no
   * last attempt (rule 4).
   */
  async #upload(entry: Entry): Promise<void> {
    const { signal: streamOver } = this.#stream;
    for (let attempt = 0; !this.#isOver(); attempt += 1) {
      if (streamOver.aborted) return;
      if (this.#suspended && entry.state !== "done") {
        entry.state = "waiting";
        return;
      }
      try {
        if (entry.state !== "done") await this.#attempt(entry, streamOver);
        if (streamOver.aborted) return;
        entry.state = "done";
        this.#finishing = this.#finishing.catch(() => undefined).then(() => this.#finishFront());
        await this.#finishing;
        return;
      } catch (error) {
        if (this.#isOver() || streamOver.aborted) return;
        this.#options.failed(error);
        if (this.#containerUrl === undefined && !this.#suspended) this.#options.renew();
        // A new credential ends the first wait. If it is refused too, requesting more in a loop is useless: then the
        // waits grow.
        const ends = [this.#stopping.signal, streamOver];
        const signals = attempt === 0 ? [...ends, this.#wake.signal] : ends;
        await pause(this.#options.clock, backOffMs(attempt, this.#options.random), ...signals);
      }
    }
  }

  /** Returns when the cache certainly has the delta. */
  async #attempt(entry: Entry, streamOver: AbortSignal): Promise<void> {
    const { delta } = entry;
    const containerUrl = this.#containerUrl;
    if (containerUrl === undefined)
      throw new LeewardError("store-unavailable", "No heartbeat has named a place to upload to yet.");
    const outcome = await putDelta({
      ...this.#options,
      containerUrl,
      delta,
      signal: AbortSignal.any([this.#stopping.signal, streamOver]),
    });
    if (streamOver.aborted) return;
    switch (outcome.kind) {
      case "created":
        return;
      case "exists":
        return this.#settle(delta, streamOver);
      case "exists-or-refused":
        if ((await this.#ask(delta, streamOver)) === "again") throw this.#drop(containerUrl, outcome.reason);
        return;
      case "refused":
        throw this.#drop(containerUrl, outcome.reason);
      case "damaged":
        // Next time with a checksum of what the spool holds now. That ends damage on the way; damage of the spool must
        // reach the target, which refuses it with a reason that its operator sees, instead of being retried here
        // without end.
        entry.delta = { ...delta, md5: undefined };
        throw new LeewardError("store-unavailable", "A delta did not arrive as it was sealed; it is sent again.", {
          epoch: delta.end.epoch,
        });
      case "failed":
        throw new LeewardError("store-unavailable", `The cache did not take a delta (${outcome.reason}).`, {
          epoch: delta.end.epoch,
        });
    }
  }

  /** Forgets a refused credential. Keeps a newer one that came meanwhile. */
  #drop(containerUrl: string, reason: string): LeewardError {
    if (this.#containerUrl === containerUrl) this.#containerUrl = undefined;
    return new LeewardError("store-refused", `The cache refused the credential (${reason}); another one is asked for.`);
  }

  async #settle(delta: SpooledDelta, streamOver: AbortSignal): Promise<void> {
    if ((await this.#ask(delta, streamOver)) === "same") return;
    const { epoch } = delta.end;
    const problem = "The cache did not take a delta, and nothing readable stands in its place; it is sent again.";
    throw new LeewardError("store-unavailable", problem, { epoch });
  }

  /**
   * Whether the cache has exactly this delta, or it is to be sent again. Throws `position-fork` when another one is
   * there.
   */
  async #ask({ end: { stream, epoch, checksum } }: SpooledDelta, streamOver: AbortSignal): Promise<"same" | "again"> {
    const { outcome } = await this.#options.control.settle({ stream, epoch, checksum });
    // Whatever is there does not concern the stream that has begun.
    if (streamOver.aborted || outcome !== "other") return outcome === "same" ? "same" : "again";
    const error = new LeewardError(
      "position-fork",
      "The cache holds another delta for this epoch: two services write one item.",
      {
        epoch,
      },
    );
    this.halt(error);
    throw error;
  }

  /** Removes what the cache has from the front of the queue: records the position first, then removes the files. */
  async #finishFront(): Promise<void> {
    const entries = this.#entries;
    const gap = entries.findIndex((entry) => entry.state !== "done");
    const done = entries.slice(0, gap === -1 ? entries.length : gap);
    const last = done.at(-1);
    if (last === undefined) return;
    await this.#options.uploaded(last.delta.end);
    if (entries !== this.#entries) return;
    entries.splice(0, done.length);
    for (const { delta } of done) {
      this.#waitingBytes -= delta.lengthBytes;
      this.#kept.keep(delta);
      this.#uploadedCount += 1;
      this.#uploadedBytes += delta.lengthBytes;
    }
    this.#notifyDrained();
  }
}
