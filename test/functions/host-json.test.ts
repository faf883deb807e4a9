import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { INSTANCE_MEMORY_BYTES } from "../../functions/limits.ts";
import { memoryOfApp } from "../../functions/memory.ts";
import { SLICE_MS, WARM_ITEMS_MAX_COUNT } from "../../replication/limits.ts";

const duration = z.string().regex(/^\d{2}:\d{2}:\d{2}$/);

/**
 * The parts of the published host.json schema that this app uses; strict, so that a misspelt option does not pass for a
 * setting.
 */
const hostSchema = z.strictObject({
  version: z.literal("2.0"),
  extensionBundle: z.strictObject({ id: z.literal("Microsoft.Azure.Functions.ExtensionBundle"), version: z.string() }),
  functionTimeout: duration,
  extensions: z.strictObject({
    http: z.strictObject({ routePrefix: z.string() }),
    queues: z.strictObject({
      batchSize: z.int().min(1).max(32),
      newBatchThreshold: z.int().min(0),
      maxPollingInterval: duration,
      visibilityTimeout: duration,
      maxDequeueCount: z.int().min(1),
      messageEncoding: z.enum(["base64", "none"]).default("base64"),
    }),
    durableTask: z.strictObject({
      hubName: z.string().regex(/^[A-Za-z][A-Za-z0-9]{2,44}$/),
      storageProvider: z.strictObject({ maxQueuePollingInterval: duration }),
    }),
  }),
});

const milliseconds = (text: string): number => {
  const [hours = 0, minutes = 0, seconds = 0] = text.split(":").map(Number);
  return ((hours * 60 + minutes) * 60 + seconds) * 1000;
};

describe("host.json", () => {
  const host = hostSchema.parse(JSON.parse(readFileSync("host.json", "utf8")));
  const { queues, http } = host.extensions;
  const slots = queues.batchSize + queues.newBatchThreshold;

  it("rule 9: all that may run at once fits the smallest instance, with the memory of Node and the host", () => {
    // What the host runs at once unless host.json says otherwise, on one processor.
    const memory = memoryOfApp({ queueMessages: slots, activities: 10 });
    const sum = Object.values(memory).reduce((total, bytes) => total + bytes, 0);
    for (const bytes of Object.values(memory)) expect(bytes).toBeGreaterThan(0);
    expect(sum).toBeLessThanOrEqual(INSTANCE_MEMORY_BYTES);
    // It is no accident: with twice as many messages it would not.
    const more = memoryOfApp({ queueMessages: 2 * slots, activities: 10 });
    expect(Object.values(more).reduce((total, bytes) => total + bytes, 0)).toBeGreaterThan(INSTANCE_MEMORY_BYTES);
  });

  it("leaves slots to items that are not kept warm", () => {
    expect(WARM_ITEMS_MAX_COUNT).toBeLessThan(slots);
  });

  it("gives a slice of work much less time than the host does", () => {
    expect(SLICE_MS * 5).toBeLessThanOrEqual(milliseconds(host.functionTimeout));
  });

  it("looks into its queues every few seconds, and retries soon", () => {
    expect(milliseconds(queues.maxPollingInterval)).toBeLessThanOrEqual(2000);
    expect(milliseconds(queues.visibilityTimeout)).toBeLessThanOrEqual(30_000);
    expect(queues.maxDequeueCount).toBeGreaterThan(1);
  });

  it("has the encoding in which our own messages are sent, and the prefix that Location headers carry", () => {
    expect(queues.messageEncoding).toBe("base64");
    expect(http.routePrefix).toBe("api");
  });
});
