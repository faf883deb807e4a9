import { hasCode, type LeewardError } from "../../replication/errors.ts";
import { HEARTBEAT_MIN_MS } from "../../replication/limits.ts";
import type { Position } from "../../replication/position.ts";
import type { HeartbeatAnswer } from "../../replication/service/protocol.ts";
import { REFUSED_ASK_MS, SESSION_ASK_MS } from "../limits.ts";
import type { Uploader } from "../upload/uploader.ts";
import type { ItemTokens } from "./item-tokens.ts";

/**
 * Whether this service may speak for its item:
 * - `asking`: no answer yet;
 * - `granted`: it has the session;
 * - `waiting`: another service has it; this one keeps asking and uploads nothing meanwhile;
 * - `refused`: the control plane knows neither its token nor a registration token, or the item has no open stream, or
 *   the target holds data unknown to its state folder (an older copy or a new one); it asks rarely: an operator may
 *   change each of these;
 * - `silent`: it is a clone on another machine: it asks and uploads nothing more until it is started again.
 */
export type IdentityState = "asking" | "granted" | "waiting" | "refused" | "silent";

/** When the heartbeat loop continues after a refusal. */
export type NextBeat = { readonly kind: "in"; readonly waitMs: number } | { readonly kind: "never" };

export interface Identity {
  readonly state: IdentityState;
  /** Since when this service has the session, on the target's clock; undefined without one. */
  readonly sinceMs: number | undefined;
  /** It has had the session at least once since its start: data read for the target may be useful. */
  readonly wasGranted: boolean;
  /** Expiry of the last credential for uploads. */
  readonly grantEndsMs: number | undefined;
  answered(answer: HeartbeatAnswer): void;
  /** Rejects when registering again failed for a temporary reason. */
  refused(error: LeewardError): Promise<NextBeat>;
}

export interface IdentityOptions {
  readonly tokens: ItemTokens;
  readonly uploader: Pick<Uploader, "suspend" | "halt">;
  /** Undefined without a registration token. */
  readonly register: (() => Promise<Position>) | undefined;
  /** Asks for the next heartbeat now: the token exchange continues with it. */
  readonly soon: () => void;
  /** The item token has changed. */
  readonly exchanged: () => void;
  readonly changed: (state: IdentityState, error: LeewardError | undefined) => void;
}

export function createIdentity({ tokens, uploader, register, soon, exchanged, changed }: IdentityOptions): Identity {
  let state: IdentityState = "asking";
  let sinceMs: number | undefined;
  let wasGranted = false;
  let grantEndsMs: number | undefined;

  const become = (next: IdentityState, error?: LeewardError): void => {
    if (next !== "granted") sinceMs = undefined;
    if (state === next) return;
    state = next;
    changed(next, error);
  };
  const refuse = (next: "waiting" | "refused", error: LeewardError, waitMs: number): NextBeat => {
    uploader.suspend();
    become(next, error);
    return { kind: "in", waitMs };
  };
  const silence = (error: LeewardError): NextBeat => {
    become("silent", error);
    uploader.halt(error);
    return { kind: "never" };
  };
  /** A new registration token makes this machine and this token those of the item; one already used changes nothing. */
  const registered = async (): Promise<boolean> => {
    try {
      await register?.();
      return register !== undefined;
    } catch (error) {
      if (hasCode(error, "not-authorized", "machine-mismatch", "stream-closed")) return false;
      throw error;
    }
  };

  return {
    get state() {
      return state;
    },
    get sinceMs() {
      return sinceMs;
    },
    get wasGranted() {
      return wasGranted;
    },
    get grantEndsMs() {
      return grantEndsMs;
    },
    answered: (answer) => {
      if (tokens.taken()) exchanged();
      const goesOn =
        answer.rotation === "wanted" ? tokens.propose() : answer.rotation === "accepted" && tokens.accepted();
      if (goesOn) soon();
      sinceMs = answer.session.sinceMs;
      grantEndsMs = answer.upload.expiresMs;
      wasGranted = true;
      become("granted");
    },
    refused: async (error) => {
      if (error.code === "session-taken") return refuse("waiting", error, sessionWaitMs(error));
      if (error.code === "position-fork" || error.code === "stream-closed")
        return refuse("refused", error, REFUSED_ASK_MS);
      if (error.code === "not-authorized" && tokens.refused()) return AT_ONCE;
      if (await registered()) return AT_ONCE;
      return error.code === "machine-mismatch" ? silence(error) : refuse("refused", error, REFUSED_ASK_MS);
    },
  };
}

/** The loop itself enforces the smallest interval. */
const AT_ONCE: NextBeat = { kind: "in", waitMs: 0 };

/**
 * Until the other service's lease may have ended, but not much longer than a heartbeat: it may stop cleanly at any
 * time.
 */
function sessionWaitMs({ facts: { leaseLeftMs } }: LeewardError): number {
  const leftMs = typeof leaseLeftMs === "number" ? leaseLeftMs : SESSION_ASK_MS;
  return Math.min(SESSION_ASK_MS, Math.max(HEARTBEAT_MIN_MS, leftMs));
}
