import { hasCode, LeewardError } from "../../replication/errors.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "../../replication/items/mobility-protocol.ts";
import { HEARTBEAT_MAX_MS, HEARTBEAT_MIN_MS } from "../../replication/limits.ts";
import { backOffMs, pause } from "../back-off.ts";
import type { ControlClient } from "./control-client.ts";

/** Tells the control plane where the service stands and brings the credential for uploads. */
export interface Heartbeat {
  /** The next one goes at once. */
  soon(): void;
  stop(): Promise<void>;
}

export interface HeartbeatOptions {
  readonly control: Pick<ControlClient, "heartbeat">;
  /** Interval until the control plane names one. */
  readonly intervalMs: number;
  readonly random: () => number;
  /** Taken at the moment of sending. */
  readonly report: () => HeartbeatRequest;
  readonly answered: (answer: HeartbeatAnswer) => void;
  readonly failed: (error: LeewardError) => void;
  /** The token was refused: registers again if there is a registration token. */
  readonly unauthorized: () => Promise<void>;
}

/** Goes on for as long as the service lives; failures only lengthen the wait, up to BACK_OFF_MAX_MS. */
export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  const stopping = new AbortController();
  let hurry = new AbortController();
  let intervalMs = options.intervalMs;

  const beat = async (): Promise<void> => {
    try {
      const answer = await options.control.heartbeat(options.report());
      intervalMs = Math.min(HEARTBEAT_MAX_MS, Math.max(HEARTBEAT_MIN_MS, answer.intervalMs));
      options.answered(answer);
    } catch (error) {
      if (!hasCode(error, "not-authorized")) throw error;
      options.failed(error);
      await options.unauthorized();
    }
  };
  const run = async (): Promise<void> => {
    for (let failures = 0; !stopping.signal.aborted;) {
      let waitMs: number;
      try {
        await beat();
        failures = 0;
        waitMs = intervalMs;
      } catch (error) {
        if (stopping.signal.aborted) return;
        options.failed(error instanceof LeewardError ? error : new LeewardError("internal", "A heartbeat failed.", {}, { cause: error }));
        waitMs = backOffMs(failures, options.random);
        failures += 1;
      }
      // Never faster than the smallest interval, whoever asks.
      await pause(HEARTBEAT_MIN_MS, stopping.signal);
      await pause(waitMs - HEARTBEAT_MIN_MS, AbortSignal.any([stopping.signal, hurry.signal]));
      hurry = new AbortController();
    }
  };
  const loop = run();
  return {
    soon: () => hurry.abort(),
    stop: async () => {
      stopping.abort();
      await loop;
    },
  };
}
