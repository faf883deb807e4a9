import { describe, expect, it } from "vitest";
import { type ProtectRequest, newRegistrationToken, protectItem } from "../../replication/items/protect.ts";
import { DISK_MAX_BYTES } from "../../replication/limits.ts";
import { ITEM_RECORD } from "../../replication/names.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { findItem, readItem } from "../../replication/records/item-record.ts";
import { DEFAULT_POLICY } from "../../replication/records/policy.ts";
import { orderedDisks } from "../../replication/records/request-rules.ts";
import { startOf } from "../../replication/records/streams.ts";
import { vhdChecksum } from "../../replication/records/vhd-footer.ts";
import { matchesHash } from "../../replication/service/tokens.ts";
import { removeItem } from "../memory/memory-stores.ts";
import { killedEverywhere } from "./interrupted.ts";
import { DISKS, HOUR_MS, ITEM, createWorld, progressOf, START } from "./world.ts";

const REQUEST: ProtectRequest = { itemId: ITEM, disks: DISKS, policy: undefined };
const MIB = 1024 * 1024;

describe("protecting a virtual machine", () => {
  it("makes empty target disks that are fixed VHDs from the start, progress, and at last the item", async () => {
    const world = createWorld();
    const { item, registrationToken } = await protectItem(world.context, REQUEST);
    expect(item).toMatchObject({ itemId: ITEM, stream: 1, disks: DISKS, policy: DEFAULT_POLICY });
    expect((await readItem(world.stores, ITEM)).item).toEqual(item);
    expect(matchesHash(registrationToken ?? "", item.registrationHash)).toBe(true);
    expect(await progressOf(world)).toMatchObject({ generation: 0, applied: START, seeding: true });
    for (const disk of DISKS) {
      const content = world.memory.content({ itemId: ITEM, stream: 1, diskId: disk.id });
      expect(content.length).toBe(MIB + 512);
      expect(content.subarray(0, MIB).every((byte) => byte === 0)).toBe(true);
      const footer = content.subarray(MIB);
      expect(Buffer.from(footer.subarray(0, 8)).toString()).toBe("conectix");
      expect(new DataView(footer.buffer, footer.byteOffset).getUint32(64)).toBe(vhdChecksum(footer));
      expect(new DataView(footer.buffer, footer.byteOffset).getBigUint64(48)).toBe(BigInt(MIB));
    }
  });

  it("rule 8: stores the hash of the token, never the token", async () => {
    const world = createWorld();
    const { registrationToken = "" } = await protectItem(world.context, REQUEST);
    expect(registrationToken.length).toBeGreaterThanOrEqual(64);
    for (const name of world.recordNames(ITEM)) {
      const stored = await world.stores.records(ITEM).read(name);
      expect(Buffer.from(stored?.bytes ?? []).toString()).not.toContain(registrationToken);
    }
  });

  it("rule 10: the same disks again give the existing item without a token, in whatever order they come", async () => {
    const world = createWorld();
    const first = await protectItem(world.context, REQUEST);
    const again = await protectItem(world.context, { ...REQUEST, disks: DISKS.toReversed() });
    expect(again).toEqual({ item: first.item, registrationToken: undefined });
  });

  it("rule 10: the record of an earlier life that lands late is no item, before the look and after it", async () => {
    const world = createWorld();
    const { item: ghost } = await protectItem(world.context, REQUEST);
    await removeItem(world.stores, ITEM);
    await world.stores.records(ITEM).create(ITEM_RECORD, encodeRecord(ghost));
    const second = await protectItem(world.context, REQUEST);
    expect([second.item.stream, second.registrationToken]).toEqual([ghost.stream + 1, expect.any(String)]);
    expect((await readItem(world.stores, ITEM)).item).toEqual(second.item);
    expect((await progressOf(world)).stream).toBe(second.item.stream);

    await removeItem(world.stores, ITEM);
    let isLate = true;
    const inner = world.stores;
    const stores: typeof inner = {
      ...inner,
      records: (itemId) => ({
        ...inner.records(itemId),
        create: async (name, bytes) => {
          if (name === ITEM_RECORD && isLate) await inner.records(itemId).create(ITEM_RECORD, encodeRecord(ghost));
          isLate &&= name !== ITEM_RECORD;
          return inner.records(itemId).create(name, bytes);
        },
      }),
    };
    const third = await protectItem({ ...world.context, stores }, REQUEST);
    expect(third.item.stream).toBeGreaterThan(second.item.stream);
    expect((await readItem(inner, ITEM)).item).toEqual(third.item);
  });

  it("takes over a changed policy of an existing item, and keeps it when none is named", async () => {
    const world = createWorld();
    await protectItem(world.context, REQUEST);
    const policy = { pointIntervalMs: 60_000, retentionMs: 0 };
    expect((await protectItem(world.context, { ...REQUEST, policy })).item.policy).toEqual(policy);
    expect((await protectItem(world.context, REQUEST)).item.policy).toEqual(policy);
  });

  it("refuses other disks under the name of an existing item", async () => {
    const world = createWorld();
    await protectItem(world.context, REQUEST);
    const disks = DISKS.map((disk) => ({ ...disk, sizeBytes: disk.sizeBytes - 4096 }));
    await expect(protectItem(world.context, { ...REQUEST, disks })).rejects.toMatchObject({ code: "item-exists" });
  });

  it("rule 4: killed at any await, the same request again makes the whole item, and one with other disks changes none", async () => {
    const kills = await killedEverywhere(
      async () => createWorld(),
      (world) => world.stores,
      (world, stores) => protectItem({ ...world.context, stores }, REQUEST),
      async (world) => {
        const existed = (await findItem(world.stores, ITEM)) !== undefined;
        const answer = await protectItem(world.context, REQUEST);
        expect(answer.registrationToken === undefined).toBe(existed);
        const disks = [{ id: "other", sizeBytes: 4096, sectorSizeBytes: 512 as const }];
        await expect(protectItem(world.context, { ...REQUEST, disks })).rejects.toMatchObject({ code: "item-exists" });
        expect(await protectItem(world.context, REQUEST)).toEqual({ item: answer.item, registrationToken: undefined });
        const { stream } = answer.item;
        expect((await progressOf(world)).applied).toEqual(startOf(answer.item));
        for (const disk of DISKS) {
          const content = world.memory.content({ itemId: ITEM, stream, diskId: disk.id });
          expect(Buffer.from(content.subarray(MIB, MIB + 8)).toString()).toBe("conectix");
        }
      },
    );
    expect(kills).toBeGreaterThan(10);
  });

  it("rule 3: a second request never touches the disks of the first", async () => {
    const world = createWorld();
    await protectItem(world.context, REQUEST);
    await world.stores.records(ITEM).remove(ITEM_RECORD);
    const disk = { itemId: ITEM, stream: 1, diskId: "os" };
    const before = await world.stores.disks.properties(disk);
    const { item } = await protectItem(world.context, REQUEST);
    expect(item.stream).toBe(2);
    expect(await world.stores.disks.properties(disk)).toEqual(before);
  });

  it("rule 6: an item record that names another item is none, whatever its place says", async () => {
    const world = createWorld();
    const { item } = await protectItem(world.context, REQUEST);
    await world.stores.records(ITEM).put(ITEM_RECORD, encodeRecord({ ...item, itemId: "db" }));
    await expect(readItem(world.stores, ITEM)).rejects.toMatchObject({
      code: "record-corrupt",
      facts: { field: "itemId" },
    });
  });

  it("mints a new registration token, which ends the one before", async () => {
    const world = createWorld();
    const { registrationToken = "" } = await protectItem(world.context, REQUEST);
    const token = await newRegistrationToken(world.context, ITEM);
    const { item } = await readItem(world.stores, ITEM);
    expect(token).not.toBe(registrationToken);
    expect(matchesHash(token, item.registrationHash)).toBe(true);
    expect(matchesHash(registrationToken, item.registrationHash)).toBe(false);
    await expect(newRegistrationToken(world.context, "nobody")).rejects.toMatchObject({ code: "item-unknown" });
  });
});

