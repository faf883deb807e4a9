import { createHash } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import type { SpooledDelta } from "../../mobility/epochs/spool.ts";
import type { Clock } from "../../mobility/system/clock.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import type { HttpAnswer, HttpRequest } from "../../mobility/system/transport.ts";
import { startUploader, type Uploader, type UploaderOptions } from "../../mobility/upload/uploader.ts";
import { LeewardError } from "../../replication/errors.ts";
import { UPLOADS_IN_FLIGHT } from "../../replication/limits.ts";
import { temporaryFolder } from "./temporary.ts";

const md5Of = (text: string): string => createHash("md5").update(text).digest("base64");
const PLACE = "http://127.0.0.1/container?sig=x";
const answerOf = (status: number, code?: string): HttpAnswer => ({
  status,
  headers: code === undefined ? {} : { "x-ms-error-code": code },
  body: "",
});

/** Time that goes on only when the test says so. */
interface HandClock extends Clock {
  /** How long the waits last that have not ended. */
  readonly waits: readonly number[];
  /** Ends all of them. */
  pass(): void;
}

function handClock(): HandClock {
  const waiting = new Map<() => void, number>();
  return {
    now: () => 0,
    monotonicMs: () => 0,
    turn,
    after: (waitMs, run) => {
      waiting.set(run, waitMs);
      return () => void waiting.delete(run);
    },
    get waits() {
      return [...waiting.values()];
    },
    pass: () => {
      for (const run of waiting.keys()) {
        waiting.delete(run);
        run();
      }
    },
  };
}

interface World {
  readonly uploader: Uploader;
  readonly clock: HandClock;
  /** Epochs of the Put Blob requests, in order. */
  readonly sent: number[];
  readonly failures: unknown[];
  /** Epochs up to which the cache was said to have everything. */
  readonly remembered: number[];
  readonly delta: (epoch: number) => SpooledDelta;
}

