import { SECTOR_BYTES } from "../../replication/limits.ts";

/**
 * What a sector holds: the number of the write that made it, or 0 for zeros. Content follows from it, so that a reader
 * can tell which write it was.
 */
type Mark = number;

/** A change that was sent and not answered yet. */
export interface SentChange {
  readonly disk: number;
  readonly first: number;
  readonly marks: readonly Mark[];
}

const WORDS = SECTOR_BYTES / 4;

/** The content of a sector with this mark. */
export function sectorOf(mark: Mark): Buffer {
  const bytes = Buffer.alloc(SECTOR_BYTES);
  // Every word differs, so that a sector that is made of pieces of several writes is recognised.
  if (mark === 0) return bytes;
  for (let word = 0; word < WORDS; word += 1) bytes.writeUInt32LE((mark + word) >>> 0, word * 4);
  return bytes;
}

/** The mark of a sector's content; undefined when it is made of several writes, or of none. */
export function markOf(bytes: Uint8Array | undefined): Mark | undefined {
  if (bytes === undefined) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const mark = view.getUint32(0, true);
  for (let word = 1; word < WORDS; word += 1) {
    if (view.getUint32(word * 4, true) !== (mark === 0 ? 0 : (mark + word) >>> 0)) return undefined;
  }
  return mark;
}

/**
 * The write log of one machine as its guest knows it. After every write the whole machine, over all disks, is in a new
 * state, and a recovery point must be one of these states. The model also knows which writes are durable, because a
 * power cut may undo the others.
 */
export class WriteLogModel {
  /** The marks of every disk's sectors, by disk number. */
  readonly disks: readonly Mark[][];
  /** For each sector the marks that it may hold after a power cut, the newest last. */
  readonly #possible: Mark[][][];
  readonly #states = new Map<string, number>();
  #index = 0;
  /** Which writes the end of the last run may have lost. */
  #lost: "nothing" | "unflushed" | { readonly sent: SentChange | undefined } = "nothing";

  constructor(disks: readonly (readonly Mark[])[]) {
    this.disks = disks.map((marks) => [...marks]);
    this.#possible = this.disks.map((marks) => marks.map((mark) => [mark]));
    this.#remember();
  }

  /** The number of the present state. */
  get index(): number {
    return this.#index;
  }

  /** A write was sent and may take effect from now on. */
  begin(disk: number, first: number, marks: readonly Mark[]): void {
    for (const [at, mark] of marks.entries()) this.#possible[disk]?.[first + at]?.push(mark);
  }

  /** The write was done. */
  done(disk: number, first: number, marks: readonly Mark[]): void {
    for (const [at, mark] of marks.entries()) this.#set(disk, first + at, mark);
  }

  /** A flush was answered: what the sectors held when it was sent (`counts`) is durable. */
  flushed(disk: number, counts: readonly number[], range = { first: 0, count: counts.length }): void {
    for (let at = range.first; at < range.first + range.count; at += 1)
      this.#possible[disk]?.[at]?.splice(0, (counts[at] ?? 1) - 1);
  }

  /**
   * The process died, not the machine. All writes that were answered are kept, and any sectors of the one that was
   * sent and not answered.
   */
  killed(sent: SentChange | undefined): void {
    if (this.#lost === "nothing") this.#lost = { sent };
  }

  /** The machine lost power: unflushed writes may or may not be there. */
  cutOff(): void {
    this.#lost = "unflushed";
  }

  /** How many marks each sector of the disk may hold. */
  counts(disk: number): readonly number[] {
    return (this.#possible[disk] ?? []).map((possible) => possible.length);
  }

  /**
   * The machine came back with these sectors. Returns a sentence for every sector with content that it must not have.
   * Call `settled` afterwards.
   */
  cameBack(disk: number, marks: readonly (Mark | undefined)[]): readonly string[] {
    const wrong: string[] = [];
    for (const [at, mark] of marks.entries()) {
      const possible = this.#possible[disk]?.[at] ?? [];
      const allowed = this.#allowed(disk, at, possible);
      if (mark === undefined || !allowed.includes(mark))
        wrong.push(`disk ${disk} sector ${at} came back as ${mark}, not ${allowed.join(" or ")}`);
      this.#set(disk, at, mark ?? 0);
      // After a kill, writes without a flush may still be lost. What a power cut has left is on the medium.
      const kept = this.#lost === "unflushed" ? [] : possible.slice(0, possible.lastIndexOf(mark ?? 0));
      possible.splice(0, possible.length, ...kept, mark ?? 0);
    }
    return wrong;
  }

  /** What the disks hold now is a state of the machine. Returns its number. */
  settled(): number {
    this.#lost = "nothing";
    this.#remember();
    return this.#index;
  }

  /**
   * The number of the latest state in which the whole machine held this; undefined when it never did.
   */
  find(disks: readonly (readonly (Mark | undefined)[])[]): number | undefined {
    if (disks.some((marks) => marks.includes(undefined))) return undefined;
    return this.#states.get(keyOf(disks as readonly (readonly Mark[])[]));
  }

  #allowed(disk: number, at: number, possible: readonly Mark[]): readonly Mark[] {
    if (this.#lost === "unflushed") return possible;
    const sent = this.#lost === "nothing" ? undefined : this.#lost.sent;
    const isSent = sent?.disk === disk && at >= sent.first && at < sent.first + sent.marks.length;
    return possible.slice(isSent ? -2 : -1);
  }

  #set(disk: number, at: number, mark: Mark): void {
    const marks = this.disks[disk];
    if (marks !== undefined) marks[at] = mark;
  }

  #remember(): void {
    const key = keyOf(this.disks);
    if (this.#states.get(key) === this.#index && this.#index > 0) return;
    this.#index += 1;
    this.#states.set(key, this.#index);
  }
}

const keyOf = (disks: readonly (readonly Mark[])[]): string => disks.map((marks) => marks.join()).join("|");
