import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CHILD_RESTART_FIRST_MS, CHILD_RESTARTS_MAX, CHILD_SETTLED_MS } from "../../../local/limits.ts";
import { startChild } from "../../../local/supervisor/child.ts";
import { keepChild, type KeptChild, type KeptChildOptions } from "../../../local/supervisor/kept-child.ts";
import { afterDeath } from "../../../local/supervisor/restarts.ts";

let folder = "";
const kept: KeptChild[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "leeward-kept-"));
});
afterEach(async () => {
  await Promise.all(kept.splice(0).map((child) => child.kill()));
  await rm(folder, { recursive: true, force: true });
});

const soon = { timeout: 20_000, interval: 20 };
const STAYS = `setInterval(() => {}, 1000); process.on("disconnect", () => process.exit(0)); process.on("message", (m) => m.kind === "stop" && process.exit(0));`;
const READY = `process.send({ kind: "ready" });`;

interface Kept {
  readonly child: KeptChild;
  readonly said: string[];
  readonly pauses: number[];
  /** Of each start, whether it followed a death. */
  readonly starts: boolean[];
}

/** The program is read anew at each start. */
async function keep(text: string, more: Partial<KeptChildOptions> = {}): Promise<Kept> {
  const script = join(folder, "program.mjs");
  await writeFile(script, text);
  const [said, pauses, starts]: [string[], number[], boolean[]] = [[], [], []];
  const logFile = join(folder, "log");
  const child = await keepChild({
    name: "program",
    logFile,
    say: (line) => void said.push(line),
    pause: async (durationMs) => void pauses.push(durationMs),
    start: ({ afterDeath: isAfterDeath, signal }) => {
      starts.push(isAfterDeath);
      return startChild({ name: "program", script, parameters: [], environment: {}, logFile, signal });
    },
    ...more,
  });
  kept.push(child);
  return { child, said, pauses, starts };
}

describe("what follows a death", () => {
  it("is a start after a pause that doubles, and none after so many in a row", () => {
    const pauses: number[] = [];
    let deaths = 0;
    for (;;) {
      const next = afterDeath(deaths, 0);
      if (next.kind === "stay-down") break;
      pauses.push(next.pauseMs);
      ({ deaths } = next);
    }
    expect(pauses).toEqual(Array.from({ length: CHILD_RESTARTS_MAX }, (_, at) => CHILD_RESTART_FIRST_MS * 2 ** at));
  });

  it("begins anew with who has run for a while", () => {
    const first = { kind: "restart", pauseMs: CHILD_RESTART_FIRST_MS, deaths: 1 };
    expect(afterDeath(CHILD_RESTARTS_MAX, CHILD_SETTLED_MS)).toEqual(first);
    expect(afterDeath(CHILD_RESTARTS_MAX, CHILD_SETTLED_MS - 1)).toEqual({ kind: "stay-down" });
  });
});

describe("a kept child", () => {
  it("is started again when it dies by itself, and told that it follows a death", async () => {
    const { child, said, pauses, starts } = await keep(`${STAYS}${READY}`);
    const first = child.child.pid;
    process.kill(first, "SIGKILL");
    await vi.waitFor(() => expect(child.child.pid).not.toBe(first), soon);
    await vi.waitFor(() => expect(child.state).toBe("running"), soon);
    expect(child.child.running).toBe(true);
    expect([starts, pauses]).toEqual([[false, true], [CHILD_RESTART_FIRST_MS]]);
    expect(said).toEqual(["The program has died; it is started again in 0.5 s.", "The program runs again."]);
  });

  it("stays down when it dies again and again, also before it is ready, and can still be started by hand", async () => {
    const { child, said, pauses } = await keep(`${STAYS}${READY}`);
    await writeFile(join(folder, "program.mjs"), `console.log("no state"); process.exit(3);`);
    process.kill(child.child.pid, "SIGKILL");
    await vi.waitFor(() => expect(child.state).toBe("down"), soon);
    expect(pauses).toHaveLength(CHILD_RESTARTS_MAX);
    expect(said.at(-1)).toBe(
      `The program has died ${CHILD_RESTARTS_MAX + 1} times in a row and stays down. Its log: ${join(folder, "log")}`,
    );
    expect(said.filter((line) => line.includes("no state"))).toHaveLength(CHILD_RESTARTS_MAX);
    await writeFile(join(folder, "program.mjs"), `${STAYS}${READY}`);
    await child.start();
    expect([child.state, child.child.running]).toEqual(["running", true]);
    await expect(child.start()).rejects.toThrow("runs already");
  });

  it("stays where it is after a kill and after a stop", async () => {
    const { child, said, starts } = await keep(`${STAYS}${READY}`);
    await child.kill();
    expect([child.state, child.child.running]).toEqual(["stopped", false]);
    await child.start();
    await child.stop();
    await child.stop();
    expect([child.state, child.child.running, said, starts]).toEqual(["stopped", false, [], [false, false]]);
  });

  it("stays down at once where restarts are not wanted", async () => {
    const { child, starts } = await keep(`${STAYS}${READY}`, { restarts: false });
    process.kill(child.child.pid, "SIGKILL");
    await vi.waitFor(() => expect(child.state).toBe("down"), soon);
    expect(starts).toEqual([false]);
  });

  it("ends with a stop in the middle of its pause or of its start", async () => {
    let stop = (): void => {};
    const { child, starts } = await keep(`${STAYS}${READY}`, {
      pause: (_durationMs, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
          stop();
        }),
    });
    const stopped = new Promise<void>((resolve, reject) => {
      stop = () => void child.stop().then(resolve, reject);
    });
    process.kill(child.child.pid, "SIGKILL");
    await stopped;
    expect([child.state, starts]).toEqual(["stopped", [false]]);

    const slow = await keep(`${STAYS}${READY}`);
    const mark = join(folder, "slow");
    await writeFile(
      join(folder, "program.mjs"),
      `import fs from "node:fs"; ${STAYS} fs.writeFileSync(${JSON.stringify(mark)}, String(process.pid));`,
    );
    process.kill(slow.child.child.pid, "SIGKILL");
    const pid = Number(
      await vi.waitFor(
        async () => await readFile(mark, "utf8").then((text) => (expect(text).not.toBe(""), text)),
        soon,
      ),
    );
    await slow.child.stop();
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  it("ends its first start, in order, when that is no longer wanted", async () => {
    const mark = join(folder, "first");
    const unwanted = new AbortController();
    const text = `import fs from "node:fs";
      const mark = ${JSON.stringify(mark)};
      process.on("message", (m) => { if (m.kind === "stop") { fs.writeFileSync(mark, "told"); process.exit(0); } });
      fs.writeFileSync(mark, "begun");`;
    const starting = keep(text, { signal: unwanted.signal });
    const failure = starting.then(
      () => "started",
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    await vi.waitFor(async () => expect(await readFile(mark, "utf8")).toBe("begun"), soon);
    unwanted.abort(new Error("enough"));
    expect(await failure).toBe("enough");
    expect(await readFile(mark, "utf8")).toBe("told");
  });
});
