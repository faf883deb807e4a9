import type { IntactRecord } from "../journal/segment.ts";

/** How far initial replication has come. Everything before `disk` and `offsetBytes` has been read in pass `pass`. */
export interface SeedProgress {
  readonly pass: number;
  readonly done: boolean;
  readonly disk: number;
  readonly offsetBytes: number;
}

/** What the records of one segment add to the progress of a pass. Records of an older pass say nothing. */
export function seedAfter(before: SeedProgress, records: readonly IntactRecord[]): SeedProgress {
  let after = before;
  for (const { header } of records) {
    if (header.pass !== before.pass) continue;
    if (header.kind === "seed-done") after = { ...after, done: true };
    else if (header.kind === "seed" || header.kind === "seed-zero") {
      after = { ...after, disk: header.disk, offsetBytes: header.offsetBytes + header.lengthBytes };
    }
  }
  return after;
}
