import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { outsideTool } from "../../local/lab/outside-tools.ts";

const run = promisify(execFile);

/** How a test with outside tools is called and whether it is skipped: with the names of those that are missing. */
export interface ToolNeed {
  readonly skip: boolean;
  /** Goes behind the name of the test; empty when nothing is missing. */
  readonly note: string;
}

/**
 * LEEWARD_REQUIRE_TOOLS=1 lets a test with missing tools run and fail; LEEWARD_HIDE_TOOLS=1 makes this machine lack
 * every tool.
 */
export function need(...tools: readonly string[]): ToolNeed {
  const missing = tools.filter((name) => outsideTool(name) === undefined);
  const skip = missing.length > 0 && process.env["LEEWARD_REQUIRE_TOOLS"] === undefined;
  return { skip, note: missing.length > 0 ? ` (needs ${missing.join(", ")})` : "" };
}

/** Standard output of a tool; an exit code other than 0 rejects with its standard error. */
export async function tool(name: string, args: readonly string[], cwd?: string): Promise<string> {
  const { stdout } = await run(outsideTool(name) ?? name, args, { cwd, maxBuffer: 16 * 1024 * 1024, timeout: 120_000 });
  return stdout;
}
