import { describe, expect, it } from "vitest";
import {
  HEARTBEATS_AT_ONCE,
  HEARTBEATS_BURST,
  HEARTBEATS_OF_SERVICE_AT_ONCE,
  HEARTBEATS_REFILL_MS,
  SERVICES_COUNTED_MAX,
  SETTLES_AT_ONCE,
  SETTLES_BURST,
} from "../../functions/limits.ts";
import { heartbeatMobility, registerMobility, settleMobility } from "../../functions/routes/mobility.ts";
import { newRegistrationToken, protectItem } from "../../functions/routes/protected-items.ts";
import { openRequestGate } from "../../functions/serving/request-gate.ts";
import type { Application } from "../../functions/wiring.ts";
import { ITEM_RECORD, SERVICE_KEY_RECORD } from "../../replication/names.ts";
import { openTickets } from "../../replication/service/tickets.ts";
import { createMemoryRecords } from "../memory/memory-records.ts";
import { wrapStores } from "../memory/wrapped-stores.ts";
import { appInMemory, call, ticketed } from "./app-under-test.ts";

const DISKS = [{ id: "os", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 }] as const;
const TOKEN = "ab".repeat(32);
const WHO = { machineId: "machine", bootId: "boot", sessionId: "session" };
const POSITION = { stream: 1, epoch: 0, checksum: "0".repeat(64) };
const web = { item: "web-1" };

const heartbeatTo = (source: () => Application, token: string) =>
  call(heartbeatMobility(source), {
    params: web,
    headers: { authorization: `Bearer ${token}` },
    body: { ...WHO, sentMs: 1, uploaded: POSITION, pendingBytes: 0 },
  });

/** An app with a registered service of `web-1`; `reads` are the calls of its stores. */
async function registered() {
  const memory = appInMemory();
  const reads: string[] = [];
  const stores = wrapStores(memory.stores, async ({ port, method, target }, run) => {
    reads.push(`${port} ${method} ${target}`);
    return run();
  });
  const app: Application = { ...memory.source(), stores };
  const source = (): Application => app;
  const { body } = await call(protectItem(source), { params: web, body: { disks: DISKS } });
  const { registrationToken } = body as { readonly registrationToken: string };
  const service = { itemToken: TOKEN, machineId: "machine", bootId: "boot", disks: DISKS };
  const answer = await call(registerMobility(source), { params: web, body: { ...service, registrationToken } });
  const { ticket } = answer.body as { readonly ticket: string };
  reads.length = 0;
  const requests = {
    register: (item: string, token: string) =>
      call(registerMobility(source), {
        params: { item },
        body: { ...service, itemToken: "cd".repeat(32), registrationToken: token },
      }),
    heartbeat: (item: string, token: string) =>
      call(heartbeatMobility(source), {
        params: { item },
        headers: { authorization: `Bearer ${token}` },
        body: { ...WHO, sentMs: 1, uploaded: POSITION, pendingBytes: 0 },
      }),
    settle: (item: string, token: string) =>
      call(settleMobility(source), {
        params: { item },
        headers: { authorization: `Bearer ${token}` },
        body: { sessionId: "session", stream: 1, epoch: 1, checksum: "0".repeat(64) },
      }),
  };
  return { memory, source, reads, ticket, requests };
}

