import { LeewardError } from "../errors.ts";
import { PROGRESS_RECORD } from "../names.ts";
import type { ItemContext } from "../points/context.ts";
import { unlessDamaged } from "../records/damaged.ts";
import { changeItem, readItem } from "../records/item-record.ts";
import type { ProtectedItem, RepairRequest } from "../records/item.ts";
import { readProgress } from "../records/progress.ts";
import { mintStream, openStream } from "../records/streams.ts";
import { readHeartbeat } from "./heartbeat.ts";
import { type GivenUpProgress, ensureProgress, prepareStream } from "./open-stream.ts";
import { isKnownOperation, operationIdOf, withOperation } from "./operations.ts";
import { speaksOf } from "./repair-report.ts";

/**
 * Replicates everything again (Site Recovery's `repairReplication`), the way out of every stop: opens a new stream with
 * its own target disks and cache container. The service learns of it with its next heartbeat and reads all disks.
 * Points, journal and disks of earlier streams stay until retention releases them, so that a failover is possible
 * meanwhile. A damaged or missing progress record is discarded. With a `requestId` the call can be repeated: it gives
 * the same repair, whatever its state, and finishes what a crash left undone. Errors: `item-unknown`,
 * `invalid-request`, `stream-closed`, `conflict` while another repair is progressing.
 */
export async function requestRepair(context: ItemContext, itemId: string, requestId?: string): Promise<RepairRequest> {
  const { stores, clock, ids } = context;
  const id = operationIdOf("repair", itemId, requestId ?? ids.next());
  const { item } = await readItem(stores, itemId);
  const found = await look(context, item);
  if (isKnownOperation(item, id)) {
    // An earlier request that newer ones have overtaken counts as done.
    if (item.repair?.id !== id) return { id, requestedMs: clock.now(), state: "done", changedMs: clock.now() };
    if (found.givenUp === undefined) {
      await ensureProgress(stores, item);
      return item.repair;
    }
  }
  openStream(item);
  if (!found.stopped) requireFree(item, id);
  const nowMs = clock.now();
  const repair: RepairRequest = { id, requestedMs: nowMs, state: "requested", changedMs: nowMs };
  const opened = { stream: await mintStream(stores, itemId), nonce: ids.next(), openedMs: nowMs, repair };
  await prepareStream(context, { ...item, ...opened });
  const announced = await changeItem(stores, itemId, (current) => announce(current, item, opened));
  await ensureProgress(stores, announced, found.givenUp);
  return announced.repair ?? repair;
}

/**
 * The item was just rebuilt, in a new stream: that stream is the requested repair. Errors: `item-unknown`,
 * `invalid-request`, `conflict`.
 */
export async function noteRemade(context: ItemContext, itemId: string, requestId?: string): Promise<RepairRequest> {
  const { stores, clock, ids } = context;
  const id = operationIdOf("repair", itemId, requestId ?? ids.next());
  const nowMs = clock.now();
  const repair: RepairRequest = { id, requestedMs: nowMs, state: "requested", changedMs: nowMs };
  await changeItem(stores, itemId, (item) => ({ ...item, repair, operations: withOperation(item, id) }));
  return repair;
}

type Opened = Required<Pick<ProtectedItem, "stream" | "openedMs">> & {
  readonly nonce: string;
  readonly repair: RepairRequest;
};

/** `before` is the item as it was when its new stream was minted. */
function announce(current: ProtectedItem, before: ProtectedItem, opened: Opened): ProtectedItem {
  const { id } = opened.repair;
  if (current.stream === before.stream) {
    return {
      ...current,
      ...opened,
      operations: isKnownOperation(current, id) ? current.operations : withOperation(current, id),
    };
  }
  // The same request twice at the same time.
  if (current.repair?.id === id) return current;
  throw new LeewardError("conflict", "Another stream of the item was opened, or its last one closed, meanwhile.", {
    itemId: before.itemId,
  });
}

interface Found {
  /** The open stream receives nothing more by itself. */
  readonly stopped: boolean;
  readonly givenUp: GivenUpProgress | undefined;
}

async function look({ stores }: ItemContext, item: ProtectedItem): Promise<Found> {
  const records = stores.records(item.itemId);
  const stored = await unlessDamaged(
    () => readProgress(records),
    () => "damaged" as const,
  );
  if (stored === undefined) return { stopped: true, givenUp: { etag: undefined } };
  if (stored === "damaged") return { stopped: true, givenUp: { etag: (await records.read(PROGRESS_RECORD))?.etag } };
  const heartbeat = await readHeartbeat(stores, item.itemId);
  const halted = heartbeat?.uploadsStopped !== undefined && speaksOf(heartbeat, item);
  return { stopped: stored.progress.stopped !== undefined || halted, givenUp: undefined };
}

/** A repair that is progressing is not restarted: that would read all disks again. */
function requireFree({ repair }: ProtectedItem, id: string): void {
  if (repair === undefined || repair.id === id || repair.state === "done") return;
  throw new LeewardError(
    "conflict",
    `The repair ${repair.id} is ${repair.state === "running" ? "running" : "waiting for the mobility service"}.`,
    { repair: repair.id, state: repair.state },
    { hint: "Wait until the status of the item says that it is done, then ask again if it is still needed." },
  );
}
