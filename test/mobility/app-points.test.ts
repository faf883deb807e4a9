import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startAppPoints, type AppPoints, type AppPointsOptions } from "../../mobility/consistency/app-points.ts";
import { runScript } from "../../mobility/consistency/script.ts";
import { systemClock } from "../../mobility/system/clock.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { LeewardError } from "../../replication/errors.ts";
import { makeScript } from "./scripts.ts";
import { temporaryFolder } from "./temporary.ts";

const FILES = nodeFiles();

interface Run {
  readonly points: AppPoints;
  readonly cuts: () => number;
  readonly events: readonly string[];
  readonly marker: string;
  /** Asks for a point and waits for its outcome. */
  readonly take: (requestId?: string) => Promise<AppPoints["outcome"]>;
}

function run(options: Partial<AppPointsOptions> & { readonly folder: string }): Run {
  const marker = join(options.folder, "frozen");
  const events: string[] = [];
  let cuts = 0;
  let finished = (): void => undefined;
  const points = startAppPoints({
    script: undefined,
    freezeMaxMs: 5000,
    markerPath: marker,
    obstacle: () => undefined,
    cut: () => void (cuts += 1),
    files: FILES,
    clock: systemClock(),
    log: (_level, event) => void events.push(event),
    finished: () => finished(),
    ...options,
  });
  const take = (requestId = "request"): Promise<AppPoints["outcome"]> =>
    new Promise((resolve) => {
      finished = () => resolve(points.outcome);
      points.request(requestId);
    });
  return { points, cuts: () => cuts, events, marker, take };
}

const NEVER = new AbortController().signal;

describe("app-consistent points of the mobility service", () => {
  it("A1: freezes, cuts, thaws, in this order", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder);
    const seen: string[] = [];
    const { take, points, marker } = run({
      folder,
      script: script.path,
      cut: () =>
        void seen.push(
          `cut after ${script.calls().join(" ")}, ${points.state}, ${existsSync(marker) ? "marked" : "not marked"}`,
        ),
    });
    expect(await take()).toEqual({ requestId: "request", state: "done" });
    expect(script.calls()).toEqual(["--pre", "--post"]);
    expect(seen).toEqual(["cut after --pre, frozen, marked"]);
    expect([points.state, existsSync(marker)]).toEqual(["idle", false]);
  });

  it("A2: a script that fails is thawed, and no epoch is marked", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder, "echo database is busy >&2; exit 3");
    const { take, cuts, events } = run({ folder, script: script.path });
    expect(await take()).toMatchObject({ state: "failed", reason: "--pre ended with exit code 3: database is busy" });
    expect([script.calls(), cuts()]).toEqual([["--pre", "--post"], 0]);
    expect(events).toEqual(["freezing", "thawed", "app-point-failed"]);
  });

  it("A2: a script that hangs is killed with all its children and thawed within the time limit", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder, 'sleep 600 & echo $! > "$D/child"; wait');
    const { take, cuts } = run({ folder, script: script.path, freezeMaxMs: 2_000 });
    expect(await take()).toMatchObject({ state: "failed", reason: "--pre did not end within 2 s" });
    expect([script.calls(), cuts()]).toEqual([["--pre", "--post"], 0]);
    const child = Number(readFileSync(join(folder, "child"), "utf8"));
    expect(existsSync(`/proc/${child}/cmdline`) && readFileSync(`/proc/${child}/cmdline`, "utf8").includes("600")).toBe(
      false,
    );
  });

  it("A2: an epoch is not marked when the freeze came too late, when there is an obstacle by then, or when it cannot be cut", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder);
    let nowMs = 0;
    const late = run({
      folder,
      script: script.path,
      freezeMaxMs: 10_000,
      clock: { ...systemClock(), monotonicMs: () => (nowMs += 10_001) },
    });
    expect(await late.take()).toMatchObject({ state: "failed", reason: "freezing took more than 10 s" });
    let looks = 0;
    const blocked = run({
      folder,
      script: script.path,
      obstacle: () => ((looks += 1) > 1 ? "the journal failed" : undefined),
    });
    expect(await blocked.take()).toMatchObject({ state: "failed", reason: "the journal failed" });
    const broken = run({
      folder,
      script: script.path,
      cut: () => {
        throw new LeewardError("capture-failed", "The disk is full.");
      },
    });
    expect(await broken.take()).toMatchObject({ state: "failed", reason: "The disk is full." });
    expect([late.cuts(), blocked.cuts(), script.calls().length]).toEqual([0, 0, 6]);
  });

  it("A3: thawing is tried again, and when it fails the next start thaws", async () => {
    const folder = temporaryFolder();
    const flaky = makeScript(folder, "exit 0", 'echo x >> "$D/tries"; test $(wc -l < "$D/tries") -ge 3');
    const first = run({ folder, script: flaky.path });
    expect(await first.take()).toMatchObject({ state: "done" });
    expect(flaky.calls()).toEqual(["--pre", "--post", "--post", "--post"]);

    const other = temporaryFolder();
    const broken = makeScript(other, "exit 0", "exit 1");
    const second = run({ folder: other, script: broken.path });
    expect(await second.take()).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("--post ended with exit code 1"),
    });
    expect([second.points.state, existsSync(second.marker), second.cuts()]).toEqual(["frozen", true, 1]);
    const mended = makeScript(other);
    const third = run({ folder: other, script: mended.path });
    await third.points.stop();
    expect(mended.calls().at(-1)).toBe("--post");
    expect([third.points.state, existsSync(third.marker), third.events]).toEqual(["idle", false, ["thawed"]]);
  });

  it("A3: a freeze that a killed service left running is ended before the next start thaws", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder, 'echo $$ > "$D/freezer"; sleep 600; echo frozen >> "$D/calls"');
    const killed = run({ folder, script: script.path, freezeMaxMs: 60_000 });
    const outcome = killed.take();
    while (!existsSync(join(folder, "freezer"))) await new Promise((resolve) => setTimeout(resolve, 5));
    while (readFileSync(killed.marker, "utf8") === "") await new Promise((resolve) => setTimeout(resolve, 5));
    const next = run({ folder, script: script.path });
    await next.points.stop();
    // In this test the first one lives, and sees its script die.
    expect(await outcome).toMatchObject({ state: "failed", reason: expect.stringContaining("SIGKILL") });
    await killed.points.stop();
    expect(new Set(script.calls())).toEqual(new Set(["--pre", "--post"]));
  });

  it("A3: a stop gives the freeze up, thaws, and begins nothing more", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder, "sleep 600");
    const { points, take, cuts } = run({ folder, script: script.path, freezeMaxMs: 60_000 });
    const outcome = take();
    while (script.calls().length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await points.stop();
    expect(await outcome).toMatchObject({ state: "failed", reason: "--pre was given up" });
    expect([script.calls(), cuts(), points.state]).toEqual([["--pre", "--post"], 0, "idle"]);
    points.request("another");
    expect(script.calls()).toHaveLength(2);
  });

  it("A4: one request is obeyed once, and only one at a time", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder);
    const { points, take } = run({ folder, script: script.path });
    const first = take("one");
    points.request("one");
    points.request("two");
    await first;
    points.request("one");
    expect(await take("three")).toMatchObject({ requestId: "three", state: "done" });
    expect(script.calls()).toHaveLength(4);
  });

  it("without a script, or with an obstacle, nothing is frozen", async () => {
    const folder = temporaryFolder();
    expect(await run({ folder }).take()).toMatchObject({ state: "failed", reason: "no script is configured" });
    const script = makeScript(folder);
    expect(await run({ folder, script: script.path, obstacle: () => "seeding" }).take()).toMatchObject({
      reason: "seeding",
    });
    expect(script.calls()).toEqual([]);
  });
});

