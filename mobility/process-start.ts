import { readFileSync } from "node:fs";

/** Clock ticks since boot at which a process started (proc(5), field 22 of stat); undefined where there is no such process or no /proc. */
export function processStartTime(id: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${id}/stat`, "utf8");
    // The name in field 2 may hold spaces and brackets: count from the last one.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}
