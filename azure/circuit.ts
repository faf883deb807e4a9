import { LeewardError, hasCode } from "../replication/errors.ts";
import { CIRCUIT_FAILURES, CIRCUIT_PAUSE_MS } from "../replication/limits.ts";
import type { Clock, RecordStore } from "../replication/ports.ts";

/**
 * Leaves an account alone that does not answer: a region that is lost does not refuse, it hangs, and each request would
 * wait for its whole time limit.
 */
export interface Circuit {
  /** Errors: those of the request; `store-unavailable`, without sending it, while the account is left alone. */
  run<Result>(request: () => Promise<Result>): Promise<Result>;
}

/** Opens after CIRCUIT_FAILURES requests in a row without an answer. Then one request in CIRCUIT_PAUSE_MS is sent. */
export function openCircuit(clock: Clock): Circuit {
  let failures = 0;
  let pausedMs = 0;
  let last: LeewardError | undefined;
  return {
    run: async (request) => {
      const elapsedMs = clock.now() - pausedMs;
      // A clock that was set back does not keep the account closed.
      if (last !== undefined && failures >= CIRCUIT_FAILURES && elapsedMs >= 0 && elapsedMs < CIRCUIT_PAUSE_MS)
        throw leftAlone(last);
      // Whoever comes while this one waits is refused.
      pausedMs = clock.now();
      try {
        const result = await request();
        failures = 0;
        return result;
      } catch (error) {
        last = unanswered(error);
        failures = last === undefined ? 0 : failures + 1;
        pausedMs = clock.now();
        throw error;
      }
    },
  };
}

/** The same store, whose requests go through the circuit of its account. */
export function throughCircuit(circuit: Circuit, store: RecordStore): RecordStore {
  return {
    read: (...given) => circuit.run(() => store.read(...given)),
    create: (...given) => circuit.run(() => store.create(...given)),
    replace: (...given) => circuit.run(() => store.replace(...given)),
    put: (...given) => circuit.run(() => store.put(...given)),
    remove: (...given) => circuit.run(() => store.remove(...given)),
    list: (...given) => circuit.run(() => store.list(...given)),
  };
}

/**
 * An answer of any status shows that the account is there. `storageError` names the operation; what an adapter finds
 * wrong with an answer has none.
 */
function unanswered(error: unknown): LeewardError | undefined {
  if (!hasCode(error, "store-unavailable", "outcome-unknown")) return undefined;
  const { operation, status } = error.facts;
  return operation !== undefined && status === undefined ? error : undefined;
}

function leftAlone({ message, facts }: LeewardError): LeewardError {
  return new LeewardError("store-unavailable", message, { ...facts, repeated: true });
}
