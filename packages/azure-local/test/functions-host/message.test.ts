import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import {
  decodeMessage,
  describeMessage,
  disposalOf,
  poisonQueueName,
  pollDelayMs,
} from "../../functions-host/queue/message.ts";

describe("a queue message", () => {
  property.prop([fc.string({ unit: "grapheme" })])("is base64 unless host.json says otherwise", (text) => {
    const stored = Buffer.from(text, "utf8").toString("base64");
    expect(decodeMessage(stored, "base64")).toBe(text);
    expect(decodeMessage(stored, "none")).toBe(stored);
  });

  it.each(['{"item":"vm1"}', "a", "YQ", "YQ=a", "Y=Q=", "YQ==YQ==", "ä"])(
    "that is not base64 is noticed: %s",
    (stored) => {
      expect(decodeMessage(stored, "base64")).toBeUndefined();
    },
  );

  it("reaches the function with what the queue knows about it", () => {
    const time = new Date("2026-01-01T00:00:00Z");
    const message = {
      messageId: "id",
      popReceipt: "pop",
      messageText: "x",
      dequeueCount: 3,
      insertedOn: time,
      expiresOn: time,
      nextVisibleOn: time,
    };
    expect(describeMessage(message, "text")).toEqual({
      QueueTrigger: { string: "text" },
      Id: { string: "id" },
      PopReceipt: { string: "pop" },
      DequeueCount: { json: "3" },
      InsertionTime: { json: '"2026-01-01T00:00:00.000Z"' },
      ExpirationTime: { json: '"2026-01-01T00:00:00.000Z"' },
      NextVisibleTime: { json: '"2026-01-01T00:00:00.000Z"' },
    });
  });

  it("is deleted after success, comes back after a failure, and goes to the poison queue after the last", () => {
    expect(disposalOf(true, 9, 5, true)).toBe("delete");
    expect(disposalOf(false, 4, 5, true)).toBe("release");
    expect(disposalOf(false, 5, 5, true)).toBe("poison");
    expect(disposalOf(false, 5, 5, false)).toBe("leave");
  });

  it("has a poison queue unless the name is too long or is that of one", () => {
    expect(poisonQueueName("hints")).toBe("hints-poison");
    expect(poisonQueueName("hints-poison")).toBeUndefined();
    expect(poisonQueueName("q".repeat(56))).toBe(`${"q".repeat(56)}-poison`);
    expect(poisonQueueName("q".repeat(57))).toBeUndefined();
  });
});

describe("the pause between two polls of an empty queue", () => {
  property.prop([fc.integer({ min: 1, max: 10_000 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })])(
    "doubles, and stays within its bounds",
    (emptyPolls, random) => {
      const delayMs = pollDelayMs(emptyPolls, 100, 2000, random);
      expect(delayMs).toBeGreaterThanOrEqual(80);
      expect(delayMs).toBeLessThanOrEqual(2000);
      expect(pollDelayMs(emptyPolls + 1, 100, 2000, random)).toBeGreaterThanOrEqual(delayMs);
    },
  );

  it("begins at the shortest and ends at the longest", () => {
    expect([1, 2, 3, 5, 6].map((polls) => pollDelayMs(polls, 100, 2000, 0.5))).toEqual([100, 200, 400, 1600, 2000]);
  });
});
