import { rm, writeFile } from "node:fs/promises";
import { build } from "esbuild";
import { BUILD_STAMP, sourcesDigest } from "./build-stamp.ts";

/** Where `main` of package.json points. */
const FOLDER = "dist/app";

/**
 * Packages that are CommonJS ask for Node's own modules, and for what the host provides, by `require`, which an ES
 * module has to make for itself.
 */
const REQUIRE = [
  `import { createRequire as createRequireOfBundle } from "node:module";`,
  `const require = createRequireOfBundle(import.meta.url);`,
].join("\n");

/**
 * Makes the function app as it is deployed: one file with all of its packages, because a cold start reads more than
 * five hundred files otherwise, and a file for each part that is loaded when it is first needed
 * (docs/decisions/dependencies.md). It needs no `node_modules`.
 */
const digest = sourcesDigest(".");
await rm(BUILD_STAMP, { force: true });
await rm(FOLDER, { recursive: true, force: true });
await build({
  entryPoints: ["functions/index.ts"],
  outdir: FOLDER,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node22.15",
  // The worker of Azure Functions, and the local host, answer for it.
  external: ["@azure/functions-core"],
  banner: { js: REQUIRE },
  // For stack traces; the sources are in the repository.
  sourcemap: "linked",
  sourcesContent: false,
  logLevel: "warning",
});
// Last, so that a build that broke has none. Tests that run what was built ask for it (test/fresh-build.ts).
await writeFile(BUILD_STAMP, `${digest}\n`);
