import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { BlobServiceClient } from "@azure/storage-blob";
import { QueueServiceClient } from "@azure/storage-queue";
import { fc, it } from "@fast-check/vitest";
import { afterEach, describe, expect, vi } from "vitest";
import type { ByteRange, PageRange } from "../../../storage/azurite-modules.ts";
import { diffPageRanges } from "../../../storage/mends/page-ranges-diff.ts";
import { bearerPipelines, makeWorld, pages, statusOf } from "./world.ts";

// Each mend is shown twice: what Azure does, with the mend, and Azurite's fault without it. The second half is what
// makes the first one worth something.
const both = [
  { mended: true, words: "mended" },
  { mended: false, words: "unmended (the fault is still there)" },
];

describe("copies of page blobs", () => {
  it.each(both)("writes to a copy leave its snapshot alone: $words", async ({ mended }) => {
    await using world = await makeWorld(mended ? [] : ["copies"]);
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(4096);
    await disk.uploadPages(pages(1, 4), 0, 2048);
    const { snapshot } = await disk.createSnapshot();
    const point = disk.withSnapshot(snapshot ?? "");
    for (const name of ["async", "sync"]) {
      const copy = world.container.getPageBlobClient(name);
      if (name === "async") await (await copy.beginCopyFromURL(point.url)).pollUntilDone();
      else await copy.syncCopyFromURL(point.url);
      await copy.uploadPages(pages(9), 512, 512);
      await copy.clearPages(1024, 512);
      const expected = Buffer.concat([pages(1), pages(9), pages(0), pages(1), pages(0, 4)]);
      expect(await copy.downloadToBuffer()).toEqual(expected);
      expect((await point.downloadToBuffer()).equals(Buffer.concat([pages(1, 4), pages(0, 4)]))).toBe(mended);
    }
  });

  it.each(both)("writes to a base leave its copy alone: $words", async ({ mended }) => {
    await using world = await makeWorld(mended ? [] : ["copies"]);
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(1024);
    await disk.uploadPages(pages(1), 0, 512);
    const copy = world.container.getPageBlobClient("copy");
    await (await copy.beginCopyFromURL(disk.url)).pollUntilDone();
    await disk.uploadPages(pages(2), 0, 512);
    expect((await copy.downloadToBuffer()).equals(Buffer.concat([pages(1), pages(0)]))).toBe(mended);
  });
});

describe("bearer tokens", () => {
  it.each(both)("are taken over http: $words", async ({ mended }) => {
    await using world = await makeWorld(mended ? [] : ["bearer"]);
    const { blobUrl, queueUrl } = world.storage.account("cachewe");
    const { blob, queue } = bearerPipelines(world.storage.bearer());
    const expected = mended ? 0 : 403;
    expect(await statusOf(new BlobServiceClient(blobUrl, blob).getProperties())).toBe(expected);
    expect(await statusOf(new QueueServiceClient(queueUrl, queue).getProperties())).toBe(expected);
  });
});

describe("checksums of page writes", () => {
  it.each(both)("a CRC64 is computed only when it was sent: $words", async ({ mended }) => {
    await using world = await makeWorld(mended ? [] : ["checksums"]);
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(4096);
    const answer = await disk.uploadPages(pages(1), 0, 512);
    expect(answer.xMsContentCrc64 === undefined).toBe(mended);
  });

  it.each(both)("a wrong checksum is refused and writes nothing: $words", async ({ mended }) => {
    await using world = await makeWorld(mended ? [] : ["checksums"]);
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(4096);
    const wrongMd5 = createHash("md5").update("other").digest();
    expect(await statusOf(disk.uploadPages(pages(1), 0, 512, { transactionalContentMD5: wrongMd5 }))).toBe(400);
    expect(await statusOf(disk.uploadPages(pages(1), 0, 512, { transactionalContentCrc64: Buffer.alloc(8) }))).toBe(
      400,
    );
    expect(await disk.downloadToBuffer()).toEqual(pages(0, 8));
    const md5 = createHash("md5").update(pages(2)).digest();
    await disk.uploadPages(pages(2), 0, 512, { transactionalContentMD5: md5 });
    expect(await disk.downloadToBuffer(0, 512)).toEqual(pages(2));
  });
});

