import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Tools of administrators lie where an ordinary user's PATH does not look. */
const SEARCH_PATH = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];

/**
 * Where a program of the machine lies; undefined when it lacks it. LEEWARD_HIDE_TOOLS=1 makes this machine lack every
 * tool.
 */
export function outsideTool(name: string): string | undefined {
  if (process.env["LEEWARD_HIDE_TOOLS"] !== undefined) return undefined;
  return SEARCH_PATH.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
