import { describe, expect, it } from "vitest";
import { applyHints } from "../../functions/queues/apply-hints.ts";
import { restoreSlices } from "../../functions/queues/restore-slices.ts";
import { heartbeatMobility, registerMobility, settleMobility } from "../../functions/routes/mobility.ts";
import {
  listItems,
  newRegistrationToken,
  protectItem,
  repairReplication,
  rotateToken,
  showItem,
} from "../../functions/routes/protected-items.ts";
import { listRecoveryPoints, newRecoveryPoint } from "../../functions/routes/recovery-points.ts";
import {
  deleteRestore,
  grantRestoreAccess,
  restoreRecoveryPoint,
  showRestore,
} from "../../functions/routes/restores.ts";
import { ensureManaged } from "../../replication/jobs/managed-item.ts";
import { RESTORES_MAX_COUNT, RESTORE_KEPT_MS, RESTORE_SETTLE_MS } from "../../replication/limits.ts";
import { deltaName } from "../../replication/names.ts";
import type { DiskDescription, Position } from "../../replication/position.ts";
import { type AppInMemory, appInMemory, call, deliver, deltaOf, ticketed } from "./app-under-test.ts";

const DISKS: readonly DiskDescription[] = [
  { id: "data", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 },
  { id: "os", sizeBytes: 2 * 1024 * 1024, sectorSizeBytes: 512 },
];
const ITEM_TOKEN = "ab".repeat(32);
const web = { item: "web-1" };
const WHO = { machineId: "machine", bootId: "boot", sessionId: "session" } as const;
const bearer = { authorization: `Bearer ${await ticketed("web-1", ITEM_TOKEN)}` };

interface Registered {
  readonly app: AppInMemory;
  readonly start: Position;
}

async function registered(): Promise<Registered> {
  const app = appInMemory();
  const { body } = await call(protectItem(app.source), { params: web, body: { disks: DISKS } });
  const { registrationToken } = body as { registrationToken: string };
  const answer = await call(registerMobility(app.source), {
    params: web,
    body: { registrationToken, itemToken: ITEM_TOKEN, machineId: "machine", bootId: "boot", disks: DISKS },
  });
  expect(answer.status).toBe(200);
  return { app, start: (answer.body as { start: Position }).start };
}

/** Uploads one epoch, applies it, and gives its end. */
async function replicate({ app, start }: Registered, value: number): Promise<Position> {
  const { clock } = app.source();
  const delta = deltaOf(
    "web-1",
    start,
    DISKS,
    [
      { disk: 0, page: 3, value },
      { disk: 1, page: 4, value },
    ],
    clock.now(),
  );
  await app.stores.cache("web-1", 1).create(deltaName(delta.end.stream, delta.end.epoch), delta.bytes);
  const beat = { ...WHO, sentMs: clock.now(), uploaded: delta.end, pendingBytes: 0 };
  expect((await call(heartbeatMobility(app.source), { params: web, headers: bearer, body: beat })).status).toBe(200);
  await deliver(applyHints(app.source), { kind: "hint", itemId: "web-1" });
  return delta.end;
}

