import { ITEM_RECORD, PROGRESS_RECORD } from "../../replication/names.ts";
import type { ItemStores, RecordStore } from "../../replication/ports.ts";
import { requireNoLaterLife } from "../../replication/records/item-record.ts";
import type { ResourceManager } from "../../replication/resources/resource-manager.ts";
import type { SentCall } from "./fault-model.ts";
import type { SimulatedProcess } from "./process.ts";

/** Methods that change nothing. All others may have taken effect when they fail. */
const READS = new Set(["read", "list", "listItems", "listStreams", "properties", "copyState"]);
/** Methods that send no request. */
const LOCAL = new Set(["restoredUrl"]);

/** The port, with every call of its methods sent by the process. */
function through<Port extends object>(
  process: SimulatedProcess,
  place: SentCall["place"],
  name: string,
  port: Port,
): Port {
  return new Proxy(port, {
    get: (target, method) => {
      const found: unknown = Reflect.get(target, method);
      if (typeof found !== "function" || typeof method !== "string" || LOCAL.has(method)) return found;
      const access = READS.has(method) ? "read" : "write";
      return (...args: readonly unknown[]) =>
        process.send({ place, access, operation: `${name}.${method} ${describe(args[0])}` }, () =>
          Reflect.apply(found, target, args),
        );
    },
  });
}

function describe(argument: unknown): string {
  if (typeof argument === "string") return argument;
  return typeof argument === "object" && argument !== null
    ? Object.values(argument)
        .filter((part) => typeof part !== "object")
        .join("/")
    : "";
}

/** The stores of all accounts, as one process reaches them. */
export function storesOf(process: SimulatedProcess, stores: ItemStores): ItemStores {
  const whole = through(process, "target", "stores", stores);
  const upstream = through(process, "cache", "stores", stores);
  return {
    cache: (itemId, stream) => through(process, "cache", "cache", stores.cache(itemId, stream)),
    management: (itemId) => recordsOf(process, stores.management(itemId)),
    records: (itemId) => recordsOf(process, stores.records(itemId)),
    disks: through(process, "target", "disks", stores.disks),
    snapshots: through(process, "target", "snapshots", stores.snapshots),
    listItems: (...given) => whole.listItems(...given),
    createContainers: (...given) => whole.createContainers(...given),
    listStreams: (itemId, place) => (place === "cache" ? upstream : whole).listStreams(itemId, place),
    removeStream: (itemId, stream, place) => (place === "cache" ? upstream : whole).removeStream(itemId, stream, place),
    removeTargetData: (...given) => whole.removeTargetData(...given),
    removeCacheData: (...given) => upstream.removeCacheData(...given),
    // Request by request, as the adapter does it, because each may take effect late.
    forgetItem: async (itemId, lastStream) => {
      const records = recordsOf(process, stores.records(itemId));
      for (const name of [ITEM_RECORD, PROGRESS_RECORD]) {
        const stored = await records.read(name);
        if (stored === undefined) continue;
        if (name === ITEM_RECORD) await requireNoLaterLife(itemId, stored.bytes, lastStream);
        await records.remove(name, stored.etag);
      }
      const late = await records.list("", 1_000);
      for (const { name } of late) if (name !== ITEM_RECORD && name !== PROGRESS_RECORD) await records.remove(name);
    },
    quarantine: (...given) => upstream.quarantine(...given),
  };
}

export const recordsOf = (process: SimulatedProcess, records: RecordStore): RecordStore =>
  through(process, "target", "records", records);

export function resourceManagerOf(process: SimulatedProcess, manager: ResourceManager): ResourceManager {
  return through(process, "manager", "manager", manager);
}
