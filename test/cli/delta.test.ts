import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { runLeeward } from "../../cli/leeward.ts";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { sampleHeader, zero } from "../delta/samples.ts";

const golden = (name: string) => fileURLToPath(new URL(`../delta/golden/${name}`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "leeward-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the command in this process: exit code and what it wrote. */
async function leeward(
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly out: string; readonly error: string }> {
  const out: string[] = [];
  const error: string[] = [];
  const code = await runLeeward(args, { out: (text) => void out.push(text), error: (text) => void error.push(text) });
  return { code, out: out.join("\n"), error: error.join("\n") };
}

function damaged(): string {
  const bytes = readFileSync(golden("v1-raw.delta"));
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  const path = join(folder, "damaged.delta");
  writeFileSync(path, bytes);
  return path;
}

describe("leeward delta dump", () => {
  it("shows header, disks and extents to people", async () => {
    const { code, out } = await leeward("delta", "dump", golden("v1-typical.delta"));
    expect(code).toBe(0);
    for (const line of [
      /^item +0f8fad5b-d9cb-469f-a165-70867728950e$/m,
      /^epoch +42$/m,
      /^first write +2026-05-28T20:26:40\.000Z$/m,
      /^starts at +stream 3 epoch 41 00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210$/m,
      /^consistency +crash$/m,
      /^ +2 +os +33554432 +512$/m,
      /^data-1 +data +65536 +24576$/m,
      /^data-1 +zero +1048576 +8192$/m,
    ]) {
      expect(out).toMatch(line);
    }
  });

  it("names the flags", async () => {
    const { out } = await leeward("delta", "dump", golden("v1-empty.delta"));
    expect(out).toMatch(/^flags +final, group mark$/m);
    expect(out).toMatch(/^consistency +application$/m);
  });

  it("--json prints the same header, end, extents and frames as the golden dump", async () => {
    const { code, out } = await leeward("delta", "dump", "--json", golden("v1-frames.delta"));
    expect(code).toBe(0);
    const dump = JSON.parse(out);
    const expected = JSON.parse(readFileSync(golden("v1-frames.json"), "utf8"));
    expect([dump.header, dump.end, dump.extents]).toEqual([expected.header, expected.end, expected.extents]);
    expect(dump.frames.map((frame: { offsetBytes: number }) => frame.offsetBytes)).toEqual(
      expected.frames.map((frame: { offsetBytes: number }) => frame.offsetBytes),
    );
    expect(dump.formatVersion).toBe(1);
  });

  it("a damaged file is an error with code, rule and hint, as text and as JSON", async () => {
    const text = await leeward("delta", "dump", damaged());
    expect([text.code, text.out]).toEqual([1, ""]);
    expect(text.error).toMatch(/delta-corrupt: .*\n {2}rule: D3\n[^]* {2}hint: /);
    const json = await leeward("delta", "dump", damaged(), "--json");
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out).error).toMatchObject({ code: "delta-corrupt", facts: { rule: "D3" } });
  });
});

describe("leeward delta verify", () => {
  it("says ok for each whole file", async () => {
    const { code, out } = await leeward("delta", "verify", golden("v1-typical.delta"), golden("v1-raw.delta"));
    expect(code).toBe(0);
    expect(out.split("\n").length).toBe(2);
    expect(out).toMatch(
      /v1-raw\.delta: ok, 0f8fad5b-d9cb-469f-a165-70867728950e stream 3 epoch 42, 3 extents, 12800 bytes of data/,
    );
  });

  it("goes on after a damaged file and fails in the end", async () => {
    const { code, out, error } = await leeward("delta", "verify", damaged(), golden("v1-raw.delta"));
    expect(code).toBe(1);
    expect(out).toMatch(/v1-raw\.delta: ok/);
    expect(error).toMatch(/damaged\.delta: delta-corrupt/);
  });

  it("a missing file, a folder and an endless device are errors", async () => {
    const { code, error } = await leeward("delta", "verify", join(folder, "nothing"), folder, "/dev/zero");
    expect(code).toBe(1);
    expect(error).toMatch(/nothing: invalid-request: .*ENOENT/);
    expect(error).toMatch(/invalid-request: .*EISDIR/);
    expect(error).toMatch(/zero: delta-too-large/);
  });
});

describe("leeward", () => {
  it("wrong usage is exit code 2 with the usage", async () => {
    for (const args of [
      [],
      ["nonsense"],
      ["toString"],
      ["delta"],
      ["delta", "nonsense"],
      ["delta", "dump"],
      ["delta", "dump", "a", "b"],
      ["delta", "verify"],
      ["delta", "dump", "--nonsense", "a"],
    ]) {
      const { code, out, error } = await leeward(...args);
      expect([args, code]).toEqual([args, 2]);
      expect(out + error).toContain("leeward delta verify FILE...");
    }
  });

  it("--help is no error", async () => {
    expect(await leeward("--help")).toMatchObject({ code: 0, error: "" });
  });

  // Older Node 22 needs the option to read TypeScript; newer ones ignore it.
  const PROGRAM = [
    "--experimental-strip-types",
    "--no-warnings",
    fileURLToPath(new URL("../../cli/main.ts", import.meta.url)),
  ];

  it("the program itself exits with the code of its command", () => {
    const run = (...args: readonly string[]) =>
      spawnSync(process.execPath, [...PROGRAM, ...args], { encoding: "utf8", timeout: 30_000 });
    expect(run("delta", "verify", golden("v1-raw.delta"))).toMatchObject({ status: 0, stderr: "" });
    expect(run("delta", "verify", damaged())).toMatchObject({ status: 1, stdout: "" });
    expect(run("delta", "what")).toMatchObject({ status: 2 });
  });

  it("a reader that closes the pipe early, like head, is no failure", async () => {
    const path = join(folder, "long.delta");
    const zeros = Array.from({ length: 16_000 }, (_, index) => zero(0, index * 1024, 512));
    writeFileSync(path, encodeDelta(sampleHeader(), zeros).bytes);
    const program = spawn(process.execPath, [...PROGRAM, "delta", "dump", "--json", path], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let errors = "";
    program.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    program.stdout.once("data", () => program.stdout.destroy());
    const [code] = await once(program, "close");
    expect([code, errors]).toEqual([0, ""]);
  });
});
