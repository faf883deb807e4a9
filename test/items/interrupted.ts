import type { DiskSnapshots, ItemStores, RecordStore, TargetDisks } from "../../replication/ports.ts";

/** A process that was killed: not a LeewardError, so that no code may handle it. */
class Killed extends Error {}

/** `before`: killed before the request left; `after`: it landed, but its answer was lost. */
type KillMode = "before" | "after";

/** Stores whose call number `at` (from 0) kills the caller; every later call too, since a dead process makes none. */
function interruptedStores(
  inner: ItemStores,
  at: number,
  mode: KillMode,
): { readonly stores: ItemStores; readonly calls: () => number } {
  let calls = 0;
  async function through<Result>(run: () => Promise<Result>): Promise<Result> {
    const call = calls;
    calls += 1;
    if (call < at) return run();
    if (call === at && mode === "after") await run();
    throw new Killed(`killed at call ${call}`);
  }
  const records = (store: RecordStore): RecordStore => ({
    read: (...given) => through(() => store.read(...given)),
    create: (...given) => through(() => store.create(...given)),
    replace: (...given) => through(() => store.replace(...given)),
    put: (...given) => through(() => store.put(...given)),
    remove: (...given) => through(() => store.remove(...given)),
    list: (...given) => through(() => store.list(...given)),
  });
  const disks: TargetDisks = {
    create: (...given) => through(() => inner.disks.create(...given)),
    raiseSequenceNumber: (...given) => through(() => inner.disks.raiseSequenceNumber(...given)),
    properties: (...given) => through(() => inner.disks.properties(...given)),
    writePages: (...given) => through(() => inner.disks.writePages(...given)),
    clearPages: (...given) => through(() => inner.disks.clearPages(...given)),
    snapshot: (...given) => through(() => inner.disks.snapshot(...given)),
  };
  const snapshots: DiskSnapshots = {
    list: (...given) => through(() => inner.snapshots.list(...given)),
    remove: (...given) => through(() => inner.snapshots.remove(...given)),
    startCopy: (...given) => through(() => inner.snapshots.startCopy(...given)),
    copyState: (...given) => through(() => inner.snapshots.copyState(...given)),
    removeRestored: (...given) => through(() => inner.snapshots.removeRestored(...given)),
    restoredUrl: (...given) => inner.snapshots.restoredUrl(...given),
  };
  const stores: ItemStores = {
    cache: (...given) => records(inner.cache(...given)),
    management: (itemId) => records(inner.management(itemId)),
    records: (itemId) => records(inner.records(itemId)),
    disks,
    snapshots,
    listItems: (...given) => through(() => inner.listItems(...given)),
    createContainers: (...given) => through(() => inner.createContainers(...given)),
    listStreams: (...given) => through(() => inner.listStreams(...given)),
    removeStream: (...given) => through(() => inner.removeStream(...given)),
    removeTargetData: (...given) => through(() => inner.removeTargetData(...given)),
    removeCacheData: (...given) => through(() => inner.removeCacheData(...given)),
    forgetItem: (...given) => through(() => inner.forgetItem(...given)),
    quarantine: (...given) => through(() => inner.quarantine(...given)),
  };
  return { stores, calls: () => calls };
}

/**
 * Runs `act` in fresh worlds, killed at its first, second, ... call, before and after each, until it gets through;
 * after each kill `check` sees the world and repeats what has to be repeated. Returns the number of kills, so that a
 * test can tell that there were some.
 */
export async function killedEverywhere<World>(
  makeWorld: () => Promise<World>,
  storesOf: (world: World) => ItemStores,
  act: (world: World, stores: ItemStores) => Promise<unknown>,
  check: (world: World) => Promise<void>,
): Promise<number> {
  let kills = 0;
  for (const mode of ["before", "after"] as const) {
    for (let at = 0; ; at += 1) {
      const world = await makeWorld();
      const { stores, calls } = interruptedStores(storesOf(world), at, mode);
      try {
        await act(world, stores);
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
      const killed = calls() > at;
      if (killed) kills += 1;
      await check(world);
      if (!killed) break;
    }
  }
  return kills;
}
