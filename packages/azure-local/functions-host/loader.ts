import { globSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { LocalError } from "../errors.ts";

interface PackageManifest {
  readonly main: string;
  readonly isModule: boolean;
}

/**
 * Loads the files that `main` of the app's package.json names (a glob), in sorted order, as the real worker does: ES
 * modules by `import`, the rest by `require`. Throws `configuration-invalid`, with the cause, when a file fails to
 * load.
 */
export async function loadEntryPoints(appFolder: string): Promise<readonly string[]> {
  const manifest = readManifest(appFolder);
  const files = globSync(manifest.main, { cwd: appFolder }).toSorted();
  if (files.length === 0) {
    throw new LocalError(
      "configuration-invalid",
      `Worker was unable to load entry point "${manifest.main}": Found zero files matching the supplied pattern`,
      { main: manifest.main },
      { hint: "Build the app first, or correct `main` in its package.json." },
    );
  }
  for (const file of files) await loadFile(resolve(appFolder, file), file, manifest.isModule);
  return files;
}

async function loadFile(path: string, name: string, isModule: boolean): Promise<void> {
  try {
    if (name.endsWith(".mjs") || (isModule && !name.endsWith(".cjs")))
      await import(/* @vite-ignore */ pathToFileURL(path).href);
    else createRequire(path)(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LocalError(
      "configuration-invalid",
      `Worker was unable to load entry point "${name}": ${reason}`,
      { file: name },
      { cause: error, hint: "The app failed while it was loaded; the cause says where." },
    );
  }
}

function readManifest(appFolder: string): PackageManifest {
  const path = join(appFolder, "package.json");
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new LocalError(
      "configuration-invalid",
      `The app has no readable package.json: ${String(error)}`,
      {},
      { cause: error },
    );
  }
  const main = typeof parsed === "object" && parsed !== null && "main" in parsed ? parsed.main : undefined;
  if (typeof main !== "string" || main === "") {
    throw new LocalError(
      "configuration-invalid",
      "package.json of the app has no `main`, which names the files to load.",
    );
  }
  const isModule = typeof parsed === "object" && parsed !== null && "type" in parsed && parsed.type === "module";
  return { main, isModule };
}
