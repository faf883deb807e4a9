import { appendFileSync, cpSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeRecordHeader, RECORD_HEADER_BYTES } from "../../../mobility/journal/record.ts";
import { readSegment } from "../../../mobility/journal/segment.ts";
import { nodeFiles } from "../../../mobility/system/node-files.ts";
import { decodeDelta } from "../../../replication/delta/decode.ts";
import { connectNbd } from "../../mobility/nbd-client.ts";
import { replay } from "../../mobility/replay.ts";
import { makeScript } from "../../mobility/scripts.ts";
import { createWorld, noise, sameDisks, until, uploaded } from "./world.ts";

describe("an app-consistent point that the control plane asks for", () => {
  it("A1: is a delta of its own flag that holds every write up to the freeze, and none after the thaw", async () => {
    const world = await createWorld();
    const script = makeScript(world.folder, 'while [ ! -e "$D/go" ]; do sleep 0.02; done');
    const service = await world.start({ appConsistencyScript: script.path });
    await uploaded(service);
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    await client.write(0, noise(4096));
    world.cloud.wishes = { consistency: { requestId: "wanted" } };
    await until("the script runs", () => script.calls().length === 1);
    expect(service.status().appPoints.state).toBe("frozen");
    // What the freeze itself flushes.
    await client.write(8192, noise(4096));
    const frozen = world.image(0);
    writeFileSync(join(world.folder, "go"), "");
    await until("the outcome is reported", () => world.cloud.heartbeats.at(-1)?.["consistency"] !== undefined);
    expect(world.cloud.heartbeats.at(-1)).toMatchObject({ consistency: { requestId: "wanted", state: "done" } });
    expect(script.calls()).toEqual(["--pre", "--post"]);
    await client.write(0, noise(4096));
    await client.close();
    await service.cut();
    await uploaded(service);
    const { headers } = replay(world.cloud.blobs);
    const marked = headers.filter(({ flags }) => flags.consistency === "application");
    expect(marked).toHaveLength(1);
    expect(replay(world.cloud.blobs, marked[0]?.epoch).images[0]?.equals(frozen)).toBe(true);
    expect(sameDisks(world)).toEqual([true, true]);
  });

  it("A1: of an idle machine is a delta without extents", async () => {
    const world = await createWorld();
    const script = makeScript(world.folder);
    const service = await world.start({ appConsistencyScript: script.path });
    await uploaded(service);
    world.cloud.wishes = { consistency: { requestId: "wanted" } };
    await until("a delta comes", () => world.cloud.blobs.size === 2);
    const delta = decodeDelta([...world.cloud.blobs.values()][1] ?? Buffer.alloc(0));
    expect([delta.header.flags.consistency, delta.extents]).toEqual(["application", []]);
  });

  it("A3: what a killed service left frozen is thawed by the next start", async () => {
    const world = await createWorld();
    await (await world.start()).stop();
    const marker = join(world.folder, "state", "frozen");
    writeFileSync(marker, "some-request\n");
    const script = makeScript(world.folder);
    await world.start({ appConsistencyScript: script.path });
    await until("it is thawed", () => !existsSync(marker));
    expect(script.calls()).toEqual(["--post"]);
  });

  it("A6: a mark that was recorded before a kill, and not sealed, counts after the next start", async () => {
    const world = await createWorld();
    const service = await world.start();
    await uploaded(service);
    const client = await connectNbd({ path: world.socketPath }, "a-data");
    await client.write(0, noise(4096));
    const state = join(world.folder, "state");
    const left = (path: string): boolean => !/\/(lock|status\.sock)$/.test(path);
    cpSync(state, join(world.folder, "killed"), { recursive: true, filter: left });
    const held = world.image(0);
    await client.close();
    world.cloud.onPut = () => 503;
    await service.stop();
    // As a kill right behind the record of the mark leaves the folder.
    rmSync(state, { recursive: true });
    cpSync(join(world.folder, "killed"), state, { recursive: true });
    const segment = join(state, "journal", world.journalFiles().at(-1) ?? "");
    const { records } = readSegment(nodeFiles(), segment);
    const { sequence, timeMs } = records.at(-1)?.header ?? { sequence: 0, timeMs: 0 };
    const mark = Buffer.alloc(RECORD_HEADER_BYTES);
    const record = { kind: "application-mark", disk: 0, pass: 0, timeMs, offsetBytes: 0, lengthBytes: 0 } as const;
    encodeRecordHeader(mark, record, sequence + 1, Buffer.alloc(0));
    appendFileSync(segment, mark);
    world.cloud.onPut = undefined;
    const again = await world.start();
    await uploaded(again);
    const { headers, images } = replay(world.cloud.blobs);
    expect(headers.map(({ flags }) => flags.consistency)).toEqual(["crash", "application"]);
    expect(images[0]?.equals(held)).toBe(true);
  });
});
