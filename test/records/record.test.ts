import { describe, expect, it } from "vitest";
import { LeewardError } from "../../replication/errors.ts";
import { RECORD_CHANGES_MAX_TRIES } from "../../replication/limits.ts";
import { type RecordKind, recordAt } from "../../replication/records/record.ts";
import { createMemoryRecords } from "../memory/memory-records.ts";

interface Tally {
  readonly version: 1;
  readonly owner?: string;
  readonly count: number;
}

const KIND: RecordKind<Tally> = { name: "tally.json", version: 1 };
const more = (found: Tally | undefined): Tally => ({ version: 1, count: (found?.count ?? 0) + 1 });
const open = (kind = KIND) => {
  const records = createMemoryRecords({ now: () => 0 });
  return { records, tally: recordAt(records, kind), at: (other: RecordKind<Tally>) => recordAt(records, other) };
};
const NOISE = new Uint8Array([1, 2, 3]);

describe("a record that is changed by compare-and-set", () => {
  it.each([false, true])("loses none of several changes at one moment (it is there before: %s)", async (isThere) => {
    const { tally } = open();
    if (isThere) await tally.upsert(more);
    await Promise.all([1, 2, 3].map(() => tally.upsert(more)));
    expect(await tally.read()).toEqual({ version: 1, count: isThere ? 4 : 3 });
  });

  it("is not written when nothing is to be changed", async () => {
    const { records, tally } = open();
    expect(await tally.upsert(() => undefined)).toBeUndefined();
    expect(await tally.find()).toBeUndefined();
    const first = await tally.upsert(more);
    const before = records.dump();
    expect(await tally.upsert((found) => found ?? more(found))).toEqual(first);
    expect(await tally.change((found) => found)).toEqual(first);
    expect(await tally.upsert(() => undefined)).toBeUndefined();
    expect(records.dump()).toEqual(before);
  });

  it("is made by one of two, and replaced only as it was read", async () => {
    const { tally } = open();
    const etag = await tally.create(more(undefined));
    expect(await tally.create(more(undefined))).toBeUndefined();
    expect(await tally.replace({ version: 1, count: 7 }, etag)).not.toBeUndefined();
    expect(await tally.replace({ version: 1, count: 8 }, etag)).toBeUndefined();
    expect(await tally.replace({ version: 1, count: 8 }, undefined)).toBeUndefined();
    await tally.remove(etag);
    expect(await tally.read()).toEqual({ version: 1, count: 7 });
    await tally.put({ version: 1, count: 9 });
    expect(await tally.read()).toEqual({ version: 1, count: 9 });
    await tally.remove();
    expect(await tally.find()).toBeUndefined();
  });

  it("that is not there is neither read nor changed, with the error of its kind", async () => {
    const { tally, at } = open();
    const own = at({ ...KIND, missing: () => new LeewardError("item-unknown", "There is no such tally.") });
    for (const [record, code] of [[tally, "internal"] as const, [own, "item-unknown"] as const]) {
      await expect(record.read()).rejects.toMatchObject({ code });
      await expect(record.change(more)).rejects.toMatchObject({ code });
    }
    expect(await tally.inspect()).toBeUndefined();
  });

  it("rule 6: one that belongs to something else is neither read nor changed", async () => {
    const { records, tally, at } = open();
    await tally.upsert(more);
    const before = records.dump();
    const refused = { code: "record-corrupt", facts: { name: KIND.name, field: "count" } };
    const other = at({ ...KIND, owner: { count: 2 } });
    await expect(other.find()).rejects.toMatchObject(refused);
    await expect(other.upsert(more)).rejects.toMatchObject(refused);
    expect(await other.inspect()).toMatchObject({ damage: refused });
    expect(records.dump()).toEqual(before);
  });

  it("rule 6: one that contradicts itself is as good as damaged", async () => {
    const { tally, at } = open();
    await tally.upsert(more);
    const strict = at({ ...KIND, fault: ({ count }) => (count < 2 ? "counts too little" : undefined) });
    await expect(strict.read()).rejects.toMatchObject({ code: "record-corrupt", message: /tally.*counts too little/ });
    await tally.change(more);
    expect(await strict.read()).toEqual({ version: 1, count: 2 });
  });

  it.each([
    ["noise", undefined],
    ["longer than anything is", 2],
  ])("that is damaged (%s) is replaced only where somebody says what stands for it", async (_what, readBytes) => {
    const { records } = open();
    const read: typeof records.read = (name, maxBytes) => records.read(name, readBytes ?? maxBytes);
    const tally = recordAt({ ...records, read }, KIND);
    await records.put(KIND.name, NOISE);
    const code = readBytes === undefined ? "record-corrupt" : "delta-too-large";
    await expect(tally.find()).rejects.toMatchObject({ code });
    await expect(tally.upsert(more)).rejects.toMatchObject({ code });
    expect(await tally.inspect()).toMatchObject({ damage: { code } });
    // What stands for it is no reason to leave the damage where it is.
    const stand: Tally = { version: 1, count: 40 };
    expect(
      await tally.upsert(
        (found) => found ?? more(found),
        () => stand,
      ),
    ).toEqual(stand);
    expect(await recordAt(records, KIND).read()).toEqual(stand);
  });

  it("rule 9: a change that loses every round ends, and overwrites nothing", async () => {
    const { records, tally } = open();
    let others = 0;
    const losing: typeof records = {
      ...records,
      replace: async (...change) => {
        others += 1;
        await tally.upsert(more);
        return records.replace(...change);
      },
    };
    await tally.upsert(more);
    const refused = { code: "conflict", message: "Others kept changing the record tally.json." };
    await expect(recordAt(losing, KIND).change(more)).rejects.toMatchObject(refused);
    expect(others).toBe(RECORD_CHANGES_MAX_TRIES);
    expect(await tally.read()).toEqual({ version: 1, count: 1 + others });
  });
});