describe("a request that cannot be protected names its field", () => {
  const disk = { id: "os", sizeBytes: MIB, sectorSizeBytes: 512 as const };
  const policy = { pointIntervalMs: 1000, retentionMs: 0 };
  const bad: readonly (readonly [string, ProtectRequest, string, string])[] = [
    ["upper case", { ...REQUEST, itemId: "VM" }, "invalid-request", "itemId"],
    ["a path as item", { ...REQUEST, itemId: "../vm" }, "invalid-request", "itemId"],
    ["no disk", { ...REQUEST, disks: [] }, "invalid-request", "disks"],
    [
      "66 disks",
      { ...REQUEST, disks: Array.from({ length: 66 }, (_, at) => ({ ...disk, id: `d${at}` })) },
      "invalid-request",
      "disks",
    ],
    ["a disk twice", { ...REQUEST, disks: [disk, { ...disk, id: "OS" }] }, "invalid-request", "disks"],
    ["a path as disk", { ...REQUEST, disks: [{ ...disk, id: "../os" }] }, "invalid-request", "disks[0].id"],
    ["half a sector", { ...REQUEST, disks: [{ ...disk, sizeBytes: MIB + 256 }] }, "disk-invalid", "disks[0].sizeBytes"],
    [
      "half a 4 KiB sector",
      { ...REQUEST, disks: [{ ...disk, sizeBytes: MIB + 512, sectorSizeBytes: 4096 }] },
      "disk-invalid",
      "disks[0].sizeBytes",
    ],
    ["an empty disk", { ...REQUEST, disks: [{ ...disk, sizeBytes: 0 }] }, "disk-invalid", "disks[0].sizeBytes"],
    [
      "above 8 TiB - 1 MiB",
      { ...REQUEST, disks: [disk, { ...disk, id: "big", sizeBytes: DISK_MAX_BYTES + 512 }] },
      "disk-invalid",
      "disks[1].sizeBytes",
    ],
    [
      "points below a second",
      { ...REQUEST, policy: { ...policy, pointIntervalMs: 999 } },
      "invalid-request",
      "policy.pointIntervalMs",
    ],
    [
      "points beyond a day",
      { ...REQUEST, policy: { ...policy, pointIntervalMs: 25 * HOUR_MS } },
      "invalid-request",
      "policy.pointIntervalMs",
    ],
    [
      "16 days",
      { ...REQUEST, policy: { ...policy, retentionMs: 16 * 24 * HOUR_MS } },
      "invalid-request",
      "policy.retentionMs",
    ],
    [
      "half a millisecond",
      { ...REQUEST, policy: { ...policy, retentionMs: 0.5 } },
      "invalid-request",
      "policy.retentionMs",
    ],
  ];

  it.each(bad)("%s", async (_what, request, code, field) => {
    const world = createWorld();
    await expect(protectItem(world.context, request)).rejects.toMatchObject({ code, facts: { field } });
    await expect(protectItem(world.context, request)).rejects.toThrow(field);
    expect(await world.stores.listItems(10)).toEqual([]);
  });

  it("the largest disk is allowed by the rules", () => {
    expect(orderedDisks([{ ...disk, sizeBytes: DISK_MAX_BYTES }])).toHaveLength(1);
  });
});
