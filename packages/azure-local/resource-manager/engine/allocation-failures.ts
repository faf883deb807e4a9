import type { OperationError } from "./operation-record.ts";

/** How often machines find no room. */
export interface AllocationChance {
  /** The share of creations, changes and starts that fail, 0 to 1. */
  readonly ratio: number;
  /** The same seed fails the same ones. */
  readonly seed: number;
}

interface Accepted {
  readonly method: string;
  readonly type: string;
  readonly action: string | undefined;
}

/** Decides for each accepted request whether its machine finds room. */
export function allocationFailures({
  ratio,
  seed,
}: AllocationChance): (request: Accepted) => OperationError | undefined {
  const random = randomOf(seed);
  return ({ method, type, action }) => {
    const allocates =
      type.toLowerCase() === "microsoft.compute/virtualmachines" && (method === "PUT" || action === "start");
    if (!allocates || random() >= ratio) return undefined;
    return {
      status: 409,
      code: "AllocationFailed",
      message:
        "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance",
    };
  };
}

/** Numbers in [0, 1) by mulberry32: small, and good enough for faults. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