describe("the difference between two snapshots", () => {
  it.each(both)("names what was written and what was cleared, and nothing else: $words", async ({ mended }) => {
    await using world = await makeWorld(mended ? [] : ["page-ranges-diff"]);
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(512 * 16);
    await disk.uploadPages(pages(1, 6), 0, 512 * 6);
    const first = (await disk.createSnapshot()).snapshot ?? "";
    await disk.uploadPages(pages(2), 512, 512);
    await disk.clearPages(512 * 3, 1024);
    await disk.uploadPages(pages(3), 512 * 8, 512);
    await disk.uploadPages(pages(4), 512 * 9, 512);
    const second = (await disk.createSnapshot()).snapshot ?? "";
    await disk.uploadPages(pages(5), 512 * 15, 512);
    const diff = await disk.withSnapshot(second).getPageRangesDiff(0, 512 * 16, first);
    const expected = {
      pageRange: [range(1, 1), range(8, 9)],
      clearRange: [range(3, 4)],
    };
    expect(isDeepStrictEqual({ pageRange: diff.pageRange, clearRange: diff.clearRange }, expected)).toBe(mended);
  });

  it("can be asked for a part, and against the blob itself", async () => {
    await using world = await makeWorld();
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(512 * 16);
    await disk.uploadPages(pages(1, 6), 0, 512 * 6);
    const first = (await disk.createSnapshot()).snapshot ?? "";
    await disk.uploadPages(pages(2), 512, 512);
    await disk.clearPages(512 * 3, 1024);
    await disk.uploadPages(pages(4, 2), 512 * 8, 1024);
    const part = await disk.getPageRangesDiff(512 * 4, 512 * 5, first);
    expect({ pageRange: part.pageRange, clearRange: part.clearRange }).toEqual({
      pageRange: [range(8, 8)],
      clearRange: [range(4, 4)],
    });
  });

  it("refuses a snapshot that is missing, newer or of an older blob of the name", async () => {
    await using world = await makeWorld();
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(4096);
    const first = (await disk.createSnapshot()).snapshot ?? "";
    const second = (await disk.createSnapshot()).snapshot ?? "";
    const refusals = [
      disk.getPageRangesDiff(0, 4096, "2020-01-01T00:00:00.0000000Z"),
      disk.withSnapshot(first).getPageRangesDiff(0, 4096, second),
    ];
    const answers = await Promise.allSettled(refusals);
    await disk.create(4096);
    answers.push(...(await Promise.allSettled([disk.getPageRangesDiff(0, 4096, first)])));
    const codes = answers.map((answer) =>
      answer.status === "rejected" ? `${answer.reason.statusCode} ${answer.reason.code}` : "answered",
    );
    expect(codes).toEqual(["409 PreviousSnapshotNotFound", "400 PreviousSnapshotCannotBeNewer", "409 BlobOverwritten"]);
  });

  const place = fc.option(fc.record({ id: fc.constantFrom("a", "b"), offset: fc.nat(3) }), { nil: undefined });
  it.prop([fc.array(fc.tuple(place, place), { minLength: 1, maxLength: 24 }), fc.nat(23), fc.nat(23)])(
    "equals a comparison page by page",
    (disk, one, other) => {
      const asked = {
        start: 512 * Math.min(one, other),
        end: 512 * Math.min(Math.max(one, other) + 1, disk.length) - 1,
      };
      const older = disk.flatMap(([before], page) => storedPage(before, page));
      const newer = disk.flatMap(([, after], page) => storedPage(after, page));
      const diff = diffPageRanges(older, newer, asked);
      const inside = disk
        .map((both, page) => ({ both, page }))
        .filter(({ page }) => 512 * page >= asked.start && 512 * page < asked.end);
      const changed = inside.filter(
        ({ both: [before, after] }) =>
          after !== undefined && (before?.id !== after.id || before.offset !== after.offset),
      );
      const cleared = inside.filter(({ both: [before, after] }) => after === undefined && before !== undefined);
      expect(pagesOf(diff.pageRange)).toEqual(changed.map(({ page }) => page));
      expect(pagesOf(diff.clearRange)).toEqual(cleared.map(({ page }) => page));
      for (const ranges of [diff.pageRange, diff.clearRange]) {
        expect(ranges.every((each, at) => at === 0 || (ranges[at - 1]?.end ?? 0) + 1 < each.start)).toBe(true);
      }
    },
  );
});

