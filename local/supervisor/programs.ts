import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The folder with `package.json`: the function app as deployed. This file runs from the sources and from `dist/`. */
export function appFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, "host.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("host.json was not found above the program");
    folder = parent;
  }
  return folder;
}

/** Built programs of the repository. Children always run the build, because the function app is loaded from it too. */
export const hostProgram = (): string => join(appFolder(), "packages/azure-local/dist/functions-host/main.js");
export const mobilityProgram = (): string => join(appFolder(), "dist/mobility/main.js");
export const cliProgram = (): string => join(appFolder(), "dist/cli/main.js");
