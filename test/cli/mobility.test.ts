import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { runLeeward } from "../../cli/leeward.ts";
import type { ShownStatus } from "../../cli/mobility.ts";
import { startStatusSocket } from "../../mobility/service/status-socket.ts";
import type { MobilityStatus } from "../../mobility/service/status.ts";
import { temporaryFolder } from "../mobility/temporary.ts";

const position = { stream: 1, epoch: 7, checksum: "0".repeat(64) };
/** Does not compile when the service's document lacks what the command shows, or has it in another shape. */
const shown = (status: MobilityStatus): ShownStatus => status;

const STATUS: MobilityStatus = {
  version: 1,
  itemId: "vm-1",
  startedMs: 0,
  state: "running",
  sealed: { ...position, epoch: 8 },
  uploaded: position,
  pendingBytes: 5 * 1024 * 1024,
  spoolCount: 1,
  spoolBytes: 500,
  spoolBoundBytes: 1024 * 1024,
  mode: "tracking",
  dirtyBytes: 3 * 1024 * 1024,
  resynchronization: { state: "required", reason: "spool-full", doneBytes: 0, totalBytes: 10 },
  lagMs: 1234,
  uploadedCount: 3,
  uploadedBytes: 900,
  identity: { state: "granted", machineId: "machine-1", bootId: "boot-1", sessionSinceMs: 1000, grantEndsMs: 2000 },
  heartbeats: { sent: 5, answered: 4 },
  appPoints: { state: "idle", outcome: { requestId: "r", state: "failed", reason: "--pre ended with exit code 3" } },
  memory: { rssBytes: 90 * 1024 * 1024, heapBytes: 1, externalBytes: 1 },
  seeding: { doneBytes: 10, totalBytes: 20, done: false, timeLeftMs: 90_000 },
  churn: { writes: 2, writtenBytes: 8192, zeroedBytes: 512, reads: 0, readBytes: 0, flushes: 0 },
  lastError: { atMs: 0, code: "control-unavailable", message: "away" },
  atMs: 5000,
};

async function leeward(
  ...parameters: string[]
): Promise<{ readonly code: number; readonly out: string; readonly error: string }> {
  const out: string[] = [];
  const error: string[] = [];
  const code = await runLeeward(parameters, {
    out: (text) => void out.push(text),
    error: (text) => void error.push(text),
  });
  return { code, out: out.join("\n"), error: error.join("\n") };
}

describe("leeward mobility status", () => {
  it("asks the running service and shows what it says", async () => {
    const folder = temporaryFolder();
    const socket = await startStatusSocket(
      join(folder, "status.sock"),
      () => STATUS,
      (reason) => expect.fail(reason),
    );
    onTestFinished(() => socket.stop());
    const { code, out } = await leeward("mobility", "status", "--state", folder);
    expect(code).toBe(0);
    for (const words of [
      "vm-1",
      "running since 1970-01-01T00:00:00.000Z",
      "speaks for the item, session since 1970-01-01T00:00:01.000Z",
      "machine-1, boot boot-1",
      "1.2 s",
      "stream 1 epoch 7, 3 deltas of 900 bytes",
      "5.0 MiB, 1 deltas sealed up to epoch 8",
      "500 bytes of at most 1.0 MiB",
      "none (spool-full): the guest writes on, 3.0 MiB have to be read again",
      "10 bytes of 20 bytes, about 2 min left",
      "4 of 5 answered",
      "idle, the last one failed: --pre ended with exit code 3",
      "90.0 MiB",
      "control-unavailable: away",
    ]) {
      expect(out).toContain(words);
    }
    expect(JSON.parse((await leeward("mobility", "status", "--state", folder, "--json")).out)).toEqual(shown(STATUS));
  });

  it("shows the last word of a service that does not run, and exits with 1", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "status.json"), JSON.stringify({ ...STATUS, lagMs: undefined, lastError: undefined }));
    const { code, out } = await leeward("mobility", "status", "--state", folder);
    expect([code, out]).toEqual([
      1,
      expect.stringContaining("not running; its last word is of 1970-01-01T00:00:05.000Z"),
    ]);
  });

  it("names what is wrong", async () => {
    const folder = temporaryFolder();
    expect(await leeward("mobility", "status", "--state", folder)).toMatchObject({
      code: 1,
      error: expect.stringContaining("stateFolder"),
    });
    expect(await leeward("mobility", "status")).toMatchObject({
      code: 2,
      error: expect.stringContaining("--state FOLDER"),
    });
    expect(await leeward("mobility", "start")).toMatchObject({ code: 2 });
    writeFileSync(join(folder, "status.json"), "{}");
    expect(await leeward("mobility", "status", "--state", folder)).toMatchObject({
      code: 1,
      error: expect.stringContaining("one version"),
    });
  });
});
