import { describe, expect, it } from "vitest";
import { sha256 } from "../../replication/delta/bytes.ts";
import { decodeDelta } from "../../replication/delta/decode.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { FOOTER, FOOTER_BYTES, PROLOGUE, PROLOGUE_BYTES } from "../../replication/delta/layout.ts";
import { SOURCE_CLOCK_AHEAD_MAX_MS } from "../../replication/limits.ts";
import { PROGRESS_RECORD, deltaName, journalName } from "../../replication/names.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import type { StopReason } from "../../replication/records/item.ts";
import { startOf } from "../../replication/records/streams.ts";
import { forge } from "../delta/forge.ts";
import { missing } from "../missing.ts";
import { callNames, openOneItem, plansOf, type OneItem } from "./one-item.ts";
import { CRASH, ITEM_ID, STREAM, sealEpochs, smallItem } from "./small-world.ts";

/** Puts any bytes under the name of an epoch. */
async function put(world: OneItem, epoch: number, bytes: Uint8Array): Promise<void> {
  await world.stores.cache(ITEM_ID, STREAM).put(deltaName(STREAM, epoch), bytes);
}

/** The code with which a run stops the item, as the outcome and the record say it. */
async function stopCode(world: OneItem): Promise<string | undefined> {
  const outcome = await world.work();
  const { stopped, holder } = await world.progress();
  return outcome.kind === "stopped" && outcome.reason.code === stopped?.code && holder === undefined
    ? stopped.code
    : undefined;
}

