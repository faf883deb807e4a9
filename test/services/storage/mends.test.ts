import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { makeWorld, pages, statusOf } from "./world.ts";

// Each mend is shown twice: what Azure does, with the mend, and Azurite's fault without it. The second half is what makes the first one worth something.
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
    expect(await statusOf(disk.uploadPages(pages(1), 0, 512, { transactionalContentCrc64: Buffer.alloc(8) }))).toBe(400);
    expect(await disk.downloadToBuffer()).toEqual(pages(0, 8));
    const md5 = createHash("md5").update(pages(2)).digest();
    await disk.uploadPages(pages(2), 0, 512, { transactionalContentMD5: md5 });
    expect(await disk.downloadToBuffer(0, 512)).toEqual(pages(2));
  });
});
