import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startUploader } from "../../mobility/upload/uploader.ts";
import { temporaryFolder } from "./temporary.ts";

describe("uploads", () => {
  it("rule 9: a credential that is refused again and again is not asked for in a loop", async () => {
    const path = join(temporaryFolder(), "delta");
    writeFileSync(path, "bytes");
    let asked = 0;
    let sent = 0;
    const uploader = startUploader({
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
