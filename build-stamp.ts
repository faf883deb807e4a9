import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where a build says what it was made from: a digest, so that a checkout that only touches files is no change. */
export const BUILD_STAMP = "dist/sources.sha256";

const SETTINGS = ["package-lock.json", "tsconfig.json", "tsconfig.build.json"];

/** The digest of everything that a build of the repository at `root` is made from. */
export function sourcesDigest(root: string): string {
  const settings = JSON.parse(readFileSync(join(root, "tsconfig.build.json"), "utf8")) as {
    readonly include: readonly string[];
  };
  const exclude = (name: string): boolean => name === "node_modules" || name.endsWith("/node_modules");
  const sources = settings.include.flatMap((pattern) => globSync(pattern, { cwd: root, exclude }));
  const hash = createHash("sha256");
  for (const file of [...SETTINGS, ...new Set(sources)].toSorted())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update("\0");
  return hash.digest("hex");
}
