import type { HistoryPlan } from "./plan.ts";

/** Runs a plan; true when it still fails in the same way. */
export type StillFails = (plan: HistoryPlan) => Promise<boolean>;

/**
 * A smaller plan that still fails: fewer steps, fewer kinds of faults, fewer machines and processes. Tries whole
 * halves first, then single parts (delta debugging), for at most `tries` runs.
 */
export async function shrink(plan: HistoryPlan, stillFails: StillFails, tries: number): Promise<HistoryPlan> {
  let best = plan;
  let left = tries;
  const attempt = async (smaller: HistoryPlan): Promise<boolean> => {
    if (left <= 0) return false;
    left -= 1;
    if (!(await stillFails(smaller))) return false;
    best = smaller;
    return true;
  };
  for (;;) {
    const before = best;
    for (const kind of Object.keys(best.rates)) {
      await attempt({
        ...best,
        rates: Object.fromEntries(Object.entries(best.rates).filter(([name]) => name !== kind)),
      });
    }
    for (let size = Math.ceil(best.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = best.steps.length - size; at >= 0; at -= size) {
        await attempt({ ...best, steps: best.steps.filter((_, index) => index < at || index >= at + size) });
      }
    }
    const last = best.machines.length - 1;
    if (last > 0) {
      const isKept = (step: HistoryPlan["steps"][number]): boolean => !("machine" in step) || step.machine !== last;
      await attempt({ ...best, machines: best.machines.slice(0, last), steps: best.steps.filter(isKept) });
    }
    if (best.appProcesses > 1) await attempt({ ...best, appProcesses: 1 });
    if (before === best || left <= 0) return best;
  }
}
