import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connectNbd } from "../../mobility/nbd-client.ts";
import { replay } from "../../mobility/replay.ts";
import { createWorld, sameDisks, statusOf, until } from "./world.ts";

describe("mobility service on a full disk", () => {
  it("rule 4: goes on without a log when the journal cannot grow, and brings what it missed when there is room again", async () => {
    const world = await createWorld({ epochMaxAgeMs: 1500 });
    // The shell's limit on file sizes (in KiB) is a full disk for one file: the journal's segment is cut short in the
    // middle of a record.
    const child = spawn(
      "bash",
      ["-c", `ulimit -f 5000; exec "${process.execPath}" mobility/main.ts --config "${world.configPath}"`],
      {
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
    onTestFinished(() => void child.kill("SIGKILL"));
    const exited = once(child, "exit");
    // The status is written once clients are served; the socket's file is there a moment earlier.
    await until("the service serves", () => existsSync(join(world.folder, "state", "status.json")));
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    const BLOCK = 300 * 1024;
    const model = Buffer.alloc(client.sizeBytes);
    let tracked = false;
    for (let round = 0; round < 40 || (!tracked && round < 400); round += 1) {
      const data = Buffer.alloc(BLOCK, 1 + (round % 250));
      const offset = (round % 6) * BLOCK;
      await client.write(offset, data, round % 7 === 0);
      data.copy(model, offset);
      tracked ||= statusOf(world).mode === "tracking";
    }
    expect((await client.read(0, client.sizeBytes)).equals(model)).toBe(true);
    await until("there is a log again and nothing is missing", () => {
      const { mode, dirtyBytes, pendingBytes, seeding } = statusOf(world);
      return mode === "logging" && seeding.done && dirtyBytes === 0 && pendingBytes === 0;
    });
    await client.close();
    child.kill("SIGTERM");
    expect((await exited)[0]).toBe(0);
    expect(sameDisks(world)).toEqual([true, true]);
    const flags = replay(world.cloud.blobs).headers.map((header) => header.flags.seeding);
    expect(flags.at(-1)).toBe(false);
  });
});
