import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { spoolName, type SpooledDelta } from "../../mobility/epochs/spool.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { openKeptDeltas } from "../../mobility/upload/kept.ts";
import { temporaryFolder } from "./temporary.ts";

function open(room = { bytes: Number.POSITIVE_INFINITY }) {
  const [spool, folder] = [temporaryFolder(), temporaryFolder()];
  const kept = openKeptDeltas(nodeFiles(), folder, () => room.bytes);
  const keep = (epoch: number, lengthBytes = 10): SpooledDelta => {
    const end = { stream: 1, epoch, checksum: String(epoch).padStart(64, "0") };
    const delta = { end, path: join(spool, spoolName(end)), lengthBytes };
    writeFileSync(delta.path, Buffer.alloc(lengthBytes));
    kept.keep(delta);
    return delta;
  };
  return { kept, keep, room, folder, files: () => [readdirSync(spool).length, readdirSync(folder).length] };
}

describe("deltas that were uploaded and are not applied yet", () => {
  it("leave the spool, can be found, and go when the target has applied them", () => {
    const { kept, keep, files } = open();
    for (const epoch of [1, 2, 3]) keep(epoch);
    expect([kept.bytes, files()]).toEqual([30, [0, 3]]);
    kept.applied(2);
    expect([kept.bytes, files()]).toEqual([10, [0, 1]]);
    expect(kept.find(2)).toBeUndefined();
    expect(kept.find(3)?.end.epoch).toBe(3);
    kept.forget();
    expect([kept.bytes, files()]).toEqual([0, [0, 0]]);
  });

  it("rule 9: take no room that something else needs: the oldest go first", () => {
    const { kept, keep, room } = open({ bytes: 25 });
    for (const epoch of [1, 2, 3]) keep(epoch);
    expect([kept.bytes, kept.find(1), kept.find(2)?.end.epoch]).toEqual([20, undefined, 2]);
    room.bytes = 12;
    kept.trim();
    expect([kept.bytes, kept.find(2), kept.find(3)?.end.epoch]).toEqual([10, undefined, 3]);
    room.bytes = -1;
    kept.applied(0);
    expect(kept.bytes).toBe(0);
    keep(4);
    expect(kept.bytes).toBe(0);
  });

  it("of before the start are removed: the position after them was remembered", () => {
    const { keep, folder } = open();
    keep(1);
    expect(openKeptDeltas(nodeFiles(), folder, () => 100).bytes).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
  });
});