describe("enabling replication", () => {
  it("answers 201 with a token once, 200 without it for the same disks, 409 for others", async () => {
    const app = appInMemory();
    const first = await call(protectItem(app.source), { params: web, body: { disks: DISKS } });
    expect(first).toMatchObject({
      status: 201,
      body: {
        name: "web-1",
        stream: 1,
        policy: {
          crashConsistentFrequencyInMinutes: 5,
          appConsistentFrequencyInMinutes: 0,
          recoveryPointHistory: 1440,
        },
      },
      headers: { "cache-control": "no-store" },
    });
    expect(first.body).toHaveProperty("registrationToken");
    const again = await call(protectItem(app.source), { params: web, body: { disks: DISKS } });
    expect(again.status).toBe(200);
    expect(again.body).not.toHaveProperty("registrationToken");
    // Rule 8: not even their hashes.
    for (const shown of [first, again]) expect(JSON.stringify(shown.body)).not.toMatch(/hash|nonce/i);
    const other = await call(protectItem(app.source), { params: web, body: { disks: DISKS.slice(1) } });
    expect(other).toMatchObject({ status: 409, body: { error: { code: "item-exists" } } });
  });

  it("does not protect a virtual machine by its disks, and repairs none that is failing over", async () => {
    const { app } = await registered();
    const failover = { state: "FailoverInProgress", activeLocation: "Primary", failover: "Unplanned" } as const;
    await ensureManaged(app.stores, {
      version: 1,
      itemId: "web-1",
      situation: { ...failover, job: { jobId: "0".repeat(32), flow: "unplanned-failover" } },
      running: undefined,
      sourceVmId: "/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1",
      options: { targetRegion: "northeurope" },
      policy: undefined,
      plan: undefined,
    });
    const byDisks = await call(protectItem(app.source), { params: web, body: { disks: DISKS } });
    expect(byDisks).toMatchObject({ status: 409, body: { error: { code: "item-exists" } } });
    const repair = await call(repairReplication(app.source), { params: web });
    expect(repair).toMatchObject({ status: 409, body: { error: { code: "operation-not-allowed" } } });
  });

  it("takes a policy in minutes, parts of one too", async () => {
    const app = appInMemory();
    const policy = {
      crashConsistentFrequencyInMinutes: 0.1,
      appConsistentFrequencyInMinutes: 60,
      recoveryPointHistory: 120,
    };
    const { body } = await call(protectItem(app.source), { params: web, body: { disks: DISKS, policy } });
    expect(body).toMatchObject({ policy });
    const shown = await call(showItem(app.source), { params: web });
    expect(shown.body).toMatchObject({ policy });
  });

  it.each([
    ["no body", { text: "" }, /has none/],
    ["text that is no JSON", { text: "{secret" }, /^(?!.*secret).*not valid JSON/],
    ["no disks", { body: {} }, /disks: /],
    ["an unknown option", { body: { disks: DISKS, polcy: {} } }, /polcy/],
    ["a size that is text", { body: { disks: [{ id: "os", sizeBytes: "1" }] } }, /disks\.0\.sizeBytes/],
    ["a body that is too long", { text: `"${"x".repeat(65_536)}"` }, /at most 65536 bytes/],
    [
      "more disks than a VM has",
      { body: { disks: Array.from({ length: 66 }, (_, index) => ({ ...DISKS[0], id: `d${index}` })) } },
      /disks: /,
    ],
  ])("refuses %s and names what is wrong", async (_name, request, message) => {
    const app = appInMemory();
    const answer = await call(protectItem(app.source), { params: web, ...request });
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { code: "invalid-request", message: expect.stringMatching(message) } },
    });
    expect(await app.stores.listItems(10)).toEqual([]);
  });

  it("refuses a disk that cannot be replicated, and a name that cannot be an item's", async () => {
    const app = appInMemory();
    const odd = await call(protectItem(app.source), { params: web, body: { disks: [{ id: "os", sizeBytes: 1000 }] } });
    expect(odd).toMatchObject({ status: 400, body: { error: { code: "disk-invalid" } } });
    const named = await call(protectItem(app.source), { params: { item: "Web_1" }, body: { disks: DISKS } });
    expect(named).toMatchObject({ status: 400, body: { error: { code: "invalid-request" } } });
  });
});

