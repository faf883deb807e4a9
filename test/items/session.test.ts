import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { hasCode } from "../../replication/errors.ts";
import { newRegistrationToken } from "../../replication/items/protect.ts";
import { SESSION_LEASE_MS } from "../../replication/limits.ts";
import { HEARTBEAT_RECORD } from "../../replication/names.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { readItem } from "../../replication/records/item-record.ts";
import { readHeartbeat } from "../../replication/service/heartbeat.ts";
import type { HeartbeatRequest } from "../../replication/service/protocol.ts";
import { registerService } from "../../replication/service/register.ts";
import { settleEpoch } from "../../replication/service/settle.ts";
import { killedEverywhere } from "./interrupted.ts";
import {
  DISKS,
  ITEM,
  ITEM_TOKEN,
  START_MS,
  WHO,
  type World,
  applyChain,
  beat,
  deltaChain,
  protectedWorld,
  upload,
  START,
} from "./world.ts";

const OTHER = { sessionId: "another" } as const;
const CLONE = { machineId: "clone", bootId: "its-boot", sessionId: "its-session" } as const;
const taken = { code: "session-taken" };
const everything = async (world: World): Promise<string> =>
  JSON.stringify([
    await readHeartbeat(world.stores, ITEM),
    (await readItem(world.stores, ITEM)).item,
    world.cacheNames(ITEM),
  ]);

describe("the machine of an item", () => {
  it("P1: a clone with the right token is refused, and nothing of the item changes", async () => {
    const world = await protectedWorld();
    await beat(world);
    await upload(world, 1, new Uint8Array(9));
    const before = await everything(world);
    world.pass(2 * SESSION_LEASE_MS);
    await expect(beat(world, CLONE)).rejects.toMatchObject({ code: "machine-mismatch", retryable: false });
    // Not even what it found to be damaged may move: settling needs the session, which a clone never gets.
    const settle = { sessionId: CLONE.sessionId, stream: 1, epoch: 1, checksum: "00".repeat(32) };
    await expect(settleEpoch(world.context, ITEM, ITEM_TOKEN, settle)).rejects.toMatchObject(taken);
    await expect(beat(world, { ...CLONE, nextTokenHash: "ab".repeat(32) })).rejects.toMatchObject({
      code: "machine-mismatch",
    });
    expect(await everything(world)).toBe(before);
    expect(await world.quarantined(ITEM)).toEqual([]);
    await beat(world);
  });

  it("P2: the token that the service knows registers again from its own machine only", async () => {
    const world = await protectedWorld();
    const again = { registrationToken: "used", itemToken: ITEM_TOKEN, machineId: "machine", bootId: "b", disks: DISKS };
    expect(await registerService(world.context, ITEM, again)).toMatchObject({ stream: 1 });
    await expect(registerService(world.context, ITEM, { ...again, machineId: "clone" })).rejects.toMatchObject({
      code: "machine-mismatch",
    });
  });

  it("P3: a new registration token binds the item to the machine that uses it, and ends the session of the machine before", async () => {
    const world = await protectedWorld();
    await beat(world);
    const registrationToken = await newRegistrationToken(world.context, ITEM);
    const request = { registrationToken, itemToken: "cd".repeat(32), machineId: "clone", bootId: "b", disks: DISKS };
    await registerService(world.context, ITEM, request);
    await beat(world, CLONE, request.itemToken);
    await expect(beat(world, {}, request.itemToken)).rejects.toMatchObject({ code: "machine-mismatch" });
    await expect(beat(world)).rejects.toMatchObject({ code: "not-authorized" });
  });

  it("an item that was registered before machines were kept takes any", async () => {
    const world = await protectedWorld();
    const { item } = await readItem(world.stores, ITEM);
    await world.stores.records(ITEM).put("item.json", encodeRecord({ ...item, machineId: undefined }));
    expect(await beat(world, CLONE)).toMatchObject({ stream: 1 });
  });
});

