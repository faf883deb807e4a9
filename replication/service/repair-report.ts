import { samePosition } from "../position.ts";
import type { Progress, ProtectedItem, RepairRequest } from "../records/item.ts";
import { startOf } from "../records/streams.ts";
import type { HeartbeatRequest } from "./protocol.ts";

/**
 * The item after what a heartbeat and the open stream's progress report about its repair; the same object when nothing
 * is new.
 */
export function repairReported(
  item: ProtectedItem,
  request: HeartbeatRequest,
  progress: Progress,
  nowMs: number,
): ProtectedItem {
  const { repair } = item;
  if (repair === undefined || repair.state === "done" || progress.stream !== item.stream) return item;
  const turned = (state: RepairRequest["state"]): ProtectedItem => ({
    ...item,
    repair: { ...repair, state, changedMs: nowMs },
  });
  if (!progress.seeding) return turned("done");
  return speaksOf(request, item) && repair.state === "requested" ? turned("running") : item;
}

/**
 * False until the mobility service has learned of the item's open stream. An older service does not name the start of
 * its stream.
 */
export function speaksOf(
  { start, uploaded }: Pick<HeartbeatRequest, "start" | "uploaded">,
  item: ProtectedItem,
): boolean {
  if (start === undefined) return uploaded.stream === item.stream;
  return item.nonce !== undefined && samePosition(start, startOf(item));
}
