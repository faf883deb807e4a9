import { LeewardError } from "../errors.ts";
import type { ItemContext } from "./context.ts";
import type { ProtectedItem, RepairRequest } from "./item.ts";
import { changeItem } from "./item-record.ts";
import type { HeartbeatRequest } from "./mobility-protocol.ts";
import { isKnownOperation, operationIdOf, withOperation } from "./operations.ts";

/**
 * Asks the mobility service to bring everything again (Site Recovery's `repairReplication`). The request stands in the item record; the answers of
 * heartbeats hand it on. With a `requestId` the call can be repeated: it gives the same repair, whatever its state. Errors: `item-unknown`, `invalid-request`,
 * `conflict` while another repair is not done.
 */
export async function requestRepair(context: ItemContext, itemId: string, requestId?: string): Promise<RepairRequest> {
  const id = operationIdOf("repair", itemId, requestId ?? context.ids.next());
  const nowMs = context.clock.now();
  const requested: RepairRequest = { id, requestedMs: nowMs, state: "requested", changedMs: nowMs };
  const item = await changeItem(context.stores, itemId, (found) => {
    if (isKnownOperation(found, id)) return found;
    if (found.repair !== undefined && found.repair.state !== "done") throw underWay(found.repair);
    return { ...found, repair: requested, operations: withOperation(found, id) };
  });
  // One of before, behind which others have come since, is done.
  return item.repair?.id === id ? item.repair : { ...requested, state: "done" };
}

/** The item after what a heartbeat says of its repair; the same object when that is nothing new. */
export function repairReported(item: ProtectedItem, request: HeartbeatRequest, nowMs: number): ProtectedItem {
  const { repair } = item;
  if (repair === undefined || repair.state === "done") return item;
  if (request.repairDone === repair.id) return { ...item, repair: { ...repair, state: "done", changedMs: nowMs } };
  if (request.repairRunning !== repair.id || repair.state === "running") return item;
  return { ...item, repair: { ...repair, state: "running", changedMs: nowMs } };
}

function underWay({ id, state }: RepairRequest): LeewardError {
  return new LeewardError(
    "conflict",
    `The repair ${id} is ${state === "running" ? "running" : "waiting for the mobility service"}.`,
    { repair: id, state },
    { hint: "Wait until the status of the item says that it is done, then ask again if it is still needed." },
  );
}
