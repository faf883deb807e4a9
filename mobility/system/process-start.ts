import { readFileSync } from "node:fs";

/** The processes of this machine, as far as a lock needs them. */
export interface Processes {
  readonly ownId: number;
  /** Tells two processes with one id apart; undefined where there is no such process, or the system does not say. */
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
