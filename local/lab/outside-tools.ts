import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Administrators' tools are in folders missing from an ordinary user's PATH. */
const SEARCH_PATH = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];

/**
 * The path of a program on this machine; undefined when it is missing. LEEWARD_HIDE_TOOLS=1 makes all tools missing.
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
