import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { LeewardError } from "../replication/errors.ts";
import { processStartTime } from "./process-start.ts";

/**
 * Takes a state folder for this process: a file with the process id and its start time, so that a recycled id is not mistaken for the owner. The lock of a
 * process that was killed is taken over. Throws `state-locked`. Returns what lets go.
 */
export function lockFolder(path: string): () => void {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      const file = openSync(path, "wx", 0o600);
      writeSync(file, `${process.pid} ${processStartTime(process.pid) ?? ""}`);
      closeSync(file);
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const owner = readOwner(path);
    if (owner !== undefined && isAlive(owner)) {
      throw new LeewardError("state-locked", `Process ${owner.id} uses this state folder.`, { path, process: owner.id });
    }
    rmSync(path, { force: true });
  }
  throw new LeewardError("state-locked", "Another process is taking this state folder.", { path });
}

interface Owner {
  readonly id: number;
  readonly startTime: string;
}

function readOwner(path: string): Owner | undefined {
  try {
    const [id = "", started = ""] = readFileSync(path, "utf8").split(" ");
    return /^\d+$/.test(id) ? { id: Number(id), startTime: started } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(owner: Owner): boolean {
  // Started again inside one process (tests): the folder is ours only if the earlier service let go.
  const started = processStartTime(owner.id);
  if (started !== undefined) return owner.startTime === "" || started === owner.startTime;
  try {
    process.kill(owner.id, 0);
    return owner.startTime === "";
  } catch {
    return false;
  }
}
