import { hasCode, LeewardError } from "../../replication/errors.ts";
import { HEARTBEAT_MIN_MS } from "../../replication/limits.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "../../replication/service/protocol.ts";
import { HEARTBEAT_MAX_MS } from "../limits.ts";
import { backOffMs } from "../system/back-off.ts";
import { pause, type Clock } from "../system/clock.ts";
import type { ControlClient } from "./control-client.ts";
import type { NextBeat } from "./identity.ts";

/** Reports the service's state to the control plane and brings the credential for uploads. */
export interface Heartbeat {
  /** Sends the next one at once, unless the last one was refused. */
  soon(): void;
  /** How many were sent since the start, and how many of them were answered. */
  readonly counts: { readonly sent: number; readonly answered: number };
  stop(): Promise<void>;
}

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly control: Pick<ControlClient, "heartbeat">;
  /** Used until the control plane names an interval. */
  readonly intervalMs: number;
  readonly random: () => number;
  /** Made at the moment of sending. Rejects while the service does not know its own identity. */
  readonly report: () => Promise<HeartbeatRequest>;
  readonly answered: (answer: HeartbeatAnswer, request: HeartbeatRequest) => void;
  readonly failed: (error: LeewardError) => void;
  /** The control plane refuses to let this service speak for the item. */
  readonly refused: (error: LeewardError) => Promise<NextBeat>;
}

/** The control plane understood, and does not let this service speak or upload. */
const REFUSED = ["not-authorized", "machine-mismatch", "session-taken", "position-fork", "stream-closed"] as const;

/**
 * Runs for as long as the service lives; failures only lengthen the wait, up to BACK_OFF_MAX_MS. A refusal can end it
 * for good.
 */
export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  const stopping = new AbortController();
  let hurry = new AbortController();
  let intervalMs = options.intervalMs;
  let sent = 0;
  let answered = 0;

  const beat = async (): Promise<NextBeat | undefined> => {
    const request = await options.report();
    sent += 1;
    try {
      const answer = await options.control.heartbeat(request);
      answered += 1;
      intervalMs = Math.min(HEARTBEAT_MAX_MS, Math.max(HEARTBEAT_MIN_MS, answer.intervalMs));
      options.answered(answer, request);
      return undefined;
    } catch (error) {
      if (!hasCode(error, ...REFUSED)) throw error;
      answered += 1;
      return await options.refused(error);
    }
  };
  const run = async (): Promise<void> => {
    for (let failures = 0; !stopping.signal.aborted;) {
      let waitMs: number;
      let patience = [stopping.signal, hurry.signal];
      try {
        const refusal = await beat();
        failures = 0;
        if (refusal?.kind === "never") return;
        waitMs = refusal?.waitMs ?? intervalMs;
        if (refusal !== undefined) patience = [stopping.signal];
      } catch (error) {
        if (stopping.signal.aborted) return;
        options.failed(
          error instanceof LeewardError
            ? error
            : new LeewardError("internal", "A heartbeat failed.", {}, { cause: error }),
        );
        waitMs = backOffMs(failures, options.random);
        failures += 1;
      }
      // Never faster than the smallest interval.
      await pause(options.clock, HEARTBEAT_MIN_MS, stopping.signal);
      await pause(options.clock, Math.max(0, waitMs - HEARTBEAT_MIN_MS), ...patience);
      hurry = new AbortController();
    }
  };
  const loop = run();
  return {
    soon: () => hurry.abort(),
    get counts() {
      return { sent, answered };
    },
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}
