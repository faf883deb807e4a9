import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Recorder } from "../../mobility/capture/recorder.ts";
import { createVolume } from "../../mobility/capture/volume.ts";
import { openImage, type Image } from "../../mobility/disks/image.ts";
import { createRangeLock } from "../../mobility/disks/range-lock.ts";
import { systemClock } from "../../mobility/system/clock.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { LeewardError } from "../../replication/errors.ts";
import { temporaryFolder } from "./temporary.ts";

const MIB = 1024 * 1024;

/** A volume whose log and image write down what happens to them, in one list. */
function world(changes: { readonly image?: Partial<Image>; readonly recorder?: Partial<Recorder> } = {}) {
  const path = join(temporaryFolder(), "disk.img");
  writeFileSync(path, "");
  truncateSync(path, 16 * MIB);
  const real = openImage(nodeFiles(), "disk", path, 512);
  const events: string[] = [];
  let failure: LeewardError | undefined;
  let finishSync: () => void = () => undefined;
  const image: Image = {
    ...real,
    write: (bytes, at) => {
      events.push(`image ${at}+${bytes.length}`);
      real.write(bytes, at);
    },
    ...changes.image,
  };
  const recorder: Recorder = {
    mode: { kind: "logging" },
    record: (record) => {
      if (failure !== undefined) throw failure;
      events.push(`record ${record.kind} ${record.offsetBytes}+${record.lengthBytes}`);
      return true;
    },
    ready: () => Promise.resolve(),
    seed: () => true,
    sync: () => {
      events.push("sync");
      return new Promise((resolve) => (finishSync = resolve));
    },
    fail: (error) => (failure = error),
    get failure() {
      return failure;
    },
    track: () => Promise.resolve(),
    resynchronize: () => Promise.resolve(),
    beginStream: () => Promise.resolve(),
    giveUp: () => Promise.resolve(false),
    stop: () => Promise.resolve(),
    ...changes.recorder,
  };
  const churn = { writes: 0, writtenBytes: 0, zeroedBytes: 0, reads: 0, readBytes: 0, flushes: 0 };
  const disk = { id: "disk", sizeBytes: 16 * MIB, sectorSizeBytes: 512 } as const;
  const volume = createVolume({
    disk,
    index: 0,
    image,
    lock: createRangeLock(),
    recorder,
    churn,
    clock: systemClock(),
  });
  return { volume, events, finishSync: () => finishSync() };
}

describe("volume", () => {
  it("records before it touches the image, and cuts long writes into records of at most 4 MiB", async () => {
    const { volume, events } = world();
    expect(volume.write(512, Buffer.alloc(1024, 1), false)).toBeUndefined();
    await volume.write(4096, Buffer.alloc(9 * MIB, 2), false);
    expect(events).toEqual([
      "record write 512+1024",
      "image 512+1024",
      `record write 4096+${4 * MIB}`,
      `image 4096+${4 * MIB}`,
      `record write ${4096 + 4 * MIB}+${4 * MIB}`,
      `image ${4096 + 4 * MIB}+${4 * MIB}`,
      `record write ${4096 + 8 * MIB}+${MIB}`,
      `image ${4096 + 8 * MIB}+${MIB}`,
    ]);
  });

  it("answers FUA only when the record is durable", async () => {
    const { volume, events, finishSync } = world();
    let answered = false;
    const done = volume.write(0, Buffer.alloc(512, 1), true)?.then(() => (answered = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect([answered, events]).toEqual([false, ["record write 0+512", "image 0+512", "sync"]]);
    finishSync();
    await done;
    expect(answered).toBe(true);
  });

  it("answers FUA of a write that takes several records only when the last one is durable", async () => {
    const { volume, events, finishSync } = world();
    let answered = false;
    const done = volume.write(0, Buffer.alloc(9 * MIB, 1), true)?.then(() => (answered = true));
    const isOver = (): boolean => events.at(-1) === "sync" || answered;
    while (!isOver()) await new Promise((resolve) => setImmediate(resolve));
    expect([answered, events.filter((event) => event.startsWith("image")).length]).toEqual([false, 3]);
    finishSync();
    await done;
    expect(answered).toBe(true);
  });

  it("makes whole sectors of a write that is not aligned, with what the image holds around it", () => {
    const { volume, events } = world();
    void volume.write(0, Buffer.alloc(1536, 7), false);
    void volume.write(500, Buffer.alloc(100, 9), false);
    expect(events.slice(2)).toEqual(["record write 0+1024", "image 0+1024"]);
    const expected = Buffer.alloc(1536, 7);
    expected.fill(9, 500, 600);
    expect(volume.read(0, 1536)).toEqual(expected);
  });

  it("zeroes what is not zero yet, and leaves the holes of a sparse image alone", async () => {
    const { volume, events } = world();
    void volume.write(8 * MIB, Buffer.alloc(512, 1), false);
    await volume.zero(0, 16 * MIB, false);
    expect(events.filter((event) => event.startsWith("record zero")).length).toBe(4);
    expect(events.filter((event) => event.startsWith("image"))).toEqual([
      `image ${8 * MIB}+512`,
      `image ${8 * MIB}+${4 * MIB}`,
    ]);
  });

  it("takes nothing more once the image failed: the next start redoes the record that the image lacks", () => {
    const broken = world({
      image: {
        write: () => {
          throw new Error("EIO");
        },
      },
    });
    const failed = expect.objectContaining({ code: "capture-failed" });
    expect(() => broken.volume.write(0, Buffer.alloc(512, 1), false)).toThrowError(failed);
    expect(() => broken.volume.write(0, Buffer.alloc(512, 1), false)).toThrowError(failed);
    expect(() => broken.volume.read(0, 512)).toThrowError(failed);
    expect(broken.events).toEqual(["record write 0+512"]);
  });

  it("does not touch the image when the record failed", () => {
    const full = world({
      recorder: {
        record: () => {
          throw new LeewardError("capture-failed", "The journal is full.");
        },
      },
    });
    expect(() => full.volume.write(0, Buffer.alloc(512, 1), false)).toThrowError("full");
    expect(full.events).toEqual([]);
  });

  it("waits with the image until the change may be made, and nothing comes between the two on the same range", async () => {
    let free: () => void = () => undefined;
    let blocked = true;
    const events: string[] = [];
    const { volume } = world({
      image: { write: (bytes, at) => void events.push(`image ${at} ${bytes[0]}`) },
      recorder: {
        record: (record, data) => {
          if (!blocked) events.push(`record ${record.offsetBytes} ${data[0]}`);
          return !blocked;
        },
        ready: () => new Promise((resolve) => (free = resolve)),
      },
    });
    const first = volume.write(0, Buffer.alloc(1024, 1), false);
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([]);
    blocked = false;
    const second = volume.write(512, Buffer.alloc(512, 2), false);
    free();
    await Promise.all([first, second]);
    expect(events).toEqual(["record 0 1", "image 0 1", "record 512 2", "image 512 2"]);
  });
});
