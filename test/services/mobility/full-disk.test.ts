import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { connectNbd } from "../../mobility/nbd-client.ts";
import { createWorld, sameDisks, until } from "./world.ts";

const ENOSPC = 28;

describe("mobility service on a full disk", () => {
  it("rule 4: answers ENOSPC when the journal cannot grow, records nothing of that write, and goes on when there is room again", async () => {
    const world = await createWorld({ epochMaxAgeMs: 1500 });
    // The shell's limit on file sizes (in KiB) is a full disk for one file: the journal's segment is cut short in the middle of a record.
    const child = spawn("bash", ["-c", `ulimit -f 5000; exec "${process.execPath}" mobility/main.ts --config "${world.configPath}"`], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const exited = once(child, "exit");
    await until("the service listens", () => existsSync(world.socketPath));
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    const BLOCK = 300 * 1024;
    const answers: number[] = [];
    const model = Buffer.alloc(client.sizeBytes);
    for (let round = 0; round < 40; round += 1) {
      const data = Buffer.alloc(BLOCK, 1 + round);
      const offset = (round % 6) * BLOCK;
      const { error } = await client.request(1, offset, BLOCK, { data });
      answers.push(error);
      if (error === 0) data.copy(model, offset);
    }
    expect(new Set(answers)).toEqual(new Set([0, ENOSPC]));
    expect((await client.read(0, client.sizeBytes)).equals(model)).toBe(true);
    let recovered = false;
    for (let left = 400; !recovered && left > 0; left -= 1) {
      recovered = (await client.request(1, 0, BLOCK, { data: Buffer.alloc(BLOCK, 200) })).error === 0;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    model.fill(200, 0, BLOCK);
    expect((await client.read(0, client.sizeBytes)).equals(model)).toBe(true);
    await client.close();
    child.kill("SIGTERM");
    expect((await exited)[0]).toBe(0);
    expect(sameDisks(world)).toEqual([true, true]);
  });
});
