import { beforeEach, describe, expect, it } from "vitest";
import { applyHints } from "../../functions/queues/apply-hints.ts";
import { restoreSlices } from "../../functions/queues/restore-slices.ts";
import { protectItem } from "../../functions/routes/protected-items.ts";
import { restoreRecoveryPoint } from "../../functions/routes/restores.ts";
import { sweep } from "../../functions/timers/sweep.ts";
import { takePoints } from "../../functions/timers/take-points.ts";
import type { ApplicationSource } from "../../functions/wiring.ts";
import { LeewardError } from "../../replication/errors.ts";
import type { LeewardEvent } from "../../replication/events/event.ts";
import { ensureManaged } from "../../replication/jobs/managed-item.ts";
import { CLAIM_MS, ITEMS_PAGE_MAX_COUNT, RESTORE_STALE_MS, SWEEP_ALL_MS } from "../../replication/limits.ts";
import { HEARTBEAT_RECORD, ITEM_RECORD, PROGRESS_RECORD, cacheContainer, deltaName } from "../../replication/names.ts";
import type { FlowRun } from "../../replication/operations/flow-run.ts";
import { listPoints } from "../../replication/points/catalog.ts";
import type { DiskDescription, Position } from "../../replication/position.ts";
import { encodeRecord } from "../../replication/records/envelope.ts";
import { readItem } from "../../replication/records/item-record.ts";
import type { Progress } from "../../replication/records/item.ts";
import { readProgress, replaceProgress } from "../../replication/records/progress.ts";
import { startOf as startOfStream } from "../../replication/records/streams.ts";
import { startRestore } from "../../replication/restore/start.ts";
import { type Around, wrapStores } from "../memory/wrapped-stores.ts";
import { missing } from "../missing.ts";
import { type AppInMemory, appInMemory, call, deliver, deltaOf, fire } from "./app-under-test.ts";

const DISKS: readonly DiskDescription[] = [{ id: "os", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 }];
const MINUTE_MS = 60_000;

