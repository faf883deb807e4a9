import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../mobility/clock.ts";
import { nodeFiles } from "../../mobility/node-files.ts";
import { startUploader } from "../../mobility/upload/uploader.ts";
import { temporaryFolder } from "./temporary.ts";

describe("uploads", () => {
  it("what was damaged in the spool after it was sealed comes to the target, which can say so", async () => {
    const path = join(temporaryFolder(), "delta");
    writeFileSync(path, "bytes");
    const md5Of = (text: string): string => createHash("md5").update(text).digest("base64");
    const sent: unknown[] = [];
    const failures: unknown[] = [];
    const uploader = startUploader({
      files: nodeFiles(),
      clock: systemClock(),
      transport: {
        send: async ({ headers }) => {
          sent.push(headers["content-md5"]);
          const good = headers["content-md5"] === md5Of("bytes");
          return { status: good ? 201 : 400, headers: good ? {} : { "x-ms-error-code": "Md5Mismatch" }, body: "" };
        },
        close: () => {},
      },
      control: { settle: () => Promise.reject(new Error("nothing exists")) },
      random: () => 0,
      renew: () => {},
      uploaded: () => Promise.resolve(),
      failed: (error) => failures.push(error),
    });
    uploader.add({ end: { stream: 1, epoch: 1, checksum: "0".repeat(64) }, path, lengthBytes: 5, md5: md5Of("sealed") });
    uploader.grant("http://127.0.0.1/container?sig=x");
    await uploader.drained(10_000);
    await uploader.stop();
    expect(sent).toEqual([md5Of("sealed"), md5Of("bytes")]);
    expect(failures).toMatchObject([{ code: "store-unavailable" }]);
    expect(uploader.waiting).toBe(0);
  });

  it("rule 9: a credential that is refused again and again is not asked for in a loop", async () => {
    const path = join(temporaryFolder(), "delta");
    writeFileSync(path, "bytes");
    let asked = 0;
    let sent = 0;
    const uploader = startUploader({
      files: nodeFiles(),
      clock: systemClock(),
      transport: {
        send: async () => {
          sent += 1;
          return { status: 403, headers: { "x-ms-error-code": "AuthenticationFailed" }, body: "" };
        },
        close: () => {},
      },
      control: { settle: () => Promise.reject(new Error("nothing exists")) },
      random: () => 1,
      renew: () => {
        asked += 1;
        // The control plane answers at once, with a credential that is no better.
        setImmediate(() => uploader.grant("http://127.0.0.1/container?sig=x"));
      },
      uploaded: () => Promise.resolve(),
      failed: () => {},
    });
    uploader.add({ end: { stream: 1, epoch: 1, checksum: "0".repeat(64) }, path, lengthBytes: 5 });
    uploader.grant("http://127.0.0.1/container?sig=x");
    // Back-off waits for a second between the second attempt and the third; without it there are hundreds in this time.
    await sleep(300);
    await uploader.stop();
    expect(sent).toBe(2);
    expect(asked).toBe(2);
    expect(uploader.waiting).toBe(1);
  });
});
