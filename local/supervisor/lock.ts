import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LeewardError } from "../../replication/errors.ts";
import { FOLDER_LOCK_TRIES } from "../limits.ts";

/**
 * Locks a state folder for this process, so that no two clouds write to it. Returns the function that releases it. A
 * dead holder does not count.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, "lock");
  for (let attempt = 1; ; attempt++) {
    try {
      await writeFile(path, String(process.pid), { flag: "wx" });
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const holder = await lockHolder(folder);
    if (holder !== undefined || attempt === FOLDER_LOCK_TRIES) {
      throw new LeewardError(
        "configuration-invalid",
        `The folder ${folder} is in use by process ${holder ?? "?"}.`,
        { folder },
        {
          hint: "Stop that one first (Ctrl-C in its window), or work in another folder.",
        },
      );
    }
    await rm(path, { force: true });
  }
}

/** The process that holds the folder; undefined when none does. */
export async function lockHolder(folder: string): Promise<number | undefined> {
  const text = await readFile(join(folder, "lock"), "utf8").catch(() => "");
  const pid = Number(text);
  if (text === "" || !Number.isInteger(pid) || pid <= 0) return undefined;
  try {
    process.kill(pid, 0);
    return pid;
  } catch (error) {
    // EPERM: it is alive and belongs to another user.
    return (error as NodeJS.ErrnoException).code === "EPERM" ? pid : undefined;
  }
}
