import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A folder that is gone when the test ends. Short, because the paths of unix sockets are. */
export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "lw-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
