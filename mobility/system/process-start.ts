import { readFileSync } from "node:fs";

/** The processes of this machine, as needed by a lock. */
export interface Processes {
  readonly ownId: number;
  /**
   * Tells apart two processes with the same id; undefined when the process does not exist or the system does not report
   * it.
   */
  startTime(id: number): string | undefined;
  exists(id: number): boolean;
}

export function systemProcesses(): Processes {
  return {
    ownId: process.pid,
    startTime: processStartTime,
    exists: (id) => {
      try {
        return process.kill(id, 0);
      } catch {
        return false;
      }
    },
  };
}

/**
 * Clock ticks since boot at which a process started (proc(5), field 22 of stat); undefined where there is no such
 * process or no /proc.
 */
export function processStartTime(id: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, "utf8");
    // The name in field 2 may hold spaces and brackets: count from the last one.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
