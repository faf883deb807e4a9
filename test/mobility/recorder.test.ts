import { describe, expect, it } from "vitest";
import { type RangeRecord, type RecorderOptions, openRecorder } from "../../mobility/capture/recorder.ts";
import type { CaptureMode } from "../../mobility/disks/activity.ts";
import { LeewardError } from "../../replication/errors.ts";

const recordOf = (disk: number): RangeRecord => ({ kind: "write", disk, pass: 0, offsetBytes: 0, lengthBytes: 512 });
const DATA = Buffer.alloc(512);
const broken = (): LeewardError => new LeewardError("capture-failed", "The medium of the journal is gone.");
const done = (): Promise<void> => Promise.resolve();

/** A recorder whose journal fails from now on; the first sync of it is answered when the test says so. */
function withFailingJournal() {
  const firstSync = Promise.withResolvers<void>();
  const modes: CaptureMode[] = [];
  let syncs = 0;
  let failure: LeewardError | undefined;
  const stubs = {
    clock: { after: () => () => undefined },
    log: {
      get failure() {
        return failure;
      },
      fail: (error: LeewardError) => void (failure ??= error),
      hasRoom: true,
      pendingBytes: 0,
      append: () => {
        throw broken();
      },
      cut: () => undefined,
    },
    journal: {
      failure: broken(),
      nextSequence: 7,
      sync: () => {
        syncs += 1;
        return syncs === 1 ? firstSync.promise : Promise.reject(broken());
      },
    },
    sealer: { failing: false },
    map: { mark: () => undefined, sync: done },
    activity: {
      mode: { kind: "logging" },
      // The region of disk 1 has to be made active first.
      touch: (disk: number) => disk === 0,
      markActive: async (_disk: number, _at: number, _bytes: number, settle: () => Promise<boolean>) =>
        void (await settle()),
      regions: () => [],
      change: done,
    },
    images: [],
    seeding: () => ({ begin: () => undefined, interrupt: () => undefined }),
    spooledBytes: () => 0,
    spoolBoundBytes: () => 1024 * 1024,
    random: () => 0.5,
    failed: () => undefined,
    changed: (mode: CaptureMode) => void modes.push(mode),
  };
  const recorder = openRecorder(stubs as object as RecorderOptions);
  return { recorder, modes, failFirstSync: () => firstSync.reject(broken()) };
}

describe("the recorder", () => {
  it("goes on with marks when the journal fails a record and what makes a region active at the same moment", async () => {
    const { recorder, modes, failFirstSync } = withFailingJournal();
    const made = recorder.ready(recordOf(1));
    expect(recorder.record(recordOf(0), DATA)).toBe(false);
    failFirstSync();
    await made;
    await recorder.track("journal-failed");
    expect(recorder.failure).toBeUndefined();
    expect(modes).toEqual([{ kind: "tracking", reason: "journal-failed" }]);
    expect(recorder.record(recordOf(0), DATA)).toBe(true);
    await recorder.stop();
  });
});
