import { expect, it } from "vitest";
import type { WorkQueue } from "../../replication/operations/work-queue.ts";
import type { CacheAccess, RestoreAccess } from "../../replication/ports.ts";
import { createMemoryStores } from "./memory-stores.ts";
import {
  type Around,
  type PortCall,
  wrapCacheAccess,
  wrapQueue,
  wrapRestoreAccess,
  wrapStores,
} from "./wrapped-stores.ts";

const grant = { expiresMs: 0 };
const cacheAccess: CacheAccess = {
  endpoint: async () => "https://memory.invalid",
  grantCreate: async () => ({ containerUrl: "https://memory.invalid", ...grant }),
};
const restoreAccess: RestoreAccess = { grantRead: async () => ({ url: "https://memory.invalid", ...grant }) };
const queue: WorkQueue = { send: async () => undefined };

/** Calls every method of a port, ignoring errors from the arguments. Addresses alone change nothing anywhere. */
async function callAll(port: object): Promise<readonly string[]> {
  const names = Object.entries(port).flatMap(([name, method]) =>
    typeof method === "function" && name !== "restoredUrl" && name !== "endpoint" ? [name] : [],
  );
  for (const name of names) {
    const method = (port as Readonly<Record<string, (...given: readonly unknown[]) => Promise<unknown>>>)[name];
    await method?.({ itemId: "web", diskId: "os" }, {}, {}, {}, {}).catch(() => undefined);
  }
  return names;
}

it("every call of every port can be struck", async () => {
  const calls: PortCall[] = [];
  const around: Around = async (call) => {
    calls.push(call);
    throw new Error("struck");
  };
  const stores = wrapStores(createMemoryStores({ now: () => 0 }).stores, around);
  const opened = ["cache", "management", "records"];
  const items = Object.fromEntries(Object.entries(stores).filter(([name]) => !opened.includes(name)));
  const ports = [
    items,
    stores.disks,
    stores.snapshots,
    stores.cache("web", 1),
    stores.management("web"),
    stores.records("web"),
    wrapQueue(queue, around),
    wrapCacheAccess(cacheAccess, around),
    wrapRestoreAccess(restoreAccess, around),
  ];
  const methods: string[] = [];
  for (const port of ports) methods.push(...(await callAll(port)));
  expect(calls.map(({ method }) => method)).toEqual(methods);
  expect(methods.length).toBeGreaterThan(30);
});