describe("the script of app-consistent points", () => {
  it("A5: runs without a shell, with one argument and none of the service's environment", async () => {
    const folder = temporaryFolder();
    process.env["LEEWARD_TEST_SECRET"] = "secret";
    const script = makeScript(folder, 'env > "$D/environment"; pwd >> "$D/environment"');
    expect(await runScript(script.path, "--pre", 5000, NEVER)).toBeUndefined();
    delete process.env["LEEWARD_TEST_SECRET"];
    const environment = readFileSync(join(folder, "environment"), "utf8");
    expect(environment).not.toContain("secret");
    expect(environment).toMatch(/^PATH=/m);
    expect(environment.trim().split("\n").at(-1)).toBe("/");
  });

  it("A5: is refused when others could change it, or when it is none", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder);
    chmodSync(script.path, 0o757);
    expect(await runScript(script.path, "--pre", 5000, NEVER)).toMatchObject({
      reason: expect.stringContaining("can be changed by others"),
    });
    expect(await runScript(folder, "--pre", 5000, NEVER)).toMatchObject({
      reason: expect.stringContaining("is no file"),
    });
    expect(await runScript(join(folder, "none"), "--pre", 5000, NEVER)).toMatchObject({
      reason: expect.stringContaining("does not exist"),
    });
    const plain = join(folder, "plain");
    writeFileSync(plain, "#!/bin/sh\n", { mode: 0o644 });
    expect(await runScript(plain, "--pre", 5000, NEVER)).toMatchObject({ reason: "--pre cannot be run: EACCES" });
    expect(script.calls()).toEqual([]);
  });

  it("A5: a process that it leaves behind keeps nothing waiting, and little of what it says is kept", async () => {
    const folder = temporaryFolder();
    const script = makeScript(folder, 'sleep 600 & echo $! > "$D/child"; exit 0');
    expect(await runScript(script.path, "--pre", 60_000, NEVER)).toBeUndefined();
    process.kill(Number(readFileSync(join(folder, "child"), "utf8")), "SIGKILL");
    const talkative = makeScript(folder, "yes | head -c 1000000; exit 1");
    const fault = await runScript(talkative.path, "--pre", 60_000, NEVER);
    expect(fault?.output.length).toBeLessThanOrEqual(2000);
  });
});
