import { createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onePair } from "../../../azure/accounts.ts";
import { connectBlobs } from "../../../azure/connections.ts";
import { openItemStores } from "../../../azure/item-stores.ts";
import type { ApplyEvent } from "../../../replication/apply/context.ts";
import { applySlice } from "../../../replication/apply/run.ts";
import type { ExtentContent } from "../../../replication/delta/delta.ts";
import { encodeDelta } from "../../../replication/delta/encode.ts";
import { protectItem } from "../../../replication/items/protect.ts";
import { PUT_PAGE_MAX_BYTES, SLICE_MS } from "../../../replication/limits.ts";
import { deltaName } from "../../../replication/names.ts";
import type { ItemStores } from "../../../replication/ports.ts";
import type { DiskDescription } from "../../../replication/position.ts";
import { readProgress } from "../../../replication/records/progress.ts";
import { startOf } from "../../../replication/records/streams.ts";
import { type TestAccounts, newItemId, startAccounts } from "./accounts.ts";

const PUTS = 11;
const DISKS: readonly DiskDescription[] = [{ id: "os", sizeBytes: PUTS * PUT_PAGE_MAX_BYTES, sectorSizeBytes: 512 }];

/** A target account that refuses some requests as Azure does when it is asked too much. */
describe("a throttled target account", () => {
  let accounts: TestAccounts;
  let proxy: Server;
  let stores: ItemStores;
  /** True: the request is answered 503 `ServerBusy` and never reaches the account. */
  let refuse: (asked: IncomingMessage) => boolean = () => false;

  beforeAll(async () => {
    accounts = await startAccounts();
    const endpoint = new URL(/BlobEndpoint=([^;]+)/.exec(accounts.connectionStrings.target)?.[1] ?? "");
    proxy = createServer((incoming, outgoing) => {
      if (refuse(incoming)) {
        incoming.resume().on("end", () => outgoing.writeHead(503, { "x-ms-error-code": "ServerBusy" }).end());
        return;
      }
      const { method, url: path, headers } = incoming;
      const target = { host: endpoint.hostname, port: endpoint.port, method, path, headers, agent: false };
      const onward = request(target, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(onward);
    });
    // On a busy machine a connection may rest for longer than Node keeps one: its end would look like a lost answer.
    proxy.keepAliveTimeout = 0;
    await new Promise<void>((resolve) => {
      proxy.listen(0, "127.0.0.1", resolve);
    });
    const { port } = proxy.address() as AddressInfo;
    const throttled = accounts.connectionStrings.target.replace(`:${endpoint.port}/`, `:${port}/`);
    const target = connectBlobs("TargetStorage", { kind: "connection-string", connectionString: throttled });
    stores = openItemStores(onePair(target, accounts.cache, target), { now: Date.now });
  });
  afterAll(async () => {
    await new Promise((resolve) => {
      proxy.close(resolve);
      proxy.closeAllConnections();
    });
    await accounts.close();
  });

  /** Applies one delta of eleven Put Pages, and tells what the run came to. */
  async function applyOne(judge: (asked: IncomingMessage) => boolean): Promise<{
    readonly generation: number;
    readonly epoch: number;
    readonly kind: string;
    readonly again: readonly unknown[];
  }> {
    refuse = () => false;
    const itemId = newItemId();
    const clock = { now: () => Date.now() };
    const timer = { pause: (durationMs: number) => new Promise<void>((resolve) => setTimeout(resolve, durationMs)) };
    const { item } = await protectItem(
      { stores, clock, ids: { next: newItemId } },
      { itemId, disks: DISKS, policy: undefined },
    );
    const bytes = new Uint8Array(PUTS * PUT_PAGE_MAX_BYTES).map((_, at) => (at * 2_654_435_761) >>> 24);
    const extents: readonly ExtentContent[] = [{ kind: "data", disk: 0, offsetBytes: 0, bytes }];
    const start = startOf(item);
    const flags = { consistency: "crash", seeding: false, final: false, groupMark: false } as const;
    const header = { itemId, stream: 1, epoch: 1, firstWriteMs: 1, lastWriteMs: 2, start, disks: DISKS, flags };
    await stores.cache(itemId, 1).create(deltaName(1, 1), encodeDelta(header, extents).bytes);
    refuse = judge;
    const again: unknown[] = [];
    const log = (event: ApplyEvent): void => void (event.kind === "claiming-again" && again.push(event));
    const context = { stores, clock, timer, holder: "worker", deadlineMs: Date.now() + SLICE_MS, log };
    const { kind } = await applySlice(context, itemId);
    refuse = () => false;
    const progress = (await readProgress(stores.records(itemId)))?.progress;
    return { kind, again, generation: progress?.generation ?? 0, epoch: progress?.applied.epoch ?? 0 };
  }

  it("gets each page write again until it takes it, and the batch lands under one claim", async () => {
    const refusals = new Map<string, number>();
    const outcome = await applyOne((asked) => {
      if (asked.method !== "PUT" || !/comp=page\b/.test(asked.url ?? "")) return false;
      const range = String(asked.headers["x-ms-range"] ?? asked.headers["range"]);
      refusals.set(range, (refusals.get(range) ?? 0) + 1);
      return (refusals.get(range) ?? 0) <= 2;
    });
    expect(outcome).toEqual({ kind: "idle", again: [], generation: 2, epoch: 1 });
    expect([...refusals.values()]).toEqual(Array.from({ length: PUTS }, () => 3));
  });

  it("costs no generation when it refuses a record, a sequence number or a snapshot", async () => {
    const refused = new Set<string>();
    const outcome = await applyOne((asked) => {
      const what = `${asked.url?.split("?")[0] ?? ""} ${/comp=\w+/.exec(asked.url ?? "")?.[0] ?? ""}`;
      if (asked.method !== "PUT" || /comp=page\b/.test(what) || refused.has(what)) return false;
      refused.add(what);
      return true;
    });
    expect([...refused].map((what) => what.replace(/^.*\//, ""))).toEqual(
      expect.arrayContaining([
        "progress.json ",
        "os.vhd comp=properties",
        "os.vhd comp=snapshot",
        "manifest.json ",
        "000000000001 ",
      ]),
    );
    expect(outcome).toEqual({ kind: "idle", again: [], generation: 1, epoch: 1 });
  });
});
