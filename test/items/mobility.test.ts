import { describe, expect, it } from "vitest";
import { encodeDelta } from "../../replication/delta/encode.ts";
import { PROLOGUE_BYTES } from "../../replication/delta/layout.ts";
import { newRegistrationToken, protectItem } from "../../replication/items/protect.ts";
import { readItemStatus } from "../../replication/items/status.ts";
import { SOURCE_CLOCK_AHEAD_MAX_MS } from "../../replication/limits.ts";
import { deltaName, journalName } from "../../replication/names.ts";
import { readItem } from "../../replication/records/item-record.ts";
import type { StopReason } from "../../replication/records/item.ts";
import { type HeartbeatContext, readHeartbeat, recordHeartbeat } from "../../replication/service/heartbeat.ts";
import type { HeartbeatRequest, RegisterRequest } from "../../replication/service/protocol.ts";
import { registerService } from "../../replication/service/register.ts";
import { settleEpoch } from "../../replication/service/settle.ts";
import { authenticateService, matchesHash, tokenHash } from "../../replication/service/tokens.ts";
import { forge } from "../delta/forge.ts";
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
  createWorld,
  deltaChain,
  protectedWorld,
  setProgress,
  upload,
  START,
} from "./world.ts";

async function unregistered(): Promise<{ readonly world: World; readonly request: RegisterRequest }> {
  const world = createWorld();
  const { registrationToken = "" } = await protectItem(world.context, {
    itemId: ITEM,
    disks: DISKS,
    policy: undefined,
  });
  return { world, request: { registrationToken, itemToken: ITEM_TOKEN, machineId: "m", bootId: "b", disks: DISKS } };
}

describe("tokens", () => {
  it("match their own hash only", () => {
    expect(matchesHash("token", tokenHash("token"))).toBe(true);
    expect(matchesHash("token2", tokenHash("token"))).toBe(false);
    expect(matchesHash("", tokenHash("token"))).toBe(false);
    expect(matchesHash("token", undefined)).toBe(false);
    expect(matchesHash("token", "")).toBe(false);
    const hash = tokenHash("token");
    const other = (digit: string | undefined): string => (digit === "0" ? "1" : "0");
    for (const at of hash.split("").keys()) {
      expect(matchesHash("token", `${hash.slice(0, at)}${other(hash[at])}${hash.slice(at + 1)}`)).toBe(false);
    }
    expect(matchesHash("token", hash.slice(0, 63))).toBe(false);
    expect(matchesHash("x".repeat(257), tokenHash("x".repeat(257)))).toBe(false);
  });
});

