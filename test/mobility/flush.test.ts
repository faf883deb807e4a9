import { describe, expect, it } from "vitest";
import { openJournal } from "../../mobility/journal/journal.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { temporaryFolder } from "./temporary.ts";

/** Syncs that the "medium" has been asked for and has not finished, oldest first. */
const asked: { readonly file: number; readonly finish: (error?: Error) => void }[] = [];
const held = (file: number): Promise<void> =>
  new Promise((resolve, reject) => {
    asked.push({ file, finish: (error) => (error === undefined ? resolve() : reject(error)) });
  });
const FILES = { ...nodeFiles(), datasyncLater: held, syncLater: held };

const BINDING = "0123456789abcdef0123456789abcdef";
const RECORD = { kind: "write", disk: 0, pass: 0, timeMs: 1, offsetBytes: 0, lengthBytes: 512 } as const;

/** Lets everything run that can. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};
async function finishAll(): Promise<void> {
  for (let next = asked.shift(); next !== undefined; next = asked.shift()) {
    next.finish();
    await settle();
  }
}
function watch(work: Promise<void>): { state: "waiting" | "done" | "failed" } {
  const watched: { state: "waiting" | "done" | "failed" } = { state: "waiting" };
  work.then(
    () => (watched.state = "done"),
    () => (watched.state = "failed"),
  );
  return watched;
}
const open = () =>
  openJournal({ files: FILES, folder: temporaryFolder(), binding: BINDING, number: 1, firstSequence: 1 });

describe("FLUSH", () => {
  it("waits for the medium: the folder that names a new segment, then every segment that holds an earlier record", async () => {
    const journal = open();
    journal.append(RECORD, Buffer.alloc(512));
    journal.cut();
    journal.append(RECORD, Buffer.alloc(512));
    const flush = watch(journal.sync());
    const files = new Set<number>();
    for (let step = 0; step < 3; step += 1) {
      await settle();
      expect([flush.state, asked.length]).toEqual(["waiting", 1]);
      const next = asked.shift();
      files.add(next?.file ?? -1);
      next?.finish();
    }
    await settle();
    expect([flush.state, files.size]).toEqual(["done", 3]);
    journal.close();
  });

  it("does not count a sync that began before the record", async () => {
    const journal = open();
    journal.append(RECORD, Buffer.alloc(512));
    const first = watch(journal.sync());
    await settle();
    journal.append(RECORD, Buffer.alloc(512));
    const second = watch(journal.sync());
    asked.shift()?.finish();
    await settle();
    asked.shift()?.finish();
    await settle();
    expect([first.state, second.state, asked.length]).toEqual(["done", "waiting", 1]);
    await finishAll();
    expect(second.state).toBe("done");
    journal.close();
  });

  it("asks nothing of the medium when nothing was recorded since", async () => {
    const journal = open();
    journal.append(RECORD, Buffer.alloc(512));
    const first = watch(journal.sync());
    await settle();
    await finishAll();
    const second = watch(journal.sync());
    await settle();
    expect([first.state, second.state, asked.length]).toEqual(["done", "done", 0]);
    journal.close();
  });

  it("fails for good when the medium failed once: the kernel may have dropped what it could not write", async () => {
    const journal = open();
    journal.append(RECORD, Buffer.alloc(512));
    const flush = watch(journal.sync());
    await settle();
    asked.shift()?.finish(new Error("EIO"));
    await settle();
    expect(flush.state).toBe("failed");
    expect(() => journal.append(RECORD, Buffer.alloc(512))).toThrowError(
      expect.objectContaining({ code: "capture-failed" }),
    );
    journal.close();
  });
});
