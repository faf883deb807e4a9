import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startChild, type Child, type ChildOptions } from "../../../local/supervisor/child.ts";

let folder = "";
const children: Child[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "leeward-child-"));
});
afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.kill()));
  await rm(folder, { recursive: true, force: true });
});

async function program(text: string): Promise<ChildOptions> {
  const script = join(folder, "program.mjs");
  await writeFile(script, text);
  return {
    name: "program",
    script,
    parameters: ["--one"],
    environment: { COLOUR: "blue" },
    logFile: join(folder, "log"),
  };
}

async function start(text: string): Promise<Child> {
  const child = await startChild(await program(text));
  children.push(child);
  return child;
}

const STAYS = "setInterval(() => {}, 1000); process.on('disconnect', () => process.exit(0));";
const READY =
  "process.send({ kind: 'ready', answer: process.argv[2], colour: process.env.COLOUR, other: process.env.LEEWARD_SECRET_OF_PARENT });";

describe("a child of the supervisor", () => {
  it("gets its parameters and its own settings, but none of the parent's", async () => {
    process.env["LEEWARD_SECRET_OF_PARENT"] = "x";
    const child = await start(`${STAYS}${READY}`);
    delete process.env["LEEWARD_SECRET_OF_PARENT"];
    expect(child.ready).toEqual({ kind: "ready", answer: "--one", colour: "blue" });
    expect(child.running).toBe(true);
  });

  it("stops when it is asked to", async () => {
    const child = await start(`${STAYS}${READY} process.on('message', (m) => m.kind === 'stop' && process.exit(0));`);
    await child.stop();
    await child.stop();
    expect(child.running).toBe(false);
  });

  it("is killed when it does not listen", async () => {
    const child = await start(`${STAYS}${READY}`);
    await child.stop();
    expect(child.running).toBe(false);
  });

  it("tells why it did not start", async () => {
    const options = await program(
      "process.send({ kind: 'failed', message: 'no such disk' }); setInterval(() => {}, 1000);",
    );
    await expect(startChild(options)).rejects.toThrow("The program did not start: no such disk");
  });

  it("reports its last words when it dies before it is ready", async () => {
    const options = await program("console.error('out of paper'); process.exit(7);");
    await expect(startChild(options)).rejects.toThrow(/exit code 7.*out of paper/s);
  });

  it("says how to build a program that is not there", async () => {
    const options = { ...(await program("")), script: join(folder, "missing.js") };
    await expect(startChild(options)).rejects.toMatchObject({ hint: "Run: npm run build" });
  });
});
