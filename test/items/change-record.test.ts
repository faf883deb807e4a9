import { describe, expect, it } from "vitest";
import { changeRecord, readRecord } from "../../replication/records/change-record.ts";
import { RECORD_CHANGES_MAX_TRIES } from "../../replication/limits.ts";
import { createMemoryRecords } from "../memory/memory-records.ts";

interface Tally {
  readonly version: 1;
  readonly count: number;
}

const NAME = "tally.json";
const more = (found: Tally | undefined): Tally => ({ version: 1, count: (found?.count ?? 0) + 1 });

describe("a record that is changed by compare-and-set", () => {
  it.each([false, true])("loses none of several changes at one moment (it is there before: %s)", async (isThere) => {
    const records = createMemoryRecords({ now: () => 0 });
    if (isThere) await changeRecord(records, NAME, 1, more);
    await Promise.all([1, 2, 3].map(() => changeRecord(records, NAME, 1, more)));
    expect(await readRecord(records, NAME, 1)).toEqual({ version: 1, count: isThere ? 4 : 3 });
  });

  it("is not written when nothing is to be changed", async () => {
    const records = createMemoryRecords({ now: () => 0 });
    await changeRecord(records, NAME, 1, more);
    const before = records.dump();
    await changeRecord<Tally>(records, NAME, 1, (found) => found ?? more(found));
    expect(records.dump()).toEqual(before);
  });

  it("rule 6: one that belongs to something else is neither read nor changed", async () => {
    const records = createMemoryRecords({ now: () => 0 });
    await changeRecord(records, NAME, 1, more);
    const before = records.dump();
    const refused = { code: "record-corrupt", facts: { name: NAME, field: "count" } };
    await expect(readRecord<Tally>(records, NAME, 1, { count: 2 })).rejects.toMatchObject(refused);
    await expect(changeRecord<Tally>(records, NAME, 1, more, { count: 2 })).rejects.toMatchObject(refused);
    expect(records.dump()).toEqual(before);
  });

  it("rule 9: a change that loses every round ends, and overwrites nothing", async () => {
    const records = createMemoryRecords({ now: () => 0 });
    let others = 0;
    const losing = {
      ...records,
      replace: async (...change: Parameters<typeof records.replace>) => {
        others += 1;
        await changeRecord(records, NAME, 1, more);
        return records.replace(...change);
      },
    };
    await changeRecord(records, NAME, 1, more);
    await expect(changeRecord(losing, NAME, 1, more)).rejects.toMatchObject({ code: "conflict" });
    expect(others).toBe(RECORD_CHANGES_MAX_TRIES);
    expect(await readRecord(records, NAME, 1)).toEqual({ version: 1, count: 1 + others });
  });
});