describe("the mobility service's routes", () => {
  it("a token registers one service; a second one needs a new token, which ends the first", async () => {
    const { app } = await registered();
    const { body } = await call(newRegistrationToken(app.source), { params: web });
    const { registrationToken } = body as { registrationToken: string };
    const request = { itemToken: "cd".repeat(32), machineId: "m", bootId: "b", disks: DISKS };
    const wrong = await call(registerMobility(app.source), {
      params: web,
      body: { ...request, registrationToken: "guess" },
    });
    expect(wrong).toMatchObject({ status: 401, body: { error: { code: "not-authorized" } } });
    const right = await call(registerMobility(app.source), { params: web, body: { ...request, registrationToken } });
    expect(right.status).toBe(200);
    const old = await call(settleMobility(app.source), {
      params: web,
      headers: bearer,
      body: { sessionId: "session", stream: 1, epoch: 1, checksum: "0".repeat(64) },
    });
    expect(old.status).toBe(401);
  });

  it("rule 8: a heartbeat needs the item's token, and only its answer carries the grant", async () => {
    const { app, start } = await registered();
    const beat = { ...WHO, sentMs: 1, uploaded: start, pendingBytes: 0 };
    for (const headers of [{}, { authorization: "Bearer guess" }, { authorization: `Basic ${ITEM_TOKEN}` }]) {
      const refused = await call(heartbeatMobility(app.source), { params: web, headers, body: beat });
      expect(refused).toMatchObject({ status: 401, body: { error: { code: "not-authorized" } } });
      expect(JSON.stringify(refused)).not.toContain("GRANT");
    }
    const answer = await call(heartbeatMobility(app.source), { params: web, headers: bearer, body: beat });
    expect(answer).toMatchObject({
      status: 200,
      body: { stream: 1, applied: start, upload: { containerUrl: "https://cache/web-1?sig=GRANT" } },
    });
    expect(answer.lines).toEqual([]);
  });

  it("takes fields that a newer service may send", async () => {
    const { app, start } = await registered();
    const body = { ...WHO, sentMs: 1, uploaded: start, pendingBytes: 0, mood: "fine" };
    expect((await call(heartbeatMobility(app.source), { params: web, headers: bearer, body })).status).toBe(200);
  });

  it("settles an epoch that the cache has already", async () => {
    const world = await registered();
    const end = await replicate(world, 7);
    const settle = (checksum: string): ReturnType<typeof call> =>
      call(settleMobility(world.app.source), {
        params: web,
        headers: bearer,
        body: { sessionId: "session", stream: 1, epoch: 1, checksum },
      });
    expect(await settle(end.checksum)).toMatchObject({ status: 200, body: { outcome: "same" } });
    expect(await settle("0".repeat(64))).toMatchObject({ status: 200, body: { outcome: "other" } });
  });

  it("a clone is refused with 409 and what to do, and so is a second service", async () => {
    const { app, start } = await registered();
    const send = (who: object): ReturnType<typeof call> =>
      call(heartbeatMobility(app.source), {
        params: web,
        headers: bearer,
        body: { ...who, sentMs: 1, uploaded: start, pendingBytes: 0 },
      });
    expect((await send(WHO)).status).toBe(200);
    const clone = await send({ ...WHO, machineId: "clone" });
    expect(clone).toMatchObject({
      status: 409,
      body: { error: { code: "machine-mismatch", hint: expect.stringContaining("clone") } },
    });
    const second = await send({ ...WHO, sessionId: "second" });
    expect(second).toMatchObject({
      status: 409,
      body: { error: { code: "session-taken", facts: { leaseLeftMs: 60_000 } } },
    });
    for (const refused of [clone, second]) expect(JSON.stringify(refused)).not.toContain("GRANT");
  });

  it("carries what an operator wants to the service: a repair, an app-consistent point, another token", async () => {
    const world = await registered();
    const { app } = world;
    await replicate(world, 7);
    const headers = { "x-ms-client-request-id": "one" };
    const point = await call(newRecoveryPoint(app.source), {
      params: web,
      headers,
      body: { recoveryPointType: "ApplicationConsistent" },
    });
    expect(point).toMatchObject({ status: 202, body: { recoveryPointType: "ApplicationConsistent" } });
    const wrong = await call(newRecoveryPoint(app.source), {
      params: web,
      body: { recoveryPointType: "CrashConsistent" },
    });
    expect(wrong).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining("come by policy") } },
    });
    expect((await call(rotateToken(app.source), { params: web })).status).toBe(202);
    const { name: pointId } = point.body as { readonly name: string };
    const beat = { ...WHO, sentMs: 1, uploaded: world.start, pendingBytes: 0 };
    const speak = async (changes: object): Promise<unknown> =>
      (await call(heartbeatMobility(app.source), { params: web, headers: bearer, body: { ...beat, ...changes } })).body;
    expect(await speak({})).toMatchObject({
      consistency: { requestId: pointId },
      rotation: "wanted",
      stream: 1,
      start: world.start,
    });
    await speak({ consistency: { requestId: pointId, state: "failed", reason: "no script is configured" } });

    const repair = await call(repairReplication(app.source), { params: web, headers });
    expect(repair).toMatchObject({
      status: 202,
      headers: { location: "/api/replicationProtectedItems/web-1" },
      body: { state: "Pending" },
    });
    expect((await call(repairReplication(app.source), { params: web, headers })).body).toEqual(repair.body);
    expect((await call(repairReplication(app.source), { params: web })).status).toBe(409);
    const { start } = (await speak({ start: world.start })) as { readonly start: Position };
    expect(start).toMatchObject({ stream: 2, epoch: 0 });
    await speak({ start, uploaded: start });
    expect((await call(showItem(app.source), { params: web })).body).toMatchObject({
      repair: { name: (repair.body as { readonly name: string }).name, state: "InProgress" },
      appConsistentPoint: { name: pointId, state: "Failed", reason: "no script is configured" },
      resyncRequired: false,
      session: { machineId: "machine", bootId: "boot", ended: false },
    });
  });

  it("an item that does not exist is 404 for every operator", async () => {
    const { source } = appInMemory();
    const routes = [showItem(source), newRegistrationToken(source), listRecoveryPoints(source)];
    for (const item of ["unknown", "../escape", "UPPER", ""]) {
      for (const route of routes) {
        const answer = await call(route, { params: { item }, headers: bearer });
        expect(answer).toMatchObject({ status: 404, body: { error: { code: "item-unknown" } } });
      }
    }
  });
});

