import { encodeDelta } from "../../replication/delta/encode.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { deltaName, journalName, manifestName } from "../../replication/names.ts";
import type { ItemContext } from "../../replication/points/context.ts";
import { type PointManifest, encodePoint, makePointId } from "../../replication/points/manifest.ts";
import { type DiskDescription, type Position, startPosition } from "../../replication/position.ts";
import type { Progress } from "../../replication/records/item.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { recordHeartbeat } from "../../replication/service/heartbeat.ts";
import type { HeartbeatAnswer, HeartbeatRequest } from "../../replication/service/protocol.ts";
import { registerService } from "../../replication/service/register.ts";
import { type MemoryStores, createMemoryStores } from "../memory/memory-stores.ts";

export const ITEM = "vm-1";
export const DISKS: readonly DiskDescription[] = [
  { id: "data", sizeBytes: 1024 * 1024 - 512, sectorSizeBytes: 512 },
  { id: "os", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 },
];
/** The world's third id: the two before it make the registration token. */
const NONCE = "3".padStart(32, "0");
/** Where the first stream of the item begins. */
export const START = startPosition(ITEM, 1, DISKS, NONCE);
export const ITEM_TOKEN = "ab".repeat(32);
export const HOUR_MS = 3_600_000;
/** 2026-01-15T00:00:00Z. */
export const START_MS = 1_768_435_200_000;

export interface World extends MemoryStores {
  readonly context: ItemContext;
  /** Moves the clock of function app and stores. */
  pass(durationMs: number): void;
}

export function createWorld(): World {
  let nowMs = START_MS;
  let count = 0;
  const clock = { now: () => nowMs };
  const memory = createMemoryStores(clock);
  const ids = {
    next: () => {
      count += 1;
      return count.toString(16).padStart(32, "0");
    },
  };
  return {
    ...memory,
    context: { stores: memory.stores, clock, ids },
    pass(durationMs) {
      nowMs += durationMs;
    },
  };
}

/** A world with a protected item and its registered service. */
export async function protectedWorld(policy = { pointIntervalMs: 300_000, retentionMs: 24 * HOUR_MS }): Promise<World> {
  const world = createWorld();
  const { registrationToken } = await protectItem(world.context, { itemId: ITEM, disks: DISKS, policy });
  if (registrationToken === undefined) throw new Error("a new item has a token");
  await registerService(world.context, ITEM, {
    registrationToken,
    itemToken: ITEM_TOKEN,
    machineId: "machine",
    bootId: "boot",
    disks: DISKS,
  });
  return world;
}

/** Who speaks in heartbeats. */
export const WHO = { machineId: "machine", bootId: "boot", sessionId: "session" } as const;

/** One heartbeat of the registered service; the changes say what is special about it. */
export function beat(
  world: World,
  changes: Partial<HeartbeatRequest> = {},
  token = ITEM_TOKEN,
  stores = world.stores,
): Promise<HeartbeatAnswer> {
  const { clock } = world.context;
  const access = {
    grantCreate: async (itemId: string, stream: number) => ({
      containerUrl: `https://cache.invalid/${itemId}-${stream}?sig=secret`,
      expiresMs: clock.now() + HOUR_MS,
    }),
  };
  const request = { ...WHO, sentMs: clock.now(), start: START, uploaded: START, pendingBytes: 0, ...changes };
  return recordHeartbeat({ ...world.context, stores, access }, ITEM, token, request);
}

export async function progressOf(world: World): Promise<Progress> {
  const stored = await readProgress(world.stores.records(ITEM));
  if (stored === undefined) throw new Error("the item has no progress");
  return stored.progress;
}

/** Sets progress as a worker would leave it. */
export async function setProgress(world: World, changes: Partial<Progress>): Promise<void> {
  const records = world.stores.records(ITEM);
  const stored = await readProgress(records);
  if (stored === undefined) throw new Error("the item has no progress");
  await replaceProgress(records, stored, { ...stored.progress, ...changes });
}

export interface MadeDelta {
  readonly bytes: Uint8Array;
  readonly end: Position;
}

/** A chain of real deltas from the start of stream 1; `fill` makes chains differ. */
export function deltaChain(count: number, fill = 1, itemId = ITEM, stream = 1): readonly MadeDelta[] {
  const chain: MadeDelta[] = [];
  let start = startPosition(itemId, stream, DISKS, NONCE);
  for (let epoch = 1; epoch <= count; epoch += 1) {
    const header = {
      itemId,
      stream,
      epoch,
      firstWriteMs: START_MS,
      lastWriteMs: START_MS + epoch,
      start,
      disks: DISKS,
      flags: { consistency: "crash", seeding: false, final: false, groupMark: false },
    } as const;
    const bytes = new Uint8Array(512).fill(fill + epoch);
    const delta = encodeDelta(header, [{ kind: "data", disk: 0, offsetBytes: 512 * epoch, bytes }]);
    chain.push(delta);
    start = delta.end;
  }
  return chain;
}

export async function upload(world: World, epoch: number, bytes: Uint8Array, stream = 1): Promise<void> {
  await world.stores.cache(ITEM, stream).put(deltaName(stream, epoch), bytes);
}

/** Applies the chain up to its end, as far as the records show it: journal and progress. */
export async function applyChain(world: World, chain: readonly MadeDelta[]): Promise<void> {
  const last = chain.at(-1);
  if (last === undefined) return;
  for (const { bytes, end } of chain) await world.stores.records(ITEM).put(journalName(end.stream, end.epoch), bytes);
  await setProgress(world, {
    applied: last.end,
    intent: last.end,
    seeding: false,
    appliedSourceMs: START_MS + last.end.epoch,
  });
}

/** A recovery point as a worker takes it: a snapshot of each disk, then the manifest. */
export async function addPoint(
  world: World,
  position: Position,
  changes: Partial<PointManifest> = {},
): Promise<PointManifest> {
  const targetTimeMs = changes.targetTimeMs ?? world.context.clock.now();
  const pointId = makePointId(targetTimeMs, `${position.epoch}/${changes.consistency ?? "crash"}`);
  const disks = await Promise.all(
    DISKS.map(async (disk) => ({ ...disk, snapshot: await snapshotOf(world, disk.id, pointId) })),
  );
  const manifest: PointManifest = {
    version: 1,
    kind: "point",
    pointId,
    itemId: ITEM,
    stream: position.stream,
    position,
    sourceTimeMs: targetTimeMs - 10,
    skewMs: undefined,
    targetTimeMs,
    consistency: "crash",
    generation: 0,
    disks,
    ...changes,
  };
  await world.stores.records(ITEM).create(manifestName(pointId), encodePoint(manifest));
  return manifest;
}

/** A snapshot of one target disk with a point's id. */
export async function snapshotOf(world: World, diskId: string, pointId: string, stream = 1): Promise<string> {
  const disk = { itemId: ITEM, stream, diskId };
  const properties = await world.stores.disks.properties(disk);
  const snapshot =
    properties === undefined ? undefined : await world.stores.disks.snapshot(disk, properties.etag, pointId);
  if (snapshot === undefined) throw new Error("the disk has no snapshot");
  return snapshot;
}

/** All snapshots of all disks that carry a point's id. */
export async function pointsWithSnapshots(world: World): Promise<readonly string[]> {
  const lists = await Promise.all(
    DISKS.map((disk) => world.stores.snapshots.list({ itemId: ITEM, stream: 1, diskId: disk.id })),
  );
  return [...new Set(lists.flat().flatMap((entry) => entry.pointId ?? []))].toSorted();
}
