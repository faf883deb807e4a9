import { LeewardError } from "../errors.ts";
import { SESSION_LEASE_MS } from "../limits.ts";
import type { Position } from "../position.ts";
import type { HeartbeatRecord, ProtectedItem, ServiceSession } from "../records/item.ts";
import type { HeartbeatRequest } from "./protocol.ts";

/**
 * The session that a heartbeat has or gets (docs/mobility-protocol.md, P4 to P9). A pure function of its arguments; the
 * compare-and-set that stores the result ensures that only one of two services gets the session. Errors:
 * `session-taken`, `position-fork`.
 */
export function sessionFor(
  stored: HeartbeatRecord | undefined,
  request: HeartbeatRequest,
  applied: Position,
  nowMs: number,
): ServiceSession {
  const held = stored?.session;
  const ended = request.ended === true;
  if (stored !== undefined && held !== undefined) {
    const own = held.id === request.sessionId;
    if (own && (ended || !held.ended)) return { ...held, ended };
    const silentMs = nowMs - stored.receivedMs;
    // A clock set back by more than a lease must not lock every service out until it has caught up.
    const over = held.machineId !== request.machineId || silentMs >= SESSION_LEASE_MS || silentMs <= -SESSION_LEASE_MS;
    const leaseLeftMs = SESSION_LEASE_MS - Math.max(0, silentMs);
    // A heartbeat still in flight when its service stopped must not revive the session.
    if (own && !over && request.sentMs <= stored.sentMs)
      throw taken(held, leaseLeftMs, "This session was ended by its own service.");
    if (!own && !over && !held.ended)
      throw taken(held, leaseLeftMs, "Another mobility service of this machine speaks for the item.");
  }
  requireKnown(request, applied);
  return { id: request.sessionId, machineId: request.machineId, bootId: request.bootId, sinceMs: nowMs, ended };
}

/** Errors: `machine-mismatch` when the item is bound to another machine. */
export function requireMachine({ itemId, machineId: bound }: ProtectedItem, machineId: string): void {
  if (bound === undefined || bound === machineId) return;
  throw new LeewardError("machine-mismatch", "The item is bound to another machine.", { itemId, machineId });
}

/** For requests beside the heartbeat. Errors: `session-taken` unless this is the item's current session. */
export function requireSession(stored: HeartbeatRecord | undefined, sessionId: string): void {
  const held = stored?.session;
  if (held?.id === sessionId && !held.ended) return;
  throw taken(held, 0, "This mobility service has no session of the item.");
}

/**
 * A service seals a delta before it uploads it, so it knows every delta that the target can have applied from it. A
 * service that does not has an old or empty copy of the state folder: its uploads would be another history. Holders of
 * a session are not checked: their deltas may overtake their heartbeats.
 */
function requireKnown({ sealed }: HeartbeatRequest, applied: Position): void {
  if (sealed === undefined || sealed.stream !== applied.stream) return;
  if (sealed.epoch > applied.epoch || (sealed.epoch === applied.epoch && sealed.checksum === applied.checksum)) return;
  throw new LeewardError(
    "position-fork",
    "The target holds epochs that this mobility service does not know: its state folder is an older copy or a new one.",
    { sealedEpoch: sealed.epoch, appliedEpoch: applied.epoch },
    {
      hint: "Start the service with the state folder that belongs to the item; if that is lost, repairReplication opens a new stream for this one.",
    },
  );
}

function taken(held: ServiceSession | undefined, leaseLeftMs: number, message: string): LeewardError {
  return new LeewardError("session-taken", message, { sinceMs: held?.sinceMs, bootId: held?.bootId, leaseLeftMs });
}
