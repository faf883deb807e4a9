import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fc, it } from "@fast-check/vitest";
import { afterEach, beforeEach, describe, expect } from "vitest";
import { hasCode } from "../../errors.ts";
import { openEventLog, type Delivery, type EventLog } from "../../events/event-log.ts";
import { eventOf } from "../../events/event.ts";

describe("the log of waiting events", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "leeward-events-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it.prop([fc.array(fc.nat(9), { maxLength: 60 })], { numRuns: 50 })(
    "holds what waits over any number of restarts",
    (choices) => {
      const place = join(folder, String(choices.length));
      let log = openEventLog(place);
      const before = [...log.waiting.keys()];
      for (const number of before) log.finish(number);
      const expected = new Map<number, string>();
      choices.forEach((choice, at) => {
        const oldest = expected.keys().next().value;
        if (choice < 5) expected.set(log.add(delivery(`blob-${at}`)).number, `blob-${at}`);
        else if (choice < 8 && oldest !== undefined) {
          log.finish(oldest);
          expected.delete(oldest);
        } else if (choice === 9) {
          // Without close: as a killed process leaves it.
          log = openEventLog(place);
        }
        expect(subjects(log)).toEqual([...expected.values()]);
      });
      expect(subjects(openEventLog(place))).toEqual([...expected.values()]);
    },
  );

  it("drops a torn end and refuses damage before it", async () => {
    const log = openEventLog(folder);
    log.add(delivery("one"));
    log.add(delivery("two"));
    log.close();
    const file = join(folder, "waiting.log");
    const whole = await readFile(file);
    await truncate(file, whole.length - 3);
    expect(subjects(openEventLog(folder))).toEqual(["one"]);
    await writeFile(file, whole.fill(0x20, 20, 21));
    expect(() => openEventLog(folder)).toThrow(expect.toSatisfy((error: unknown) => hasCode(error, "state-damaged")));
  });

  it("keeps dead letters in a file with their reason", async () => {
    const log = openEventLog(folder);
    const { number } = log.add(delivery("one"));
    log.bury(number, "The queue is gone.", 30);
    expect(log.waiting.size).toBe(0);
    expect(openEventLog(folder).waiting.size).toBe(0);
    const lines = (await readFile(join(folder, "dead-letters.jsonl"), "utf8")).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { ...delivery("one"), number, reason: "The queue is gone.", attempts: 30 },
    ]);
  });

  it("does not grow with what was delivered", async () => {
    const log = openEventLog(folder);
    for (let count = 0; count < 8000; count++) log.finish(log.add(delivery("blob")).number);
    const { number } = log.add(delivery("last"));
    expect((await readFile(join(folder, "waiting.log"))).length).toBeLessThan(4 * 1024 * 1024 + 2000);
    expect([...openEventLog(folder).waiting.keys()]).toEqual([number]);
  });
});

function subjects(log: EventLog): readonly string[] {
  return [...log.waiting.values()].map((waiting) => waiting.event.subject.split("/").at(-1) ?? "");
}

function delivery(blob: string): Delivery {
  const created = { api: "PutBlob", blobType: "BlockBlob", contentType: "", contentLengthBytes: 1 } as const;
  const operation = {
    account: "cachewe",
    service: "blob",
    operation: "BlockBlob_Upload",
    method: "PUT",
    container: "cache",
    blob,
    status: 201,
  } as const;
  const event = eventOf(
    { ...operation, lengthBytes: 1, atMs: 0, requestId: "", clientRequestId: "", etag: "", created },
    { blobUrl: "http://127.0.0.1", id: "id", batchId: "batch", sequence: 1n },
  );
  if (event === undefined) throw new Error("No event.");
  return { account: "targetne", queue: "hints", event };
}
