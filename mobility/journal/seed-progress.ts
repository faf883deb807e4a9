import type { IntactRecord } from "./segment.ts";

/** The pass that counts, and whether the log has its end. What is left of it stands in the dirty map. */
export interface SeedProgress {
  readonly pass: number;
  readonly done: boolean;
}

/** What the records of one segment add to the progress of a pass. Records of an older pass say nothing. */
export function seedAfter(before: SeedProgress, records: readonly IntactRecord[]): SeedProgress {
  let after = before;
  for (const { header } of records) {
    if (header.kind === "seed-done" && header.pass === before.pass) after = { ...after, done: true };
  }
  return after;
}