describe("who asks as a mobility service without being one", () => {
  it.each(["register", "heartbeat", "settle"] as const)(
    "%s: no answer tells whether there is an item of that name",
    async (route) => {
      const { requests, ticket } = await registered();
      const unknown = await requests[route]("nobody", await ticketed("nobody", TOKEN));
      expect(unknown).toMatchObject({ status: 401, body: { error: { code: "not-authorized" } } });
      for (const [item, token] of [
        ["web-1", `${ticket}.${"ef".repeat(32)}`],
        ["web-1", "guess"],
        ["web-1", `${"0".repeat(32)}.${TOKEN}`],
        ["nobody", `${ticket}.${TOKEN}`],
        ["../escape", `${ticket}.${TOKEN}`],
        ["UPPER", "x".repeat(5000)],
        ["", TOKEN],
      ] as const) {
        expect(await requests[route](item, token)).toEqual(unknown);
      }
    },
  );

  it.each(["register", "heartbeat", "settle"] as const)(
    "%s: a stranger causes no request to storage",
    async (route) => {
      const { requests, reads, memory, ticket } = await registered();
      const before = memory.dump();
      for (const item of ["web-1", "nobody"])
        for (const token of ["guess", TOKEN, `${"0".repeat(32)}.${TOKEN}`]) await requests[route](item, token);
      // Nor does who speaks for one item, and asks for another.
      await requests[route]("nobody", `${ticket}.${TOKEN}`);
      expect(reads).toEqual([]);
      expect(memory.dump()).toEqual(before);
    },
  );

  it("the right token behind the right ticket is heard, and the ticket of one item opens no other", async () => {
    const { requests, ticket } = await registered();
    expect((await requests.heartbeat("web-1", `${ticket}.${TOKEN}`)).status).toBe(200);
    expect((await requests.heartbeat("web-2", `${ticket}.${TOKEN}`)).status).toBe(401);
  });

  it("a new registration token has the item's ticket too", async () => {
    const { source, requests, ticket } = await registered();
    const { registrationToken } = (await call(newRegistrationToken(source), { params: web })).body as {
      readonly registrationToken: string;
    };
    expect(registrationToken.startsWith(`${ticket}.`)).toBe(true);
    expect((await requests.register("web-1", registrationToken)).status).toBe(200);
  });
});

describe("the key of an installation", () => {
  const ids = () => {
    let count = 0;
    return { next: () => (count += 1).toString(16).padStart(32, "0") };
  };

  it("is made once, whoever needs it first, and read once by each process", async () => {
    const control = createMemoryRecords({ now: () => 0 });
    let reads = 0;
    const counted = { ...control, read: (name: string) => ((reads += 1), control.read(name)) };
    const [one, other] = [openTickets(counted, ids()), openTickets(control, { next: () => "f".repeat(32) })];
    const [first, second] = await Promise.all([one.issue("web", "secret"), other.issue("web", "secret")]);
    expect(first).toBe(second);
    expect(control.names()).toEqual([SERVICE_KEY_RECORD]);
    const readsBefore = reads;
    expect(await one.secretOf("web", first)).toBe("secret");
    expect(reads).toBe(readsBefore);
    expect(await openTickets(control, ids()).secretOf("web", first)).toBe("secret");
  });

  it("that is damaged is named, and read anew with the next request", async () => {
    const control = createMemoryRecords({ now: () => 0 });
    const token = await openTickets(control, ids()).issue("web", "secret");
    const whole = await control.read(SERVICE_KEY_RECORD);
    await control.put(SERVICE_KEY_RECORD, new Uint8Array([1]));
    const tickets = openTickets(control, ids());
    await expect(tickets.secretOf("web", token)).rejects.toMatchObject({
      code: "record-corrupt",
      facts: { name: SERVICE_KEY_RECORD },
    });
    await control.put(SERVICE_KEY_RECORD, whole?.bytes ?? new Uint8Array());
    expect(await tickets.secretOf("web", token)).toBe("secret");
  });
});

