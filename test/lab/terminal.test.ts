import { describe, expect, it } from "vitest";
import { createTerminal, percentile, progressBar } from "../../local/demo/terminal.ts";

function lines(isTerminal: boolean) {
  const written: string[] = [];
  const terminal = createTerminal({ write: (text) => void written.push(text), isTerminal, columns: 100, now: () => 0 });
  return { terminal, text: () => written.join("") };
}

describe("the demo's output", () => {
  it("has no escape codes where there is no terminal", async () => {
    const { terminal, text } = lines(false);
    await terminal.stage("first", async (report) => {
      report("half-way");
      return { result: 1, detail: "done" };
    });
    terminal.table("figures", [["name", "1", "note"]]);
    expect(text()).toMatch(/^ {2}ok {2}first +0\.0 s {2}done\n/);
    expect(Buffer.from(text()).every((byte) => byte === 10 || byte >= 32)).toBe(true);
  });

  it("shows bad news as such, and lets errors through", async () => {
    const { terminal, text } = lines(false);
    await terminal.stage("proof", async () => ({ result: false, detail: "MISMATCH", failed: true }));
    await expect(terminal.stage("broken", () => Promise.reject(new Error("why")))).rejects.toThrow("why");
    expect(text()).toMatch(/FAILED {2}proof .*MISMATCH\n {2}FAILED {2}broken/);
    expect(terminal.stages.map(({ title }) => title)).toEqual(["proof", "broken"]);
  });

  it("draws a bar that is full at the end and never longer", () => {
    expect(progressBar(0)).toBe(`[${"-".repeat(24)}]   0 %`);
    expect(progressBar(7)).toBe(`[${"#".repeat(24)}] 100 %`);
  });

  it("takes percentiles by nearest rank", () => {
    const values = Array.from({ length: 100 }, (_, at) => 100 - at);
    expect([percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)]).toEqual([50, 99, undefined]);
  });
});
