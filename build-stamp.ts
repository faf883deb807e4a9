import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Where a build says what it was made from: a digest, so that a checkout that only touches files is no change. */
export const BUILD_STAMP = "dist/sources.sha256";

/** Folders with a build of their own: the local cloud is built first. */
const BUILDS = ["packages/azure-local", "."];
const SETTINGS = ["package-lock.json", "packages/azure-local/package.json", "tsconfig.json"];

/** The digest of everything that a build of the repository at `root` is made from. */
export function sourcesDigest(root: string): string {
  const exclude = (name: string): boolean => name === "node_modules" || name.endsWith("/node_modules");
  const sources = BUILDS.flatMap((folder) => {
    const settingsFile = join(folder, "tsconfig.build.json");
    const settings = JSON.parse(readFileSync(join(root, settingsFile), "utf8")) as {
      readonly include: readonly string[];
    };
    return [
      settingsFile,
      ...settings.include.flatMap((pattern) => globSync(join(folder, pattern), { cwd: root, exclude })),
    ];
  });
  const hash = createHash("sha256");
  for (const file of [...SETTINGS, ...new Set(sources)].toSorted())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update("\0");
  return hash.digest("hex");
}