describe("functions that work on queues and timers", () => {
  let app: AppInMemory;
  beforeEach(() => {
    app = appInMemory();
  });
  const protect = (itemId: string): Promise<unknown> =>
    call(protectItem(app.source), { params: { item: itemId }, body: { disks: DISKS } });
  const startOf = async (itemId: string): Promise<Position> => startOfStream((await readItem(app.stores, itemId)).item);
  const upload = async (itemId: string, start: Position, value: number): Promise<Position> => {
    const delta = deltaOf(itemId, start, DISKS, [{ disk: 0, page: 0, value }], app.source().clock.now());
    await app.stores.cache(itemId, 1).create(deltaName(delta.end.stream, delta.end.epoch), delta.bytes);
    return delta.end;
  };
  const progressOf = async (itemId: string): Promise<Progress | undefined> =>
    (await readProgress(app.stores.records(itemId)))?.progress;
  const created = (itemId: string): object => ({
    eventType: "Microsoft.Storage.BlobCreated",
    subject: `/blobServices/default/containers/${cacheContainer(itemId, 1)}/blobs/0000000001/000000000001`,
  });
  const hints = (): readonly string[] =>
    app.sent.map(({ message }) => `${message.kind} ${message.kind === "alert" ? "" : message.itemId}`);

  describe("applyHints", () => {
    it("applies what an event announced, and logs each step as one line of JSON", async () => {
      await protect("web");
      const end = await upload("web", await startOf("web"), 7);
      const lines = await deliver(applyHints(app.source), created("web"));
      expect((await progressOf("web"))?.applied).toEqual(end);
      expect(app.memory.content({ itemId: "web", stream: 1, diskId: "os" })[0]).toBe(7);
      expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual([
        "claimed",
        "batch-applied",
        "point-taken",
        "slice-ended",
      ]);
      expect(app.sent).toEqual([]);
    });

    it("works on one item and sends hints for the others that a message names", async () => {
      for (const itemId of ["web", "db", "app"]) await protect(itemId);
      await deliver(applyHints(app.source), [created("web"), created("db"), created("app"), created("db")]);
      expect(hints()).toEqual(["hint db", "hint app"]);
    });

    it("rule 5: a hint that comes while the item is worked on here is handed on when that ends", async () => {
      await protect("web");
      const slot = app.source().wakeUps.enter("web");
      const lines = await deliver(applyHints(app.source), created("web"));
      expect(lines).toEqual(['{"event":"hint-joined","itemId":"web"}']);
      expect(slot?.leave()).toBe(true);
    });

    it("hands on when its time is over before the work is", async () => {
      await protect("web");
      let start = await startOf("web");
      for (let epoch = 1; epoch <= 3; epoch += 1) start = await upload("web", start, epoch);
      // The clock stands for a slow store: the slice's minute passes with its first write.
      const { disks } = app.stores;
      const slow: AppInMemory["stores"]["disks"] = {
        ...disks,
        writePages: async (...parameters) => {
          app.advance(2 * MINUTE_MS);
          await disks.writePages(...parameters);
        },
      };
      const slowly = { ...app.source(), stores: { ...app.stores, disks: slow } };
      await deliver(
        applyHints(() => slowly),
        created("web"),
      );
      expect(hints()).toEqual(["hint web"]);
    });

    it("leaves an item that another worker holds to that one", async () => {
      await protect("web");
      await upload("web", await startOf("web"), 7);
      // Another process: the same stores, a name and a wakeUps of its own.
      const other = { ...app.source(), processId: "process-2", wakeUps: appInMemory().source().wakeUps };
      let during: readonly string[] = [];
      const reading: AppInMemory["stores"] = {
        ...app.stores,
        cache: (itemId) => ({
          ...app.stores.cache(itemId, 1),
          read: async (name, maxBytes) => {
            // While one worker reads, the other gets the same hint in a process of its own.
            if (during.length === 0) {
              during = ["begun"];
              const elsewhere = appInMemory().source().wakeUps;
              during = await deliver(
                applyHints(() => ({ ...other, wakeUps: elsewhere })),
                created("web"),
              );
            }
            return app.stores.cache(itemId, 1).read(name, maxBytes);
          },
        }),
      };
      await deliver(
        applyHints(() => ({ ...app.source(), stores: reading })),
        created("web"),
      );
      expect(during[0]).toContain('"kind":"held"');
      // Should the holder be dead, the hint is there when its claim has run out.
      expect(app.sent).toEqual([{ message: { kind: "hint", itemId: "web", again: true }, delayMs: CLAIM_MS }]);
      expect((await progressOf("web"))?.applied.epoch).toBe(1);
    });

    it("rule 5: a hint that meets the claim of a dead worker comes back when the claim has run out, and is worked on then", async () => {
      await protect("web");
      await upload("web", await startOf("web"), 7);
      const claimed = (await readProgress(app.stores.records("web"))) ?? missing();
      const dead = { ...claimed.progress, generation: 1, holder: "dead", expiresMs: app.source().clock.now() + 12_000 };
      await replaceProgress(app.stores.records("web"), claimed, dead);
      await deliver(applyHints(app.source), created("web"));
      expect(app.sent).toEqual([{ message: { kind: "hint", itemId: "web", again: true }, delayMs: 12_000 }]);
      app.advance(12_000);
      await deliver(applyHints(app.source), app.sent[0]?.message);
      expect((await progressOf("web"))?.applied.epoch).toBe(1);
      expect(app.sent).toHaveLength(1);
    });

    it("rule 9: hints that meet a claim never become more: one of an item waits at a time, and none is put off twice", async () => {
      await protect("web");
      const claimed = (await readProgress(app.stores.records("web"))) ?? missing();
      const holds = {
        ...claimed.progress,
        generation: 1,
        holder: "other",
        expiresMs: app.source().clock.now() + 12_000,
      };
      const stored = (await replaceProgress(app.stores.records("web"), claimed, holds)) ?? missing();
      for (let events = 0; events < 5; events += 1) await deliver(applyHints(app.source), created("web"));
      expect(app.sent).toHaveLength(1);
      // The holder lives, and has renewed its claim.
      await replaceProgress(app.stores.records("web"), stored, { ...holds, expiresMs: holds.expiresMs + 12_000 });
      app.advance(12_000);
      await deliver(applyHints(app.source), app.sent[0]?.message);
      expect(app.sent).toHaveLength(1);
      // What comes later is put off again, and never by more than a claim, whatever clock wrote it.
      await deliver(applyHints(app.source), created("web"));
      app.advance(-40_000);
      const elsewhere = appInMemory().source().wakeUps;
      await deliver(
        applyHints(() => ({ ...app.source(), wakeUps: elsewhere })),
        created("web"),
      );
      expect(app.sent.slice(1).map(({ delayMs }) => delayMs)).toEqual([12_000, CLAIM_MS]);
    });

    it("a hint that could not be put off is thrown back to its queue, and put off when it comes again", async () => {
      await protect("web");
      const claimed = (await readProgress(app.stores.records("web"))) ?? missing();
      const holds = {
        ...claimed.progress,
        generation: 1,
        holder: "other",
        expiresMs: app.source().clock.now() + 12_000,
      };
      await replaceProgress(app.stores.records("web"), claimed, holds);
      const broken = async (): Promise<void> => {
        throw new LeewardError("store-unavailable", "away");
      };
      const failing = applyHints(() => ({ ...app.source(), queue: { send: broken } }));
      await expect(deliver(failing, created("web"))).rejects.toMatchObject({ code: "store-unavailable" });
      await deliver(applyHints(app.source), created("web"));
      expect(app.sent).toHaveLength(1);
    });

    it("throws what it cannot read, so that the host counts it as failed", async () => {
      await expect(deliver(applyHints(app.source), { hello: "world" })).rejects.toMatchObject({
        code: "invalid-request",
      });
      await expect(deliver(restoreSlices(app.source), { kind: "hint", itemId: "web" })).rejects.toMatchObject({
        code: "invalid-request",
      });
    });

    it("a hint for an item that does not exist is done", async () => {
      await deliver(applyHints(app.source), created("unknown"));
      expect(app.sent).toEqual([]);
    });
  });

  describe("takePoints", () => {
    it("wakes items whose point is due, and no others", async () => {
      await protect("idle");
      await protect("web");
      await upload("web", await startOf("web"), 7);
      await deliver(applyHints(app.source), created("web"));
      await fire(takePoints(app.source));
      expect(hints()).toEqual([]);

      app.advance(6 * MINUTE_MS);
      // Nothing was written since the last point, and no word that the source still stands there: a new point would
      // show nothing new.
      await fire(takePoints(app.source));
      expect(hints()).toEqual([]);

      const nowMs = app.source().clock.now();
      const uploaded = (await progressOf("web"))?.applied ?? (await startOf("web"));
      const word = {
        version: 1,
        receivedMs: nowMs,
        sentMs: nowMs,
        bootId: "b",
        uploaded,
        currentAtMs: nowMs,
        pendingBytes: 0,
      };
      await app.stores.records("web").put(HEARTBEAT_RECORD, encodeRecord(word));
      const lines = await fire(takePoints(app.source));
      expect(hints()).toEqual(["hint web"]);
      expect(lines).toEqual(['{"event":"point-due","itemId":"web"}']);
      await deliver(applyHints(app.source), app.sent[0]?.message);
      expect((await progressOf("web"))?.lastPoint?.targetTimeMs).toBe(nowMs);
    });

    it("rule 9: stops after its time and goes on behind the last item at its next run", async () => {
      const count = ITEMS_PAGE_MAX_COUNT + 5;
      const ids = Array.from({ length: count }, (_, index) => `vm-${String(index).padStart(4, "0")}`);
      for (const itemId of ids) await app.stores.createContainers(itemId, 1);
      const visited: string[] = [];
      const counting: AppInMemory["stores"] = {
        ...app.stores,
        records: (itemId) => {
          visited.push(itemId);
          app.advance(1000);
          return app.stores.records(itemId);
        },
      };
      const counted = { ...app.source(), stores: counting };
      const first = await fire(takePoints(() => counted));
      expect(visited).toEqual(ids.slice(0, 25));
      expect(first).toEqual([expect.stringContaining("timer-goes-on-later")]);
      for (let runs = 0; runs < 4; runs += 1) await fire(takePoints(() => counted));
      expect(visited.slice(0, count)).toEqual(ids);
      await fire(takePoints(() => counted));
      expect(visited[count]).toBe(ids[0]);
    });

    it("an item whose record is damaged does not keep the others waiting, and every run names it", async () => {
      await protect("a");
      await protect("b");
      await upload("b", await startOf("b"), 7);
      await app.stores.records("a").put(ITEM_RECORD, new TextEncoder().encode("damaged"));
      // What a sweep can do without the record is done, so that its run is none that failed; a timer that has nothing
      // else to do fails.
      const named = (line: string): boolean =>
        line.includes('"itemId":"a"') && line.includes('"code":"record-corrupt"');
      expect((await fire(sweep(app.source))).filter(named)).toHaveLength(1);
      expect(hints()).toEqual(["hint b"]);
      const visited: string[] = [];
      const records: AppInMemory["stores"]["records"] = (itemId) => {
        visited.push(itemId);
        return app.stores.records(itemId);
      };
      const watched: ApplicationSource = () => ({ ...app.source(), stores: { ...app.stores, records } });
      await expect(fire(takePoints(watched))).rejects.toMatchObject({ code: "record-corrupt" });
      expect(visited).toContain("b");
    });
  });

  describe("sweep", () => {
    it.each([PROGRESS_RECORD, ITEM_RECORD])(
      "wakes a restore whose message was lost, beside a damaged %s",
      async (name) => {
        await protect("web");
        await upload("web", await startOf("web"), 7);
        await deliver(applyHints(app.source), created("web"));
        const { pointId = "" } = (await progressOf("web"))?.lastPoint ?? {};
        const { restoreId } = await startRestore(app.source(), "web", pointId);
        app.advance(RESTORE_STALE_MS + 1);
        await app.stores.records("web").put(name, new TextEncoder().encode("damaged"));
        await fire(sweep(app.source));
        expect(app.sent).toMatchObject([{ message: { kind: "restore", itemId: "web", restoreId } }]);
      },
    );

    it("rule 5: finds a delta that no event announced", async () => {
      await protect("web");
      await upload("web", await startOf("web"), 7);
      await fire(sweep(app.source));
      expect(hints()).toEqual(["hint web"]);
    });

    it("tidies at first and then every few minutes, and looks for lost hints every time", async () => {
      await protect("web");
      const scopes: unknown[] = [];
      for (const ms of [0, 30_000, SWEEP_ALL_MS, -SWEEP_ALL_MS]) {
        app.advance(ms);
        const lines = await fire(sweep(app.source));
        scopes.push((JSON.parse(lines[0] ?? "{}") as { scope: string }).scope);
      }
      expect(scopes).toEqual(["all", "hints", "all", "all"]);
    });

    it("rule 5: sends restores on whose message was lost", async () => {
      await protect("web");
      await upload("web", await startOf("web"), 7);
      await deliver(applyHints(app.source), created("web"));
      const { points } = await listPoints(app.stores.records("web"));
      await call(restoreRecoveryPoint(app.source), { params: { item: "web", point: points[0]?.pointId ?? missing() } });
      const [sent] = app.sent.splice(0);
      app.advance(RESTORE_STALE_MS + 1);
      await fire(sweep(app.source));
      expect(app.sent).toEqual([sent]);
    });

    it("looks after the flow of an item whose own sweep fails, and tells of the first failure", async () => {
      await protect("web");
      await ensureManaged(app.stores, {
        version: 1,
        itemId: "web",
        situation: {
          state: "FailoverInProgress",
          activeLocation: "Primary",
          failover: "Unplanned",
          job: { jobId: "1-job", flow: "unplanned-failover" },
        },
        running: undefined,
        sourceVmId: "/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web",
        options: { targetRegion: "northeurope" },
        policy: undefined,
        plan: undefined,
      });
      await upload("web", await startOf("web"), 7);
      const started: string[] = [];
      const start = async ({ jobId }: FlowRun): Promise<void> => void started.push(jobId);
      const queue = { send: () => Promise.reject(new LeewardError("store-unavailable", "The queue is away.")) };
      const withFlows: ApplicationSource = () => ({
        ...app.source(),
        queue,
        flows: () => ({ start, stateOf: async () => undefined }),
      });
      await expect(fire(sweep(withFlows))).rejects.toMatchObject({ code: "store-unavailable" });
      expect(started).toEqual(["1-job"]);

      const hostAway = () => Promise.reject(new LeewardError("internal", "The host is away as well."));
      const withoutHost: ApplicationSource = () => ({
        ...withFlows(),
        flows: () => ({ start: hostAway, stateOf: hostAway }),
      });
      await expect(fire(sweep(withoutHost))).rejects.toMatchObject({ code: "internal" });
    });

    it("begins a flow before it asks the account of the source region, which may hang", async () => {
      await protect("web");
      const asked: string[] = [];
      const around: Around = (call, go) => {
        asked.push(call.port === "cache" ? "cache" : call.target);
        return go();
      };
      const source: ApplicationSource = () => ({ ...app.source(), stores: wrapStores(app.stores, around) });
      await fire(sweep(source));
      expect(asked).toContain("cache");
      expect(asked.indexOf("managed.json")).toBeLessThan(asked.indexOf("cache"));
    });

    it("does not fail for want of a readable item record when there is a topic", async () => {
      await protect("web");
      await app.stores.records("web").put(ITEM_RECORD, new TextEncoder().encode("damaged"));
      const withTopic: ApplicationSource = () => ({ ...app.source(), events: { publish: async () => undefined } });
      const line = (await fire(sweep(withTopic))).at(-1);
      expect(line).toContain('"event":"swept"');
      expect(line).toContain('"code":"record-corrupt"');
    });

    it("tells the topic last: one that is away is warned of once, and nothing fails", async () => {
      await protect("web");
      await upload("web", await startOf("web"), 7);
      let failure: LeewardError | undefined = new LeewardError("events-unavailable", "away");
      const told: string[] = [];
      const publish = async (events: readonly LeewardEvent[]): Promise<void> => {
        if (failure !== undefined) throw failure;
        told.push(...events.map(({ subject }) => subject));
      };
      const withTopic: ApplicationSource = () => ({ ...app.source(), events: { publish } });
      const lines = await fire(sweep(withTopic));
      expect(hints()).toEqual(["hint web"]);
      expect(lines.at(-1)).toContain('"event":"events-waiting","itemId":"web","code":"events-unavailable"');
      failure = undefined;
      expect((await fire(sweep(withTopic))).at(-1)).toBe('{"event":"events-sent","itemId":"web","sent":1}');
      expect(told).toEqual(["/replicationProtectedItems/web/health"]);
    });
  });
});