describe("rule 5: the position chain decides, not the events", () => {
  it("applies what has arrived up to the first gap, and the rest when the gap closes", async () => {
    const world = await openOneItem(plansOf(5));
    await world.arrive(5, 2, 1, 4);
    expect(await world.work()).toEqual({ kind: "idle" });
    expect((await world.progress()).applied).toEqual(world.epochs[1]?.end);
    expect(world.diskEpoch()).toBe(2);
    await world.arrive(3);
    expect(await world.work()).toEqual({ kind: "idle" });
    expect((await world.progress()).applied).toEqual(world.epochs[4]?.end);
    expect(world.diskEpoch()).toBe(5);
  });

  it("follows epochs, not times: a source clock that was set back neither stops the target nor makes it look older", async () => {
    const world = await openOneItem(plansOf(2));
    const [first, second] = world.epochs;
    if (first === undefined || second === undefined) throw new Error("there are two epochs");
    await world.arrive(1);
    await world.work();
    const times = { firstWriteMs: first.firstWriteMs - 60_000, lastWriteMs: first.lastWriteMs - 60_000 };
    const header = {
      itemId: ITEM_ID,
      stream: STREAM,
      epoch: 2,
      ...times,
      start: first.end,
      disks: world.item.disks,
      flags: CRASH,
    };
    await put(world, 2, encodeDelta(header, second.extents).bytes);
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(2);
    expect(await world.progress()).toMatchObject({ applied: { epoch: 2 }, appliedSourceMs: first.lastWriteMs });
  });

  it("a time that the source's clock cannot have shown hides none of those that come", async () => {
    const world = await openOneItem(plansOf(2));
    const { itemId, disks } = world.item;
    const lastMs = (world.epochs[1] ?? missing()).lastWriteMs;
    let start = startOf(world.item);
    const shownMs: number[] = [];
    for (const [index, lastWriteMs] of [world.clock.nowMs + SOURCE_CLOCK_AHEAD_MAX_MS + 1, lastMs].entries()) {
      const header = {
        itemId,
        stream: STREAM,
        epoch: index + 1,
        firstWriteMs: lastMs,
        lastWriteMs,
        start,
        disks,
        flags: CRASH,
      };
      const delta = encodeDelta(header, world.epochs[index]?.extents ?? []);
      await put(world, index + 1, delta.bytes);
      await world.work();
      shownMs.push((await world.progress()).appliedSourceMs);
      start = delta.end;
    }
    expect(shownMs).toEqual([world.clock.nowMs + SOURCE_CLOCK_AHEAD_MAX_MS + 1, lastMs]);
  });

  it("rule 10: a hint too many changes nothing", async () => {
    const world = await openOneItem(plansOf(2));
    await world.arrive(1, 2);
    await world.work();
    await world.work();
    await world.work();
    expect(world.diskEpoch()).toBe(2);
    expect((await world.progress()).holder).toBeUndefined();
  });

  it("an item that nobody knows is left alone", async () => {
    const world = await openOneItem([]);
    await world.stores.records(ITEM_ID).remove("item.json");
    expect(await world.work()).toEqual({ kind: "idle" });
  });

  it("a fork stops the item before anything is written", async () => {
    const world = await openOneItem(plansOf(2));
    const other = sealEpochs(world.item, plansOf(2, { 1: { groupMark: true } }));
    await world.arrive(1);
    await world.work();
    await put(world, 2, other[1]?.bytes ?? new Uint8Array());
    const before = world.calls.length;
    expect(await stopCode(world)).toBe("position-fork");
    expect(world.diskEpoch()).toBe(1);
    expect(callNames(world, before)).not.toContain("disks writePages");
  });

  it("a delta of another item, or of another epoch than its name says, stops the item", async () => {
    const world = await openOneItem(plansOf(1));
    const stranger = sealEpochs({ ...world.item, itemId: "vm-2" }, plansOf(1));
    await put(world, 1, stranger[0]?.bytes ?? new Uint8Array());
    expect(await stopCode(world)).toBe("delta-foreign");

    const second = await openOneItem(plansOf(2));
    await put(second, 1, second.epochs[1]?.bytes ?? new Uint8Array());
    expect(await stopCode(second)).toBe("delta-foreign");
    expect(second.diskEpoch()).toBe(0);
  });

  it("a delta with other disks stops the item", async () => {
    const world = await openOneItem(plansOf(1));
    const grown = smallItem(
      world.item.disks.map((disk) => ({ ...disk, sizeBytes: 2 * disk.sizeBytes })),
      1,
    );
    await put(world, 1, sealEpochs(grown, plansOf(1))[0]?.bytes ?? new Uint8Array());
    expect(await stopCode(world)).toBe("delta-foreign");
  });

  it("rule 6: a damaged delta stops the item, and the reason says where it lies", async () => {
    const world = await openOneItem(plansOf(1));
    const bytes = world.epochs[0]?.bytes.slice() ?? new Uint8Array();
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await put(world, 1, bytes);
    expect(await stopCode(world)).toBe("delta-corrupt");
    expect((await world.progress()).stopped?.facts).toMatchObject({ place: "cache", epoch: 1 });
    expect(world.diskEpoch()).toBe(0);
  });

  it("a delta that needs a newer reader stops the item", async () => {
    const world = await openOneItem(plansOf(1));
    await put(world, 1, withVersions(world.epochs[0]?.bytes ?? new Uint8Array(), 2, 2));
    expect(await stopCode(world)).toBe("delta-unsupported");
  });

  it("a stopped item is not applied to while the damaged delta stands there, and goes on when the right one has taken its place", async () => {
    const world = await openOneItem(plansOf(2));
    await put(world, 1, new Uint8Array(600));
    expect(await stopCode(world)).toBe("delta-corrupt");
    await world.arrive(2);
    expect(await world.work()).toMatchObject({ kind: "stopped" });
    expect(world.diskEpoch()).toBe(0);
    await put(world, 1, world.epochs[0]?.bytes ?? new Uint8Array());
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(2);
  });

  it("rule 6: a delta whose tables are right and whose frames are forged never becomes intent, so the disks stay whole", async () => {
    const world = await openOneItem(plansOf(1));
    const forged = forge(world.epochs[0]?.bytes ?? new Uint8Array(), (view) =>
      view.setUint8(PROLOGUE_BYTES, view.getUint8(PROLOGUE_BYTES) ^ 1),
    );
    expect(decodeDelta(forged).end).toEqual(decodeDelta(world.epochs[0]?.bytes ?? new Uint8Array()).end);
    await put(world, 1, forged);
    expect(await stopCode(world)).toBe("delta-corrupt");
    const { applied, intent } = await world.progress();
    expect(intent).toEqual(applied);
    expect(world.diskEpoch()).toBe(0);
  });

  it("a gap that the sweep has named ends by itself when the missing delta is there", async () => {
    const world = await openOneItem(plansOf(3));
    await world.arrive(1, 3);
    await world.work();
    const reason: StopReason = { code: "position-gap", message: "epoch 2 is missing", hint: "", facts: {}, atMs: 1 };
    const records = world.stores.records(ITEM_ID);
    await records.put(PROGRESS_RECORD, encodeRecord({ ...(await world.progress()), stopped: reason }));
    expect(await world.work()).toMatchObject({ kind: "stopped", reason: { code: "position-gap" } });
    await world.arrive(2);
    expect(await world.work()).toEqual({ kind: "idle" });
    expect((await world.progress()).stopped).toBeUndefined();
    expect(world.diskEpoch()).toBe(3);
  });

  it("deltas of another stream are never read", async () => {
    const world = await openOneItem(plansOf(1));
    const next = sealEpochs({ ...world.item, stream: 2 }, plansOf(1));
    await world.stores.cache(ITEM_ID, STREAM).put(deltaName(2, 1), next[0]?.bytes ?? new Uint8Array());
    await world.arrive(1);
    await world.work();
    expect(world.calls.filter((call) => call.target.includes("0000000002/"))).toEqual([]);
    expect((await world.progress()).applied.epoch).toBe(1);
  });

  it("nothing follows the final delta of a stream", async () => {
    const world = await openOneItem(plansOf(3, { 2: { final: true } }));
    await world.arrive(1);
    expect(await world.work()).toEqual({ kind: "idle" });
    await world.arrive(2, 3);
    world.clock.nowMs += 1;
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(await world.work()).toEqual({ kind: "idle" });
    expect((await world.progress()).applied.epoch).toBe(2);
    expect(world.calls.filter((call) => call.target === deltaName(STREAM, 3))).toEqual([]);
    const points = await world.points();
    expect(points.map((point) => [point.position.epoch, world.pointEpoch(point)])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });
});

describe("the journal (rules 4 and 7)", () => {
  it("has every delta, byte for byte, and the cache none, once it is applied", async () => {
    const world = await openOneItem(plansOf(3));
    await world.arrive(1, 2, 3);
    await world.work();
    expect(world.memory.cacheNames(ITEM_ID)).toEqual([]);
    for (const epoch of world.epochs) {
      const stored = await world.stores.records(ITEM_ID).read(journalName(STREAM, epoch.end.epoch));
      expect(stored?.bytes).toEqual(Uint8Array.from(epoch.bytes));
    }
  });

  it("accepts other bytes under the name when they carry the same delta", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    await world.stores
      .records(ITEM_ID)
      .create(journalName(STREAM, 1), withVersions(world.epochs[0]?.bytes ?? new Uint8Array(), 2, 1));
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(1);
  });

  it("another delta under the name stops the item before anything is written", async () => {
    const world = await openOneItem(plansOf(1));
    await world.arrive(1);
    const other = sealEpochs(world.item, plansOf(1, { 1: { groupMark: true } }));
    await world.stores.records(ITEM_ID).create(journalName(STREAM, 1), other[0]?.bytes ?? new Uint8Array());
    expect(await stopCode(world)).toBe("position-fork");
    expect(world.diskEpoch()).toBe(0);
  });

  it("serves a delta that a worker put there before it died, when the cache has lost it", async () => {
    const world = await openOneItem(plansOf(1));
    await world.stores.records(ITEM_ID).create(journalName(STREAM, 1), world.epochs[0]?.bytes ?? new Uint8Array());
    expect(await world.work()).toEqual({ kind: "idle" });
    expect(world.diskEpoch()).toBe(1);
  });

  it("a batch that was begun and can be read nowhere stops the item as a gap", async () => {
    const world = await openOneItem(plansOf(1));
    const progress = await world.progress();
    const intent = world.epochs[0]?.end ?? progress.applied;
    await world.stores.records(ITEM_ID).put(PROGRESS_RECORD, encodeRecord({ ...progress, intent }));
    expect(await stopCode(world)).toBe("position-gap");
  });
});

/** The same delta in a file of other versions: the position does not depend on them. */
function withVersions(bytes: Uint8Array, version: number, minimumReaderVersion: number): Uint8Array {
  const changed = bytes.slice();
  const view = new DataView(changed.buffer);
  for (const start of [0, changed.length - FOOTER_BYTES]) {
    view.setUint16(start + PROLOGUE.version, version, true);
    view.setUint16(start + PROLOGUE.minimumReaderVersion, minimumReaderVersion, true);
  }
  const checksumStart = changed.length - FOOTER_BYTES + FOOTER.fileChecksum;
  changed.set(sha256(changed.subarray(0, checksumStart)), checksumStart);
  return changed;
}
