import type { IntactRecord } from "./segment.ts";

/** The pass that counts, and whether the log has its end. The dirty map holds the rest of it. */
export interface SeedProgress {
  readonly pass: number;
  readonly done: boolean;
}

/** Adds the records of one segment to the progress of a pass. Ignores records of an older pass. */
export function seedAfter(before: SeedProgress, records: readonly IntactRecord[]): SeedProgress {
  let after = before;
  for (const { header } of records) {
    if (header.kind === "seed-done" && header.pass === before.pass) after = { ...after, done: true };
  }
  return after;
}