describe("the session of a mobility service", () => {
  it("P4: the first service gets it, keeps it by heartbeats, and everybody else is refused meanwhile, whatever its boot", async () => {
    const world = await protectedWorld();
    const { session } = await beat(world);
    expect(session).toEqual({ sinceMs: START_MS, leaseMs: SESSION_LEASE_MS });
    for (let round = 0; round < 5; round += 1) {
      world.pass(SESSION_LEASE_MS - 1);
      const facts = { leaseLeftMs: 1, bootId: "boot", sinceMs: START_MS };
      await expect(beat(world, OTHER)).rejects.toMatchObject({ ...taken, retryable: true, facts });
      await expect(beat(world, { ...OTHER, bootId: "other-boot" })).rejects.toMatchObject(taken);
      expect((await beat(world)).session.sinceMs).toBe(START_MS);
    }
  });

  it("P4: it is over when nothing was heard for the lease, and then the earlier one is refused", async () => {
    const world = await protectedWorld();
    await beat(world);
    world.pass(SESSION_LEASE_MS);
    expect((await beat(world, OTHER)).session.sinceMs).toBe(START_MS + SESSION_LEASE_MS);
    await expect(beat(world)).rejects.toMatchObject(taken);
  });

  it("P4: a service that nobody followed goes on after any silence", async () => {
    const world = await protectedWorld();
    await beat(world);
    world.pass(100 * SESSION_LEASE_MS);
    expect((await beat(world)).session.sinceMs).toBe(START_MS);
  });

  it("P4: a clock that was set back far does not keep everybody out", async () => {
    const world = await protectedWorld();
    await beat(world);
    world.pass(-10 * SESSION_LEASE_MS);
    expect(await beat(world, OTHER)).toMatchObject({ stream: 1 });
  });

  it("P5: a clean stop ends it at once and for good", async () => {
    const world = await protectedWorld();
    await beat(world);
    await beat(world, { ended: true });
    await beat(world, { ended: true });
    // One that was under way when the service stopped.
    await expect(beat(world)).rejects.toMatchObject(taken);
    world.pass(1);
    await beat(world, OTHER);
    await expect(beat(world, { ended: true })).rejects.toMatchObject(taken);
    expect((await readHeartbeat(world.stores, ITEM))?.session).toMatchObject({ id: OTHER.sessionId, ended: false });
  });

  it("P5: an id that comes back later begins a new session: nobody is kept out for ever", async () => {
    const world = await protectedWorld();
    await beat(world);
    await beat(world, { ended: true });
    world.pass(1);
    expect((await beat(world)).session.sinceMs).toBe(START_MS + 1);
    await beat(world, { ended: true });
    // With a source clock that was set back, when the lease is over.
    await expect(beat(world, { sentMs: 1 })).rejects.toMatchObject({
      ...taken,
      facts: { leaseLeftMs: SESSION_LEASE_MS },
    });
    world.pass(SESSION_LEASE_MS);
    await beat(world, { sentMs: 1 });
  });

  it("P6: of two services that ask at the same moment one gets it", async () => {
    const world = await protectedWorld();
    const asked = await Promise.allSettled(["a", "b", "c", "d"].map((sessionId) => beat(world, { sessionId })));
    expect(asked.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(
      asked.filter((answer) => answer.status === "rejected" && hasCode(answer.reason, "session-taken")),
    ).toHaveLength(3);
  });

  it("P7: only its holder may settle", async () => {
    const world = await protectedWorld();
    const settle = (sessionId: string): Promise<unknown> =>
      settleEpoch(world.context, ITEM, ITEM_TOKEN, { sessionId, stream: 1, epoch: 1, checksum: "00".repeat(32) });
    await expect(settle(WHO.sessionId)).rejects.toMatchObject(taken);
    await beat(world);
    await expect(settle(OTHER.sessionId)).rejects.toMatchObject(taken);
    expect(await settle(WHO.sessionId)).toEqual({ outcome: "again" });
    await beat(world, { ended: true });
    await expect(settle(WHO.sessionId)).rejects.toMatchObject(taken);
  });

  it("P8: a state folder that does not know what the target has applied gets none, and harms nothing", async () => {
    const world = await protectedWorld();
    const chain = deltaChain(3);
    await applyChain(world, chain);
    const start = START;
    const other = deltaChain(3, 9);
    for (const sealed of [start, chain[1]?.end, other[2]?.end]) {
      await expect(beat(world, { sealed })).rejects.toMatchObject({ code: "position-fork" });
    }
    expect(await readHeartbeat(world.stores, ITEM)).toBeUndefined();
    await beat(world, { sealed: chain[2]?.end });
    // The deltas of the holder may be applied before its heartbeat arrives.
    await beat(world, { sealed: chain[1]?.end });
  });

  it("P9: what an earlier session still creates is the same delta, and settles as such; another one is seen and applied by nobody", async () => {
    const world = await protectedWorld();
    const [first] = deltaChain(1);
    await beat(world);
    world.pass(SESSION_LEASE_MS);
    await beat(world, OTHER);
    // Its grant outlives its session. From the same state folder it can bring nothing but the bytes that were sealed
    // before.
    await upload(world, 1, first?.bytes ?? new Uint8Array());
    const settle = (checksum: string): Promise<unknown> =>
      settleEpoch(world.context, ITEM, ITEM_TOKEN, { sessionId: OTHER.sessionId, stream: 1, epoch: 1, checksum });
    expect(await settle(first?.end.checksum ?? "")).toEqual({ outcome: "same" });
    expect(await settle(deltaChain(1, 9)[0]?.end.checksum ?? "")).toEqual({ outcome: "other" });
  });

  it("killed at any await, the same heartbeat again has the session", async () => {
    const kills = await killedEverywhere(
      protectedWorld,
      (world) => world.stores,
      (world, stores) => beat(world, {}, ITEM_TOKEN, stores),
      async (world) => {
        await beat(world);
        await expect(beat(world, OTHER)).rejects.toMatchObject(taken);
      },
    );
    expect(kills).toBeGreaterThan(6);
  });

  property.prop([
    fc.array(
      fc.record({
        who: fc.integer({ min: 0, max: 2 }),
        passMs: fc.nat(SESSION_LEASE_MS * 2),
        ended: fc.boolean(),
        boot: fc.nat(1),
      }),
      { maxLength: 40 },
    ),
  ])("P4 to P6: whatever order, nobody gets a session while its holder was heard within the lease", async (steps) => {
    const world = await protectedWorld();
    let holder: { who: number; heardMs: number } | undefined;
    for (const { who, passMs, ended, boot } of steps) {
      world.pass(passMs);
      const nowMs = world.context.clock.now();
      const request: Partial<HeartbeatRequest> = {
        sessionId: `s${who}`,
        bootId: `b${boot}`,
        ...(ended ? { ended } : {}),
      };
      const granted = await beat(world, request).then(
        () => true,
        () => false,
      );
      if (granted && holder !== undefined && holder.who !== who)
        expect(nowMs - holder.heardMs).toBeGreaterThanOrEqual(SESSION_LEASE_MS);
      if (granted) holder = ended ? undefined : { who, heardMs: nowMs };
    }
  });

  it("a heartbeat costs one read more than its word, and one write", async () => {
    const world = await protectedWorld();
    await beat(world);
    const calls: string[] = [];
    const inner = world.stores.records(ITEM);
    const records = new Proxy(inner, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as (...given: readonly unknown[]) => unknown;
        return (...given: readonly unknown[]) => {
          calls.push(`${String(name)} ${String(given[0])}`);
          return method.apply(target, [...given]);
        };
      },
    });
    await beat(world, {}, ITEM_TOKEN, { ...world.stores, records: () => records });
    expect(calls).toEqual([
      "read item.json",
      "read progress.json",
      `read ${HEARTBEAT_RECORD}`,
      `replace ${HEARTBEAT_RECORD}`,
    ]);
  });
});
