import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BUILD_STAMP, sourcesDigest } from "../build-stamp.ts";

/**
 * Before the tests that run `dist/`: a build of other sources would pass or fail for them without a word. No build at
 * all is no danger: what needs one does not start.
 */
export function setup(): void {
  const why = staleness(process.cwd());
  if (why !== undefined) throw new Error(why);
}

/** What is wrong with the build of the repository at `root`; undefined when it is that of its sources, or missing. */
export function staleness(root: string): string | undefined {
  if (!existsSync(join(root, "dist"))) return undefined;
  const stamp = join(root, BUILD_STAMP);
  if (existsSync(stamp) && readFileSync(stamp, "utf8").trim() === sourcesDigest(root)) return undefined;
  return "dist/ was not built from these sources, so these tests would run other code. Run: npm run build";
}