describe("registering a mobility service", () => {
  it("gives the stream and its start position, and stores the hash of the item token", async () => {
    const { world, request } = await unregistered();
    expect(await registerService(world.context, ITEM, request)).toEqual({
      stream: 1,
      start: START,
      nonce: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    const { item } = await readItem(world.stores, ITEM);
    expect(item.tokenHash).toBe(tokenHash(ITEM_TOKEN));
    expect(item.registrationHash).toBeUndefined();
    expect(await authenticateService(world.context, ITEM, ITEM_TOKEN)).toEqual(item);
  });

  it("rule 10: the same item token again succeeds, another one does not", async () => {
    const { world, request } = await unregistered();
    const first = await registerService(world.context, ITEM, request);
    expect(await registerService(world.context, ITEM, { ...request, disks: DISKS.toReversed() })).toEqual(first);
    const thief = { ...request, itemToken: "cd".repeat(32) };
    await expect(registerService(world.context, ITEM, thief)).rejects.toMatchObject({ code: "not-authorized" });
  });

  it("killed at any await, the same request again succeeds", async () => {
    const kills = await killedEverywhere(
      unregistered,
      ({ world }) => world.stores,
      ({ world, request }, stores) => registerService({ ...world.context, stores }, ITEM, request),
      async ({ world, request }) => {
        await registerService(world.context, ITEM, request);
        await registerService(world.context, ITEM, request);
        expect(await authenticateService(world.context, ITEM, ITEM_TOKEN)).toMatchObject({ itemId: ITEM });
      },
    );
    expect(kills).toBe(4);
  });

  it("a wrong token or other disks use nothing up", async () => {
    const { world, request } = await unregistered();
    await expect(registerService(world.context, ITEM, { ...request, registrationToken: "00" })).rejects.toMatchObject({
      code: "not-authorized",
    });
    const disks = DISKS.map((disk) => ({ ...disk, sizeBytes: disk.sizeBytes + 512 }));
    await expect(registerService(world.context, ITEM, { ...request, disks })).rejects.toMatchObject({
      code: "invalid-request",
      facts: { field: "disks" },
    });
    const itemToken = "short";
    await expect(registerService(world.context, ITEM, { ...request, itemToken })).rejects.toMatchObject({
      facts: { field: "itemToken" },
    });
    await expect(registerService(world.context, "nobody", request)).rejects.toMatchObject({ code: "item-unknown" });
    await expect(registerService(world.context, "../x", request)).rejects.toMatchObject({ code: "item-unknown" });
    expect(await registerService(world.context, ITEM, request)).toMatchObject({ stream: 1 });
  });

  it("a new registration token replaces the service once it is used, not before", async () => {
    const { world, request } = await unregistered();
    await registerService(world.context, ITEM, request);
    const registrationToken = await newRegistrationToken(world.context, ITEM);
    await authenticateService(world.context, ITEM, ITEM_TOKEN);
    const itemToken = "cd".repeat(32);
    await registerService(world.context, ITEM, { ...request, registrationToken, itemToken });
    await expect(authenticateService(world.context, ITEM, ITEM_TOKEN)).rejects.toMatchObject({
      code: "not-authorized",
    });
    await authenticateService(world.context, ITEM, itemToken);
  });
});

describe("heartbeats", () => {
  const uploaded = START;
  const REQUEST: HeartbeatRequest = {
    ...WHO,
    sentMs: START_MS - 5,
    uploaded,
    currentAtMs: START_MS - 5,
    pendingBytes: 7,
  };
  async function listening(): Promise<{
    readonly world: World;
    readonly context: HeartbeatContext;
    readonly granted: string[];
  }> {
    const world = await protectedWorld();
    const granted: string[] = [];
    const access = {
      grantCreate: async (itemId: string) => {
        granted.push(itemId);
        return { containerUrl: "https://cache.invalid/c?sig=secret", expiresMs: START_MS + 1000 };
      },
    };
    return { world, context: { ...world.context, access }, granted };
  }

  it("are recorded with the target's time and answered with an upload grant and the applied position", async () => {
    const { world, context } = await listening();
    await applyChain(world, deltaChain(2));
    const answer = await recordHeartbeat(context, ITEM, ITEM_TOKEN, REQUEST);
    expect(answer).toMatchObject({ stream: 1, applied: { epoch: 2 }, upload: { expiresMs: START_MS + 1000 } });
    expect(answer.intervalMs).toBeGreaterThan(0);
    // A source whose own clock is wrong goes by it.
    expect(answer.nowMs).toBe(START_MS);
    const record = await readHeartbeat(world.stores, ITEM);
    expect(record).toMatchObject({ receivedMs: START_MS, sentMs: START_MS - 5, uploaded, pendingBytes: 7 });
    expect(JSON.stringify(record)).not.toContain("secret");
  });

  it("a heartbeat that was long on its way does not bring the target nearer to the source than it is", async () => {
    const { world, context } = await listening();
    const beat = (delayMs: number) => {
      const sentMs = world.context.clock.now();
      world.pass(delayMs);
      return recordHeartbeat(context, ITEM, ITEM_TOKEN, { ...REQUEST, sentMs, currentAtMs: sentMs });
    };
    const offset = async () => (await readHeartbeat(world.stores, ITEM))?.clockOffsetMs;
    await beat(20);
    world.pass(5_000);
    await beat(30_000);
    expect(await offset()).toBe(20);
    // A clock that was set is believed with the second heartbeat that says so.
    await beat(30_000);
    expect(await offset()).toBe(30_000);
  });

  it("a source clock that is a day ahead tells no times, and its service is heard all the same", async () => {
    const { world, context } = await listening();
    const beatAt = (sentMs: number) =>
      recordHeartbeat(context, ITEM, ITEM_TOKEN, { ...REQUEST, sentMs, currentAtMs: sentMs });
    await beatAt(START_MS + SOURCE_CLOCK_AHEAD_MAX_MS);
    expect((await readHeartbeat(world.stores, ITEM))?.currentAtMs).toBe(START_MS + SOURCE_CLOCK_AHEAD_MAX_MS);
    await beatAt(START_MS + SOURCE_CLOCK_AHEAD_MAX_MS + 1);
    expect((await readHeartbeat(world.stores, ITEM))?.currentAtMs).toBeUndefined();
    expect((await readItemStatus(world.context, ITEM)).healthErrors.map(({ code }) => code)).toContain("clock-skew");
  });

  it("rule 8: nothing is granted or recorded for a wrong token or a malformed heartbeat", async () => {
    const { world, context, granted } = await listening();
    await expect(recordHeartbeat(context, ITEM, "wrong", REQUEST)).rejects.toMatchObject({ code: "not-authorized" });
    await expect(recordHeartbeat(context, "nobody", ITEM_TOKEN, REQUEST)).rejects.toMatchObject({
      code: "item-unknown",
    });
    const bad: readonly (readonly [Partial<HeartbeatRequest>, string])[] = [
      [{ bootId: "" }, "bootId"],
      [{ machineId: "" }, "machineId"],
      [{ sessionId: "x".repeat(129) }, "sessionId"],
      [{ sealed: { ...uploaded, epoch: 0.5 } }, "sealed.epoch"],
      [{ nextTokenHash: "short" }, "nextTokenHash"],
      [{ currentAtMs: START_MS }, "currentAtMs"],
      [{ start: { ...uploaded, checksum: "short" } }, "start.checksum"],
      [{ uploadsStopped: { code: "", message: "" } }, "uploadsStopped.code"],
      [
        { resynchronization: { state: "required", reason: "", doneBytes: 0, totalBytes: 0 } },
        "resynchronization.reason",
      ],
      [
        { resynchronization: { state: "running", reason: "x", doneBytes: -1, totalBytes: 0 } },
        "resynchronization.doneBytes",
      ],
      [{ sentMs: -1 }, "sentMs"],
      [{ sentMs: 253_402_300_800_000 }, "sentMs"],
      [{ currentAtMs: Number.MAX_SAFE_INTEGER }, "currentAtMs"],
      [{ pendingBytes: Number.NaN }, "pendingBytes"],
      [{ currentAtMs: 0.5 }, "currentAtMs"],
      [{ uploaded: { ...uploaded, checksum: "00" } }, "uploaded.checksum"],
      [{ uploaded: { ...uploaded, epoch: 1e12 } }, "uploaded.epoch"],
      [{ sealed: { ...uploaded, stream: 2 ** 32 } }, "sealed.stream"],
      [{ uploaded: { ...uploaded, epoch: -1 } }, "uploaded.epoch"],
      [{ seeding: { doneBytes: 0, totalBytes: -1 } }, "seeding.totalBytes"],
    ];
    for (const [change, field] of bad) {
      await expect(recordHeartbeat(context, ITEM, ITEM_TOKEN, { ...REQUEST, ...change })).rejects.toMatchObject({
        facts: { field },
      });
    }
    expect(granted).toEqual([]);
    expect(await readHeartbeat(world.stores, ITEM)).toBeUndefined();
  });
});

describe("settling an epoch that the cache says to have", () => {
  const { sessionId } = WHO;
  const request = { sessionId, stream: 1, epoch: 1 };
  /** A service that has the session. */
  const inSession = async (): Promise<World> => {
    const world = await protectedWorld();
    await beat(world);
    return world;
  };
  const chain = deltaChain(3);
  const other = deltaChain(3, 100);
  const ask = (world: World, epoch: number, made = chain): Promise<unknown> =>
    settleEpoch(world.context, ITEM, ITEM_TOKEN, {
      sessionId,
      stream: 1,
      epoch,
      checksum: made[epoch - 1]?.end.checksum ?? "",
    });

  it("the same delta in the cache counts as uploaded, one with other content does not", async () => {
    const world = await inSession();
    await upload(world, 1, chain[0]?.bytes ?? new Uint8Array());
    expect(await ask(world, 1)).toEqual({ outcome: "same" });
    expect(await ask(world, 1, other)).toEqual({ outcome: "other" });
    expect(world.cacheNames(ITEM)).toHaveLength(1);
  });

  it("the journal and the applied position answer for deltas that the cache has no more", async () => {
    const world = await inSession();
    await applyChain(world, chain);
    for (const epoch of [1, 2, 3]) {
      expect(await ask(world, epoch)).toEqual({ outcome: "same" });
      expect(await ask(world, epoch, other)).toEqual({ outcome: "other" });
    }
  });

  it("the journal decides, whatever stands in the cache by now", async () => {
    const world = await inSession();
    await applyChain(world, chain);
    await upload(world, 1, other[0]?.bytes ?? new Uint8Array());
    expect(await ask(world, 1)).toEqual({ outcome: "same" });
    expect(await ask(world, 1, other)).toEqual({ outcome: "other" });
  });

  it("a damaged entry of the journal decides nothing: the cache's delta does", async () => {
    const world = await inSession();
    await upload(world, 1, chain[0]?.bytes ?? new Uint8Array());
    const damaged = (chain[0]?.bytes ?? new Uint8Array()).map((byte, at) => (at === 200 ? byte ^ 1 : byte));
    await world.stores.records(ITEM).put(journalName(1, 1), damaged);
    expect(await ask(world, 1)).toEqual({ outcome: "same" });
    expect(await ask(world, 1, other)).toEqual({ outcome: "other" });
  });

  it("rule 5: nothing there means send again, and so does what can never be applied, which is quarantined and not lost", async () => {
    const world = await inSession();
    expect(await ask(world, 1)).toEqual({ outcome: "again" });
    const damaged = (chain[0]?.bytes ?? new Uint8Array()).slice();
    damaged[200] = (damaged[200] ?? 0) ^ 1;
    const foreign = deltaChain(1, 1, "vm-2")[0]?.bytes ?? new Uint8Array();
    const wrongEpoch = chain[1]?.bytes ?? new Uint8Array();
    // Its tables, and so its position, are those of the service's own delta.
    const forged = forge(chain[0]?.bytes ?? new Uint8Array(), (view) =>
      view.setUint8(PROLOGUE_BYTES, view.getUint8(PROLOGUE_BYTES) ^ 1),
    );
    const unusable = [damaged, foreign, wrongEpoch, forged, new Uint8Array(0)];
    for (const bytes of unusable) {
      await upload(world, 1, bytes);
      expect(await ask(world, 1)).toEqual({ outcome: "again" });
      expect(world.cacheNames(ITEM)).toEqual([]);
    }
    expect(await world.quarantined(ITEM)).toEqual(unusable);
  });

  it("refuses a wrong token, another stream and malformed requests", async () => {
    const world = await inSession();
    const request = { sessionId, stream: 1, epoch: 1, checksum: "00".repeat(32) };
    const settle = (change: object, token = ITEM_TOKEN): Promise<unknown> =>
      settleEpoch(world.context, ITEM, token, { ...request, ...change });
    await expect(settle({}, "wrong")).rejects.toMatchObject({ code: "not-authorized" });
    await expect(settle({ stream: 2 })).rejects.toMatchObject({ code: "stream-closed" });
    await expect(settle({ epoch: 0 })).rejects.toMatchObject({ facts: { field: "epoch" } });
    await expect(settle({ checksum: "x" })).rejects.toMatchObject({ facts: { field: "checksum" } });
  });

  it("killed at any await, asking again gives the same answer", async () => {
    const kills = await killedEverywhere(
      async () => {
        const world = await inSession();
        await upload(world, 1, new Uint8Array(9));
        return world;
      },
      (world) => world.stores,
      (world, stores) =>
        settleEpoch({ ...world.context, stores }, ITEM, ITEM_TOKEN, { ...request, checksum: "00".repeat(32) }),
      async (world) => {
        expect(await ask(world, 1)).toEqual({ outcome: "again" });
        await upload(world, 1, chain[0]?.bytes ?? new Uint8Array());
        expect(await ask(world, 1)).toEqual({ outcome: "same" });
        expect(await world.quarantined(ITEM)).toHaveLength(1);
      },
    );
    expect(kills).toBeGreaterThan(6);
  });

  it("a final, application-consistent delta is one like any other", async () => {
    const world = await inSession();
    const flags = { consistency: "application", seeding: false, final: true, groupMark: false } as const;
    const start = START;
    const header = { itemId: ITEM, stream: 1, epoch: 1, firstWriteMs: 1, lastWriteMs: 1, start, disks: DISKS, flags };
    const { bytes, end } = encodeDelta(header, []);
    await world.stores.cache(ITEM, 1).create(deltaName(1, 1), bytes);
    expect(await settleEpoch(world.context, ITEM, ITEM_TOKEN, { ...request, checksum: end.checksum })).toEqual({
      outcome: "same",
    });
  });
});

describe("a target that stands still for want of one delta", () => {
  const stopped = (code: string, facts = {}): StopReason => ({ code, message: code, hint: "", facts, atMs: START_MS });
  const asked = async (reason: StopReason | undefined): Promise<unknown> => {
    const world = await protectedWorld();
    await applyChain(world, deltaChain(2));
    await setProgress(world, { stopped: reason });
    return (await beat(world)).resend;
  };

  it.each(["position-gap", "delta-corrupt", "delta-foreign", "delta-too-large"])(
    "asks for it again after %s",
    async (code) => {
      expect(await asked(stopped(code))).toEqual({ epoch: 3 });
      expect(await asked(stopped(code, { epoch: 5 }))).toEqual({ epoch: 5 });
      expect(await asked(stopped(code, { epoch: 2 }))).toEqual({ epoch: 3 });
    },
  );

  it("asks for nothing when it goes on, or when another delta would not help", async () => {
    for (const reason of [
      undefined,
      stopped("position-fork"),
      stopped("delta-unsupported"),
      stopped("record-corrupt"),
    ]) {
      expect(await asked(reason)).toBeUndefined();
    }
  });
});
