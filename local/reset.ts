import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { LeewardError } from "../replication/errors.ts";
import { exitWith } from "./supervisor/exit.ts";
import { lockHolder } from "./supervisor/lock.ts";
import { STATE_FOLDER } from "./supervisor/state-folder.ts";

/** `npm run reset`: empties the state of this folder's local cloud. Refuses while it is running. */
async function reset(): Promise<void> {
  const folder = resolve(STATE_FOLDER);
  const holder = await lockHolder(folder);
  if (holder !== undefined) {
    throw new LeewardError(
      "configuration-invalid",
      `The local cloud of this folder is running (process ${holder}).`,
      {},
      {
        hint: "Stop it first: Ctrl-C in the window of npm start.",
      },
    );
  }
  const names = await readdir(folder).catch(() => []);
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true });
  process.stdout.write(
    names.length === 0 ? `${STATE_FOLDER}/ is empty already.\n` : `${STATE_FOLDER}/ is empty now.\n`,
  );
}

await exitWith(reset);
