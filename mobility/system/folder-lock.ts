import { LeewardError } from "../../replication/errors.ts";
import { writeAll } from "./durable-file.ts";
import type { Files } from "./files.ts";
import type { Processes } from "./process-start.ts";

/**
 * Locks a state folder for this process: a file with the process id and its start time, so that a recycled id is not
 * mistaken for the owner. Takes over the lock of a killed process. Throws `state-locked`. Returns the function that
 * releases it.
 */
export function lockFolder(files: Files, processes: Processes, path: string): () => void {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      makeLock(files, path, `${processes.ownId} ${processes.startTime(processes.ownId) ?? ""}`);
      return () => files.remove(path);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const owner = readOwner(files, path);
    if (owner !== undefined && isAlive(processes, owner)) {
      throw new LeewardError("state-locked", `Process ${owner.id} uses this state folder.`, {
        path,
        process: owner.id,
      });
    }
    files.remove(path);
  }
  throw new LeewardError("state-locked", "Another process is taking this state folder.", { path });
}

/** Leaves nothing of a lock that cannot be written: to others it would look like that of a dead process. */
function makeLock(files: Files, path: string, owner: string): void {
  const file = files.open(path, "wx", 0o600);
  try {
    writeAll(files, file, Buffer.from(owner), 0);
  } catch (error) {
    files.remove(path);
    throw error;
  } finally {
    files.close(file);
  }
}

interface Owner {
  readonly id: number;
  readonly startTime: string;
}

function readOwner(files: Files, path: string): Owner | undefined {
  try {
    const [id = "", started = ""] = files.readFile(path).toString("utf8").split(" ");
    return /^\d+$/.test(id) ? { id: Number(id), startTime: started } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(processes: Processes, owner: Owner): boolean {
  // Started again inside one process (tests): the folder is ours only if the earlier service released it.
  const started = processes.startTime(owner.id);
  if (started !== undefined) return owner.startTime === "" || started === owner.startTime;
  return owner.startTime === "" && processes.exists(owner.id);
}