/** An uploader on real files; `send` is called with the epoch. Each call waits for a turn of the event loop. */
function uploads(
  send: (epoch: number, request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>,
  changes: Partial<UploaderOptions> = {},
): World {
  const folder = temporaryFolder();
  const clock = handClock();
  const sent: number[] = [];
  const failures: unknown[] = [];
  const remembered: number[] = [];
  const uploader = startUploader({
    files: nodeFiles(),
    kept: { folder: temporaryFolder(), roomBytes: () => Number.POSITIVE_INFINITY },
    clock,
    transport: {
      send: async (request) => {
        const epoch = Number(request.url.pathname.split("/").at(-1));
        sent.push(epoch);
        return send(epoch, request);
      },
      close: () => {},
    },
    control: { settle: () => Promise.reject(new Error("nothing exists")) },
    random: () => 1,
    renew: () => {},
    obstacle: () => undefined,
    uploaded: async ({ epoch }) => void remembered.push(epoch),
    failed: (error) => failures.push(error),
    ...changes,
  });
  onTestFinished(() => uploader.stop());
  return {
    uploader,
    clock,
    sent,
    failures,
    remembered,
    delta: (epoch) => {
      const path = join(folder, String(epoch));
      writeFileSync(path, "bytes");
      return { end: { stream: 1, epoch, checksum: "0".repeat(64) }, path, lengthBytes: 5, md5: md5Of("bytes") };
    },
  };
}

/** Some turns: enough for everything that needs no more time. */
async function settle(): Promise<void> {
  for (let left = 50; left > 0; left -= 1) await turn();
}

describe("uploads", () => {
  it("what was damaged in the spool after it was sealed comes to the target, which can say so", async () => {
    const sums: unknown[] = [];
    const { uploader, clock, failures, delta } = uploads((_, { headers }) => {
      sums.push(headers["content-md5"]);
      return headers["content-md5"] === md5Of("bytes") ? answerOf(201) : answerOf(400, "Md5Mismatch");
    });
    uploader.add({ ...delta(1), md5: md5Of("sealed") });
    uploader.grant(PLACE);
    await settle();
    clock.pass();
    await uploader.drained(1000);
    expect(sums).toEqual([md5Of("sealed"), md5Of("bytes")]);
    expect(failures).toMatchObject([{ code: "store-unavailable" }]);
    expect(uploader.waiting).toBe(0);
  });

  it("rule 9: a credential that is refused again and again is not asked for in a loop", async () => {
    let asked = 0;
    const { uploader, clock, sent, delta } = uploads(() => answerOf(403, "AuthenticationFailed"), {
      renew: () => {
        asked += 1;
        // The control plane answers at once, with a credential that is no better.
        setImmediate(() => uploader.grant(PLACE));
      },
    });
    uploader.add(delta(1));
    uploader.grant(PLACE);
    await settle();
    // Then the waits grow, whatever is granted.
    expect(sent).toEqual([1, 1]);
    expect(asked).toBe(2);
    const [first = 0] = clock.waits;
    clock.pass();
    await settle();
    expect(sent).toEqual([1, 1, 1]);
    expect(clock.waits[0]).toBe(2 * first);
    expect(uploader.waiting).toBe(1);
  });

  it("a credential that may mean either is not tried again as it is when no blob is there: the status says the code", async () => {
    let asked = 0;
    const { uploader, clock, sent, failures, delta } = uploads(() => answerOf(403, "AuthorizationPermissionMismatch"), {
      control: { settle: async ({ epoch }) => ({ outcome: epoch === 1 ? "same" : "again" }) },
      renew: () => void (asked += 1),
    });
    uploader.add(delta(1));
    uploader.grant(PLACE);
    await settle();
    expect({ waiting: uploader.waiting, asked, failures }).toEqual({ waiting: 0, asked: 0, failures: [] });
    uploader.add(delta(2));
    await settle();
    expect(failures).toMatchObject([
      { code: "store-refused", message: expect.stringContaining("403 AuthorizationPermissionMismatch") },
    ]);
    expect({ sent, asked }).toEqual({ sent: [1, 2], asked: 1 });
    // Time alone sends nothing to a place that refused; another grant does, and then the waits grow.
    const [first = 0] = clock.waits;
    clock.pass();
    await settle();
    expect(sent).toEqual([1, 2]);
    uploader.grant(PLACE);
    clock.pass();
    await settle();
    expect(sent).toEqual([1, 2, 2]);
    expect(clock.waits[0]).toBeGreaterThan(first);
  });

  it("nothing is sent to a place that is not the item's, and that is told once", async () => {
    const elsewhere = "https://elsewhere.example/container?sig=x";
    const { uploader, sent, failures, delta } = uploads(() => answerOf(201), {
      obstacle: (url) =>
        url === elsewhere ? new LeewardError("store-refused", "not ours", { host: "elsewhere.example" }) : undefined,
    });
    uploader.add(delta(1));
    uploader.grant(elsewhere);
    uploader.grant(elsewhere);
    await settle();
    expect({ sent, failures: failures.length }).toEqual({ sent: [], failures: 1 });
    uploader.grant(PLACE);
    await settle();
    expect({ sent, waiting: uploader.waiting }).toEqual({ sent: [1], waiting: 0 });
    // A good place is given up when a later answer names a bad one.
    uploader.grant(elsewhere);
    uploader.add(delta(2));
    await settle();
    expect({ sent, failures: failures.length }).toEqual({ sent: [1], failures: 2 });
  });

  it("rule 9: holds only so many of them under way", async () => {
    const answers: ((answer: HttpAnswer) => void)[] = [];
    const { uploader, sent, delta } = uploads(() => new Promise<HttpAnswer>((resolve) => answers.push(resolve)));
    uploader.grant(PLACE);
    for (let epoch = 1; epoch <= 3 * UPLOADS_IN_FLIGHT; epoch += 1) uploader.add(delta(epoch));
    await settle();
    expect(sent).toHaveLength(UPLOADS_IN_FLIGHT);
    answers[0]?.(answerOf(201));
    await settle();
    expect(sent).toHaveLength(UPLOADS_IN_FLIGHT + 1);
    while (uploader.waiting > 0) {
      for (const answer of answers) answer(answerOf(201));
      await settle();
    }
  });

  it("rule 4: the position does not move over a delta that the cache does not have", async () => {
    let arrived: (answer: HttpAnswer) => void = () => undefined;
    const { uploader, remembered, delta } = uploads((epoch) =>
      epoch === 1 ? new Promise<HttpAnswer>((resolve) => (arrived = resolve)) : answerOf(201),
    );
    const deltas = [delta(1), delta(2)];
    for (const each of deltas) uploader.add(each);
    uploader.grant(PLACE);
    await settle();
    expect(remembered).toEqual([]);
    expect(uploader.waiting).toBe(2);
    expect(deltas.map(({ path }) => existsSync(path))).toEqual([true, true]);
    arrived(answerOf(201));
    await settle();
    expect(remembered).toEqual([2]);
    expect(deltas.map(({ path }) => existsSync(path))).toEqual([false, false]);
  });

  it("rule 4: the position is remembered before the spool file goes, and tried again when it could not be", async () => {
    const found: boolean[] = [];
    const { uploader, clock, sent, delta } = uploads(() => answerOf(201), {
      uploaded: () => {
        found.push(existsSync(waiting.path));
        return found.length === 1 ? Promise.reject(new Error("EIO")) : Promise.resolve();
      },
    });
    const waiting = delta(1);
    uploader.add(waiting);
    uploader.grant(PLACE);
    await settle();
    expect({ found, waiting: uploader.waiting, there: existsSync(waiting.path) }).toEqual({
      found: [true],
      waiting: 1,
      there: true,
    });
    clock.pass();
    await settle();
    expect({ found, waiting: uploader.waiting, there: existsSync(waiting.path) }).toEqual({
      found: [true, true],
      waiting: 0,
      there: false,
    });
    // The cache has it: it is not sent again for that.
    expect(sent).toEqual([1]);
  });

  it("without the right to upload nothing is tried, and with it again at once", async () => {
    const { uploader, sent, failures, delta } = uploads(() => answerOf(sent.length === 1 ? 500 : 201));
    uploader.add(delta(1));
    uploader.grant(PLACE);
    await settle();
    uploader.suspend();
    await settle();
    expect({ sent, failures: failures.length }).toEqual({ sent: [1], failures: 1 });
    uploader.grant(PLACE);
    await settle();
    expect({ sent, failures: failures.length, waiting: uploader.waiting }).toEqual({
      sent: [1, 1],
      failures: 1,
      waiting: 0,
    });
  });
});

describe("uploads of a stream that is over", () => {
  it("go with their files, and one under way is given up and counts for nothing", async () => {
    let signal: AbortSignal | undefined;
    let arrived: (answer: HttpAnswer) => void = () => undefined;
    const { uploader, sent, remembered, failures, delta } = uploads((epoch, request) => {
      if (epoch === 9) return answerOf(201);
      signal = request.signal;
      return new Promise<HttpAnswer>((resolve) => (arrived = resolve));
    });
    const old = delta(1);
    uploader.add(old);
    uploader.grant(PLACE);
    await settle();
    uploader.forget();
    expect(signal?.aborted).toBe(true);
    expect({ waiting: uploader.waiting, bytes: uploader.waitingBytes, there: existsSync(old.path) }).toEqual({
      waiting: 0,
      bytes: 0,
      there: false,
    });
    const next = delta(9);
    uploader.add(next);
    arrived(answerOf(201));
    await settle();
    expect({ sent, remembered, failures, waiting: uploader.waiting }).toEqual({
      sent: [1],
      remembered: [],
      failures: [],
      waiting: 1,
    });
    // The place to upload to was that of the old stream.
    uploader.grant(PLACE);
    await settle();
    expect({ sent, remembered, waiting: uploader.waiting, bytes: uploader.waitingBytes }).toEqual({
      sent: [1, 9],
      remembered: [9],
      waiting: 0,
      bytes: 0,
    });
  });

  it("do not move the position while the one before is being remembered", async () => {
    let written: () => void = () => undefined;
    const { uploader, delta } = uploads(() => answerOf(201), {
      uploaded: () => new Promise<void>((resolve) => (written = resolve)),
    });
    uploader.add(delta(1));
    uploader.grant(PLACE);
    await settle();
    uploader.forget();
    const next = delta(9);
    uploader.add(next);
    written();
    await settle();
    expect({ waiting: uploader.waiting, bytes: uploader.waitingBytes, there: existsSync(next.path) }).toEqual({
      waiting: 1,
      bytes: 5,
      there: true,
    });
  });

  it("say nothing about the next one: what stopped them does not stop it", async () => {
    let settled: () => void = () => undefined;
    const { uploader, sent, delta } = uploads(
      (epoch) => (epoch < 3 ? answerOf(409, "BlobAlreadyExists") : answerOf(201)),
      {
        control: {
          settle: async ({ epoch }) => {
            if (epoch === 2) await new Promise<void>((resolve) => (settled = resolve));
            return { outcome: "other" };
          },
        },
      },
    );
    uploader.add(delta(1));
    uploader.grant(PLACE);
    await settle();
    expect(uploader.stopped?.code).toBe("position-fork");
    uploader.forget();
    expect(uploader.stopped).toBeUndefined();
    uploader.add(delta(2));
    uploader.grant(PLACE);
    await settle();
    uploader.forget();
    settled();
    await settle();
    expect(uploader.stopped).toBeUndefined();
    uploader.add(delta(3));
    uploader.grant(PLACE);
    await settle();
    expect({ sent, waiting: uploader.waiting }).toEqual({ sent: [1, 2, 3], waiting: 0 });
  });
});
