import { globSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createLog, LOG_EVENTS } from "../../mobility/system/log.ts";

describe("the log of the mobility service", () => {
  it("O3: is one JSON document a line, with time, level and event", () => {
    const lines: string[] = [];
    createLog(
      (line) => void lines.push(line),
      () => 0,
    )("warning", "failed", { code: "internal", message: "two\nlines" });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      time: "1970-01-01T00:00:00.000Z",
      level: "warning",
      event: "failed",
      code: "internal",
      message: "two\nlines",
    });
  });

  it("O3: every event stands in docs/capture.md, is used, and no other is", () => {
    const documented = /## Log\n(.*?)\n## /s.exec(readFileSync("docs/capture.md", "utf8"))?.[1] ?? "";
    const rows = [...documented.matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)].map(([, event, meaning]) => [
      event,
      meaning,
    ]);
    expect(rows).toEqual(Object.entries(LOG_EVENTS));
    const code = globSync("mobility/**/*.ts")
      .filter((path) => path !== "mobility/system/log.ts")
      .map((path) => readFileSync(path, "utf8"))
      .join("\n");
    expect(Object.keys(LOG_EVENTS).filter((event) => !code.includes(`"${event}"`))).toEqual([]);
  });
});