describe("snapshots of one blob", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each(both)("have ids of their own, also in one millisecond: $words", async ({ mended }) => {
    await using world = await makeWorld(mended ? [] : ["snapshot-ids"]);
    const disk = world.container.getPageBlobClient("disk");
    await disk.create(4096);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    const ids: string[] = [];
    for (const value of [1, 2, 3]) {
      await disk.uploadPages(pages(value), 0, 512);
      ids.push((await disk.createSnapshot()).snapshot ?? "");
    }
    vi.useRealTimers();
    expect(new Set(ids).size).toBe(mended ? 3 : 1);
    const contents = await Promise.all(ids.map(async (id) => (await disk.withSnapshot(id).downloadToBuffer(0, 1))[0]));
    expect(isDeepStrictEqual(contents, [1, 2, 3])).toBe(mended);
  });
});

describe("limits of page blobs", () => {
  it.each(both)("are those of Azure: $words", async ({ mended }) => {
    await using world = await makeWorld(mended ? [] : ["limits"]);
    const disk = world.container.getPageBlobClient("disk");
    const terabyte = 1024 ** 4;
    expect(await statusOf(disk.create(8 * terabyte + 512))).toBe(mended ? 400 : 0);
    await disk.create(8 * terabyte);
    expect(await statusOf(disk.resize(8 * terabyte + 512))).toBe(mended ? 400 : 0);
    await disk.resize(8192);
    expect(await statusOf(disk.uploadPages(pages(1, 2), 8192 - 512, 1024))).toBe(mended ? 416 : 0);
    expect(await statusOf(disk.clearPages(8192 - 512, 1024))).toBe(mended ? 416 : 0);
    await disk.resize(16 * 1024 * 1024);
    await disk.uploadPages(Buffer.alloc(4 * 1024 * 1024, 1), 0, 4 * 1024 * 1024);
    expect(await statusOf(disk.uploadPages(Buffer.alloc(4 * 1024 * 1024 + 512, 1), 0, 4 * 1024 * 1024 + 512))).toBe(
      mended ? 413 : 0,
    );
    await disk.uploadPages(pages(7), 0, 512);
    expect(await disk.downloadToBuffer(0, 512)).toEqual(pages(7));
  });
});

/** As the SDK reports a range of pages: its count is the last byte minus the first (against Azure too). */
const range = (first: number, last: number): { offset: number; count: number } => ({
  offset: 512 * first,
  count: 512 * (last - first + 1) - 1,
});

function storedPage(where: { id: string; offset: number } | undefined, page: number): PageRange[] {
  if (where === undefined) return [];
  return [
    { start: 512 * page, end: 512 * page + 511, persistency: { id: where.id, offset: 512 * where.offset, count: 512 } },
  ];
}

function pagesOf(ranges: readonly ByteRange[]): number[] {
  return ranges.flatMap(({ start, end }) =>
    Array.from({ length: (end + 1 - start) / 512 }, (_, page) => start / 512 + page),
  );
}
