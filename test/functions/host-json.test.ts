import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  BATCH_MAX_BYTES,
  BATCH_MAX_EXTENTS,
  DELTA_MAX_BYTES,
  FRAME_MAX_PLAIN_BYTES,
  FRAMES_HELD_MAX_BYTES,
  PAGE_WRITES_IN_FLIGHT,
  PUT_PAGE_MAX_BYTES,
  SLICE_MS,
  WARM_ITEMS_MAX_COUNT,
} from "../../replication/limits.ts";

const MIB = 1024 * 1024;
const duration = z.string().regex(/^\d{2}:\d{2}:\d{2}$/);

/** The parts of the published host.json schema that this app uses; strict, so that a misspelt option does not pass for a setting. */
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

  it("rule 9: as many applies as the host may run at once fit an instance of 2 GiB", () => {
    // The encoded deltas of a batch and the one that did not fit any more, the frames held and one that is being decoded, the plain bytes of all page
    // writes in flight, and 64 bytes for each extent of the merge, held twice.
    const applyBytes =
      BATCH_MAX_BYTES +
      DELTA_MAX_BYTES +
      FRAMES_HELD_MAX_BYTES +
      FRAME_MAX_PLAIN_BYTES +
      PAGE_WRITES_IN_FLIGHT * PUT_PAGE_MAX_BYTES +
      2 * 64 * BATCH_MAX_EXTENTS;
    // A quarter is left to Node, the SDK and the host.
    expect(slots * applyBytes).toBeLessThanOrEqual(1536 * MIB);
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