describe("status, recovery points and restores", () => {
  it("shows items in Site Recovery's words, with times as text and without a secret", async () => {
    const world = await registered();
    await replicate(world, 7);
    const { body } = await call(showItem(world.app.source), { params: web });
    expect(body).toMatchObject({
      name: "web-1",
      protectionState: "Protected",
      replicationHealth: "Normal",
      applied: { stream: 1, epoch: 1 },
      lastHeartbeat: "2026-11-22T12:00:00.000Z",
      created: "2026-11-22T12:00:00.000Z",
      lastRecoveryPoint: { recoveryPointTime: "2026-11-22T12:00:00.000Z", epoch: 1 },
    });
    expect(JSON.stringify(body)).not.toMatch(/token|hash|Ms":/i);
    const list = await call(listItems(world.app.source), {});
    expect(list.body).toEqual({ value: [body] });
  });

  it("lists items in pages", async () => {
    const app = appInMemory();
    for (const item of ["b", "a", "c"])
      await call(protectItem(app.source), { params: { item }, body: { disks: DISKS } });
    const names = async (query: Record<string, string>): Promise<unknown> =>
      ((await call(listItems(app.source), { query })).body as { value: { name: string }[] }).value.map(
        ({ name }) => name,
      );
    expect(await names({})).toEqual(["a", "b", "c"]);
    expect(await names({ after: "a" })).toEqual(["b", "c"]);
  });

  it("restores a point: 202 with a place to ask, worked off by messages, then granted", async () => {
    const world = await registered();
    const { app } = world;
    await replicate(world, 7);
    const points = (await call(listRecoveryPoints(app.source), { params: web })).body as { value: { name: string }[] };
    expect(points.value).toHaveLength(1);
    expect(points.value[0]).toMatchObject({ recoveryPointType: "CrashConsistent", position: { epoch: 1 } });
    const point = points.value[0]?.name ?? "";

    const headers = { "x-ms-client-request-id": "request-1" };
    const begin = (): ReturnType<typeof call> =>
      call(restoreRecoveryPoint(app.source), { params: { ...web, point }, headers });
    const begun = await begin();
    expect(begun.status).toBe(202);
    const { name: restore } = begun.body as { name: string };
    expect(begun.headers["location"]).toBe(`/api/replicationProtectedItems/web-1/restores/${restore}`);
    expect((await begin()).headers["location"]).toBe(begun.headers["location"]);
    const params = { ...web, restore };
    expect(await call(grantRestoreAccess(app.source), { params })).toMatchObject({
      status: 409,
      body: { error: { code: "conflict" } },
    });

    // Delivered as long as the handler puts messages back, as the host does.
    const work = restoreSlices(app.source);
    for (let message = app.sent.shift(); message !== undefined; message = app.sent.shift())
      await deliver(work, message.message);
    const shown = await call(showRestore(app.source), { params });
    expect(shown).toMatchObject({
      status: 200,
      body: { state: "Succeeded", percentComplete: 100, recoveryPoint: point },
    });

    const granted = await call(grantRestoreAccess(app.source), { params });
    expect(granted).toMatchObject({ status: 200, body: { value: [{ id: "data" }, { id: "os" }] } });
    const bytes = app.memory.restoredContent({ itemId: "web-1", restoreId: restore, diskId: "os" });
    expect([bytes?.[4 * 512 - 1], bytes?.[4 * 512], bytes?.[5 * 512 - 1], bytes?.[5 * 512]]).toEqual([0, 7, 7, 0]);
  });

  it("deletes a restore: its blobs at once, its record when nothing can come late, and a message that comes after it is no fault", async () => {
    const world = await registered();
    const { app } = world;
    await replicate(world, 7);
    const points = (await call(listRecoveryPoints(app.source), { params: web })).body as { value: { name: string }[] };
    const params = { ...web, point: points.value[0]?.name ?? "" };
    const { name: restore } = (await call(restoreRecoveryPoint(app.source), { params })).body as { name: string };
    const work = restoreSlices(app.source);
    for (let message = app.sent.shift(); message !== undefined; message = app.sent.shift())
      await deliver(work, message.message);
    const shown = await call(showRestore(app.source), { params: { ...web, restore } });
    const { expires, updated } = shown.body as { expires: string; updated: string };
    expect(Date.parse(expires) - Date.parse(updated)).toBe(RESTORE_KEPT_MS);
    const remove = (): ReturnType<typeof call> => call(deleteRestore(app.source), { params: { ...web, restore } });
    expect(await remove()).toMatchObject({ status: 202, body: { name: restore, state: "Removing" } });
    expect(app.memory.restoredContent({ itemId: "web-1", restoreId: restore, diskId: "os" })).toBeUndefined();
    const [later] = app.sent.splice(0);
    expect(later).toMatchObject({ message: { kind: "restore", restoreId: restore }, delayMs: RESTORE_SETTLE_MS });
    app.advance(RESTORE_SETTLE_MS);
    await deliver(work, later?.message);
    expect((await call(showRestore(app.source), { params: { ...web, restore } })).status).toBe(404);
    expect((await remove()).status).toBe(204);
    expect(await deliver(work, later?.message)).toEqual([expect.stringContaining('"gone"')]);
    expect(app.sent).toEqual([]);
  });

  it("keeps a bounded number of restores", async () => {
    const world = await registered();
    const { app } = world;
    await replicate(world, 7);
    const points = (await call(listRecoveryPoints(app.source), { params: web })).body as { value: { name: string }[] };
    const begin = () =>
      call(restoreRecoveryPoint(app.source), { params: { ...web, point: points.value[0]?.name ?? "" } });
    for (let count = 0; count < RESTORES_MAX_COUNT; count += 1) expect((await begin()).status).toBe(202);
    const message = `The item has ${RESTORES_MAX_COUNT} restores.`;
    expect(await begin()).toMatchObject({ status: 409, body: { error: { code: "conflict", message } } });
  });

  it("names points and restores that do not exist", async () => {
    const { app } = await registered();
    for (const point of ["nonsense", "000000000000001-00000000"]) {
      const answer = await call(restoreRecoveryPoint(app.source), { params: { ...web, point } });
      expect(answer).toMatchObject({ status: 404, body: { error: { code: "point-unknown" } } });
    }
    const params = { ...web, restore: "0".repeat(32) };
    expect(await call(showRestore(app.source), { params })).toMatchObject({
      status: 404,
      body: { error: { code: "restore-unknown" } },
    });
    expect(app.sent).toEqual([]);
  });
});