describe("how often a mobility service may ask", () => {
  it("a service that talks without end is told to wait, by a status and a header of their own, and heard again after a while", async () => {
    const { requests, ticket, memory } = await registered();
    const beat = () => requests.heartbeat("web-1", `${ticket}.${TOKEN}`);
    for (let count = 0; count < HEARTBEATS_BURST; count += 1) expect((await beat()).status).toBe(200);
    expect(await beat()).toMatchObject({
      status: 429,
      headers: { "retry-after": "1" },
      body: { error: { code: "too-many-requests" } },
    });
    memory.advance(HEARTBEATS_REFILL_MS);
    expect((await beat()).status).toBe(200);
    expect((await beat()).status).toBe(429);
  });

  it("rule 9: who has a ticket and makes up tokens takes neither other items' turns nor those of the item's own service", async () => {
    const { source, requests, ticket, reads } = await registered();
    const mine = `${ticket}.${TOKEN}`;
    await requests.heartbeat("web-1", mine);
    let [held, release] = [0, (): void => undefined];
    const isReleased = new Promise<void>((resolve) => (release = resolve));
    const slow = wrapStores(source().stores, async ({ method, target }, run) => {
      if (method === "read" && target === ITEM_RECORD) {
        held += 1;
        await isReleased;
      }
      return run();
    });
    const slowSource = (): Application => ({ ...source(), stores: slow });
    const flood = Array.from({ length: 2 * HEARTBEATS_AT_ONCE }, (_, count) =>
      heartbeatTo(slowSource, `${ticket}.${count}`),
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(held).toBeLessThanOrEqual(HEARTBEATS_OF_SERVICE_AT_ONCE);
    expect((await requests.heartbeat("web-1", mine)).status).toBe(200);
    // Answered for want of the item, not of a turn.
    expect((await requests.heartbeat("web-2", await ticketed("web-2", TOKEN))).status).toBe(401);
    release();
    await Promise.all(flood);
    reads.length = 0;
    for (let count = 0; count < 10 * HEARTBEATS_BURST; count += 1)
      await requests.heartbeat("web-1", `${ticket}.other-${count}`);
    expect(reads.length).toBeLessThanOrEqual(HEARTBEATS_BURST);
  });

  it("epochs are not settled at will: what was decoded once is not decoded again and again", async () => {
    const { requests, ticket, reads } = await registered();
    await requests.heartbeat("web-1", `${ticket}.${TOKEN}`);
    reads.length = 0;
    for (let count = 0; count < 10 * SETTLES_BURST; count += 1) await requests.settle("web-1", `${ticket}.${TOKEN}`);
    expect(reads.filter((read) => read.startsWith("cache read"))).toHaveLength(SETTLES_BURST);
  });
});

describe("a gate", () => {
  const bounds = { atOnce: SETTLES_AT_ONCE, ofCallerAtOnce: 1, burst: 3, refillMs: 100 };
  const never = (): Promise<never> => new Promise(() => undefined);
  const refused = { code: "too-many-requests" };

  it("lets in so many at once, one of each caller, and others when they are done, however that ends", async () => {
    const gate = openRequestGate({ now: () => 0 }, bounds);
    void gate.run("slow", never);
    await expect(gate.run("slow", never)).rejects.toMatchObject(refused);
    for (let count = 1; count < bounds.atOnce; count += 1) {
      await expect(gate.run("failing", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    }
    const turnedAway: unknown[] = [];
    for (let count = 1; count < bounds.atOnce; count += 1) {
      gate.run(`other-${count}`, never).catch((error: unknown) => turnedAway.push(error));
    }
    await expect(gate.run("last", async () => "answer")).rejects.toMatchObject(refused);
    expect(turnedAway).toEqual([]);
  });

  it("counts each caller by itself, and grants another request after a while", async () => {
    let nowMs = 0;
    const gate = openRequestGate({ now: () => nowMs }, bounds);
    const ask = (caller: string) => gate.run(caller, async () => caller);
    for (let count = 0; count < 3; count += 1) await ask("a");
    await expect(ask("a")).rejects.toMatchObject({ ...refused, facts: { retryAfterMs: 100 } });
    await ask("b");
    nowMs += 50;
    await expect(ask("a")).rejects.toMatchObject({ facts: { retryAfterMs: 50 } });
    nowMs += 50;
    await ask("a");
    // A burst is not saved up beyond its size, and a clock that is set back grants nothing.
    nowMs += 1_000_000;
    for (let count = 0; count < 3; count += 1) await ask("a");
    nowMs -= 500_000;
    await expect(ask("a")).rejects.toMatchObject(refused);
  });

  it("remembers a bounded number of callers", async () => {
    const gate = openRequestGate({ now: () => 0 }, bounds);
    for (let count = 0; count < 3; count += 1) await gate.run("first", async () => undefined);
    for (let caller = 0; caller < SERVICES_COUNTED_MAX; caller += 1)
      await gate.run(`caller-${caller}`, async () => undefined);
    expect(await gate.run("first", async () => "heard")).toBe("heard");
  });
});
