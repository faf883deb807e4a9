import { LeewardError } from "../../replication/errors.ts";
import { LAB_LOG_MAX_RECORDS } from "../limits.ts";
import { sectorDigests, type LogRecord } from "./write-log.ts";

/** A disk as the guest sees it: an NBD export, or a model of one. */
export interface GuestDisk {
  write(offsetBytes: number, bytes: Uint8Array, options: { readonly forceUnitAccess?: boolean }): Promise<void>;
  writeZeroes(offsetBytes: number, lengthBytes: number): Promise<void>;
  trim(offsetBytes: number, lengthBytes: number): Promise<void>;
  flush(): Promise<void>;
  close(): void;
}

/**
 * One request of the guest. `durable` is how the guest makes it durable: not at all, by FUA, or by a FLUSH afterwards.
 */
export type GuestRequest =
  | {
      readonly kind: "write";
      readonly disk: number;
      readonly offsetBytes: number;
      readonly bytes: Uint8Array;
      readonly durable: "no" | "fua" | "flush";
    }
  | {
      readonly kind: "zero" | "trim";
      readonly disk: number;
      readonly offsetBytes: number;
      readonly lengthBytes: number;
    };

/** The guest's activity so far. */
export interface GuestTotals {
  readonly requests: number;
  readonly bytes: number;
  readonly flushes: number;
}

/**
 * The guest of the lab VM: issues one request at a time over all its disks and, when asked, keeps the write log that
 * the oracle replays. Callers may overlap; their requests queue.
 */
export class Guest {
  readonly #disks: readonly GuestDisk[];
  readonly #now: () => number;
  readonly #keepLog: boolean;
  readonly #log: LogRecord[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #totals: GuestTotals = { requests: 0, bytes: 0, flushes: 0 };

  constructor(disks: readonly GuestDisk[], now: () => number, keepLog: boolean) {
    this.#disks = disks;
    this.#now = now;
    this.#keepLog = keepLog;
  }

  get totals(): GuestTotals {
    return this.#totals;
  }

  /** The log so far, in order. */
  get log(): readonly LogRecord[] {
    return this.#log;
  }

  /** Resolves with the request's number once it was acknowledged (and is durable, if asked). */
  submit(request: GuestRequest): Promise<number> {
    return this.#inTurn(() => this.#issue(request));
  }

  /** Makes everything acknowledged on all disks durable. */
  flush(): Promise<void> {
    return this.#inTurn(async () => {
      for (const disk of this.#disks) await disk.flush();
    });
  }

  /** Waits for the requests under way. */
  async idle(): Promise<void> {
    await this.#turn;
  }

  close(): void {
    for (const disk of this.#disks) disk.close();
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #issue(request: GuestRequest): Promise<number> {
    const disk = this.#disks[request.disk];
    if (disk === undefined) throw new LeewardError("internal", "The guest has no such disk", { disk: request.disk });
    const number = this.#totals.requests + 1;
    const lengthBytes = request.kind === "write" ? request.bytes.length : request.lengthBytes;
    const digests = this.#keepLog && request.kind === "write" ? sectorDigests(request.bytes) : new Uint8Array(0);
    const begunMs = this.#now();
    this.#totals = {
      ...this.#totals,
      requests: number,
      bytes: this.#totals.bytes + (request.kind === "trim" ? 0 : lengthBytes),
    };
    const entry = {
      number,
      kind: request.kind,
      disk: request.disk,
      offsetBytes: request.offsetBytes,
      lengthBytes,
      digests,
      begunMs,
    };
    let acknowledgedMs: number | undefined;
    try {
      await send(disk, request);
      acknowledgedMs = this.#now();
    } finally {
      this.#keep({ ...entry, acknowledgedMs });
    }
    if (request.kind === "write" && request.durable === "flush") {
      await disk.flush();
      this.#totals = { ...this.#totals, flushes: this.#totals.flushes + 1 };
    }
    return number;
  }

  #keep(record: LogRecord): void {
    if (!this.#keepLog) return;
    if (this.#log.length >= LAB_LOG_MAX_RECORDS) {
      throw new LeewardError(
        "not-supported",
        `The lab keeps at most ${LAB_LOG_MAX_RECORDS} records of a write log.`,
        {},
      );
    }
    this.#log.push(record);
  }
}

async function send(disk: GuestDisk, request: GuestRequest): Promise<void> {
  switch (request.kind) {
    case "write":
      return disk.write(request.offsetBytes, request.bytes, { forceUnitAccess: request.durable === "fua" });
    case "zero":
      return disk.writeZeroes(request.offsetBytes, request.lengthBytes);
    case "trim":
      return disk.trim(request.offsetBytes, request.lengthBytes);
  }
}
