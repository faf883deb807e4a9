import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { PAGE_WAIT_MAX_MS } from "../../replication/apply/limits.ts";
import { createPace } from "../../replication/apply/pace.ts";
import { PAGE_WRITES_IN_FLIGHT, PUT_PAGE_MAX_BYTES } from "../../replication/limits.ts";

const MIB = 1024 * 1024;
/** Azure's own figures, as `docs/azure-differences.md` cites them. */
const AZURE_BYTES_PER_SECOND = 60 * MIB;
const AZURE_REQUESTS_PER_SECOND = 500;

interface Sent {
  readonly atMs: number;
  readonly lengthBytes: number;
}

/**
 * What goes out from the lanes of a batch: each sends its next request when the one before was answered, and the pace
 * lets it.
 */
function sendAll(requests: readonly { readonly answeredMs: number; readonly lengthBytes: number }[]): readonly Sent[] {
  const pace = createPace();
  const lanes = Array.from({ length: PAGE_WRITES_IN_FLIGHT }, () => 1_700_000_000_000);
  return requests.map(({ answeredMs, lengthBytes }) => {
    const nowMs = Math.min(...lanes);
    const atMs = nowMs + pace(nowMs, lengthBytes);
    lanes[lanes.indexOf(nowMs)] = atMs + answeredMs;
    return { atMs, lengthBytes };
  });
}

describe("the pace of page writes", () => {
  property.prop([
    fc.array(
      fc.record({
        answeredMs: fc.oneof(
          { weight: 8, arbitrary: fc.integer({ min: 0, max: 30 }) },
          fc.integer({ min: 0, max: 3_000 }),
        ),
        lengthBytes: fc.oneof(
          fc.constant(0),
          fc.constant(4_096),
          fc.constant(PUT_PAGE_MAX_BYTES),
          fc.integer({ min: 512, max: 4 * MIB }),
        ),
      }),
      { minLength: 1, maxLength: 1_500, size: "max" },
    ),
  ])("in no second sends more than a page blob takes, whatever comes when", (requests) => {
    const { bytes, count } = busiestSecond(sendAll(requests));
    expect(bytes).toBeLessThanOrEqual(AZURE_BYTES_PER_SECOND);
    expect(count).toBeLessThanOrEqual(AZURE_REQUESTS_PER_SECOND);
  });

  it.each([
    ["small", 512],
    ["of 64 KiB", 65_536],
    ["full", PUT_PAGE_MAX_BYTES],
  ])("nor when requests that are all %s come one on the other, after a rest and for long", (_name, lengthBytes) => {
    const { bytes, count } = busiestSecond(
      sendAll([
        { answeredMs: 5_000, lengthBytes },
        ...Array.from({ length: 3_000 }, () => ({ answeredMs: 0, lengthBytes })),
      ]),
    );
    expect(bytes).toBeLessThanOrEqual(AZURE_BYTES_PER_SECOND);
    expect(count).toBeLessThanOrEqual(AZURE_REQUESTS_PER_SECOND);
  });

  it("lets a usual epoch go out at once, and a long run at most of what the blob gives", () => {
    const few = sendAll(Array.from({ length: 20 }, () => ({ answeredMs: 0, lengthBytes: 16_384 })));
    expect(few.at(-1)?.atMs).toBe(few[0]?.atMs);
    const pace = createPace();
    let nowMs = 0;
    // One after the other, as a lane sends them: each when the one before has been let go.
    for (let put = 0; put < 250; put += 1) nowMs += pace(nowMs, PUT_PAGE_MAX_BYTES);
    expect((250 * PUT_PAGE_MAX_BYTES) / (nowMs / 1_000)).toBeGreaterThan(0.8 * AZURE_BYTES_PER_SECOND);
  });

  it("never waits long for a clock that was set back", () => {
    const pace = createPace();
    pace(1_700_000_000_000, PUT_PAGE_MAX_BYTES);
    expect(pace(1_600_000_000_000, PUT_PAGE_MAX_BYTES)).toBeLessThanOrEqual(PAGE_WAIT_MAX_MS);
  });
});

/** The most that goes out in any one second. */
function busiestSecond(requests: readonly Sent[]): { readonly bytes: number; readonly count: number } {
  const most = { bytes: 0, count: 0 };
  const sent = requests.toSorted((left, right) => left.atMs - right.atMs);
  for (const [index, first] of sent.entries()) {
    let bytes = 0;
    let count = 0;
    for (let next = index; (sent[next]?.atMs ?? Infinity) < first.atMs + 1_000; next += 1) {
      bytes += sent[next]?.lengthBytes ?? 0;
      count += 1;
    }
    most.bytes = Math.max(most.bytes, bytes);
    most.count = Math.max(most.count, count);
  }
  return most;
}
