import { expect, it } from "vitest";
import { lookMobility } from "../../orchestrations/activities/mobility.ts";
import { protectItem } from "../../replication/items/protect.ts";
import { FLOW_VERSION } from "../../replication/operations/flow-run.ts";
import { readItem } from "../../replication/records/item-record.ts";
import { startOf } from "../../replication/records/streams.ts";
import { recordHeartbeat } from "../../replication/service/heartbeat.ts";
import { registerService } from "../../replication/service/register.ts";
import { removeItem } from "../memory/memory-stores.ts";
import { flowWorld } from "./world.ts";

const ITEM = "web-1";
const DISKS = [{ id: "os", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 }] as const;

it("a service seeds when it speaks of the stream that was opened for it, not of one of an earlier life", async () => {
  const { context } = flowWorld();
  const run = { version: FLOW_VERSION, itemId: ITEM, jobId: "j", flow: "enable-protection" } as const;
  const live = async () => {
    const { registrationToken = "" } = await protectItem(context, { itemId: ITEM, disks: DISKS, policy: undefined });
    expect(await lookMobility(context, run)).toEqual({ registered: false, seeding: false });
    const who = { itemToken: "ab".repeat(32), machineId: "machine", bootId: "boot" };
    await registerService(context, ITEM, { ...who, registrationToken, disks: DISKS });
    return startOf((await readItem(context.stores, ITEM)).item);
  };
  const access = { grantCreate: async () => ({ containerUrl: "https://cache.invalid/c", expiresMs: 0 }) };
  const speak = (start: Awaited<ReturnType<typeof live>>) => {
    const who = { machineId: "machine", bootId: "boot", sessionId: "session" };
    const word = { ...who, sentMs: context.clock.now(), start, uploaded: { ...start, epoch: 7 }, pendingBytes: 0 };
    return recordHeartbeat({ ...context, access }, ITEM, "ab".repeat(32), word);
  };
  const first = await live();
  await removeItem(context.stores, ITEM);
  const second = await live();
  await speak(first);
  expect(await lookMobility(context, run)).toEqual({ registered: true, seeding: false });
  // Not even when the number is the same again, as it is after the whole container was deleted by hand.
  await speak({ ...second, checksum: first.checksum });
  expect(await lookMobility(context, run)).toEqual({ registered: true, seeding: false });
  await speak(second);
  expect(await lookMobility(context, run)).toEqual({ registered: true, seeding: true });
});
