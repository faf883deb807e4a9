import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { replaceFileDurably, replaceFileDurablyLater, writeFileDurably } from "../../mobility/system/durable-file.ts";
import { isMissing, type Files } from "../../mobility/system/files.ts";

/** The contract of every medium: the machine's, and the model of one. `open` gives files and an empty folder. */
export function describeFiles(name: string, open: () => { readonly files: Files; readonly folder: string }): void {
  describe(`files: ${name}`, () => {
    const world = () => {
      const { files, folder } = open();
      const path = join(folder, "file");
      const codeOf = (work: () => unknown): unknown => {
        try {
          work();
          return "nothing was thrown";
        } catch (error) {
          return error instanceof Error && "code" in error ? error.code : error;
        }
      };
      const textOf = (at: string): string => files.readFile(at).toString("latin1");
      const write = (at: string, text: string): void => {
        const file = files.open(at, "w", 0o600);
        files.write(file, Buffer.from(text), 0, text.length, 0);
        files.close(file);
      };
      return { files, folder, path, codeOf, textOf, write };
    };

    it("writes and reads at a position, and says how much came", () => {
      const { files, path, textOf, write } = world();
      write(path, "abcdef");
      const file = files.open(path, "r+");
      expect(files.write(file, Buffer.from("xXYx"), 1, 2, 3)).toBe(2);
      expect(files.writev(file, [Buffer.from("12"), Buffer.alloc(0), Buffer.from("345")], 6)).toBe(5);
      const target = Buffer.alloc(8, ".");
      expect(files.read(file, target, 2, 4, 2)).toBe(4);
      expect(target.toString("latin1")).toBe("..cXYf..");
      expect([
        files.read(file, target, 0, 8, 9),
        files.read(file, target, 0, 8, 11),
        files.read(file, target, 0, 8, 99),
      ]).toEqual([2, 0, 0]);
      files.close(file);
      expect(textOf(path)).toBe("abcXYf12345");
    });

    it("fills what lies between the end and a write behind it with zeros, and cuts", () => {
      const { files, path, textOf } = world();
      const file = files.open(path, "w+", 0o600);
      files.write(file, Buffer.from("ab"), 0, 2, 4);
      expect(textOf(path)).toBe("\0\0\0\0ab");
      files.truncate(file, 5);
      expect(textOf(path)).toBe("\0\0\0\0a");
      files.truncate(file, 7);
      expect([textOf(path), files.statusOf(file).lengthBytes]).toEqual(["\0\0\0\0a\0\0", 7]);
      files.close(file);
    });

    it("opens as asked: makes, empties, refuses what is there or is not", () => {
      const { files, folder, path, codeOf, textOf, write } = world();
      for (const flags of ["r", "r+", "device"] as const) expect(codeOf(() => files.open(path, flags))).toBe("ENOENT");
      expect(codeOf(() => files.open(join(folder, "no", "file"), "w"))).toBe("ENOENT");
      files.close(files.open(path, "wx", 0o600));
      expect(codeOf(() => files.open(path, "wx"))).toBe("EEXIST");
      write(path, "some");
      files.close(files.open(path, "r+"));
      expect(textOf(path)).toBe("some");
      const again = files.open(path, "w");
      expect(textOf(path)).toBe("");
      expect(codeOf(() => files.read(again, Buffer.alloc(1), 0, 1, 0))).toBe("EBADF");
      files.close(again);
      const reading = files.open(path, "r");
      expect(codeOf(() => files.write(reading, Buffer.alloc(1), 0, 1, 0))).toBe("EBADF");
      files.close(reading);
      expect(codeOf(() => files.close(reading))).toBe("EBADF");
      expect(codeOf(() => files.open(folder, "w"))).toBe("EISDIR");
    });

    it("names: lists, renames over another, removes; an open file stays readable without its name", () => {
      const { files, folder, path, codeOf, textOf, write } = world();
      write(path, "old");
      write(join(folder, "other"), "new");
      const held = files.open(path, "r");
      files.rename(join(folder, "other"), path);
      expect([files.list(folder), textOf(path)]).toEqual([["file"], "new"]);
      const target = Buffer.alloc(3);
      files.read(held, target, 0, 3, 0);
      expect(target.toString("latin1")).toBe("old");
      files.close(held);
      files.remove(path);
      files.remove(path);
      expect(files.list(folder)).toEqual([]);
      for (const work of [
        () => files.rename(path, join(folder, "other")),
        () => files.readFile(path),
        () => files.status(path),
        () => files.list(path),
      ]) {
        expect(codeOf(work)).toBe("ENOENT");
        expect(isMissing(catchError(work))).toBe(true);
      }
    });

    it("tells files from folders and one file from its copy", () => {
      const { files, folder, path, write } = world();
      write(path, "text");
      expect(files.status(path)).toMatchObject({ kind: "file", lengthBytes: 4 });
      expect(files.status(folder).kind).toBe("folder");
      const { identity } = files.status(path);
      write(join(folder, "copy"), "text");
      files.rename(path, join(folder, "renamed"));
      expect(files.status(join(folder, "renamed")).identity).toBe(identity);
      expect(files.status(join(folder, "copy")).identity).not.toBe(identity);
    });

    it("makes folders with those above them, and leaves one that is there", () => {
      const { files, folder, path, codeOf, write } = world();
      const deep = join(folder, "a", "b");
      files.makeFolder(deep, 0o700);
      write(join(deep, "file"), "x");
      files.makeFolder(deep, 0o700);
      expect([files.list(join(folder, "a")), files.list(deep)]).toEqual([["b"], ["file"]]);
      write(path, "x");
      expect(codeOf(() => files.makeFolder(path, 0o700))).toBe("EEXIST");
      expect(codeOf(() => files.list(path))).toBe("ENOTDIR");
    });

    it("does the same without holding the event loop", async () => {
      const { files, folder, path, textOf } = world();
      const file = await files.openLater(path, "w+", 0o600);
      expect(await files.writeLater(file, Buffer.from(".abc."), 1, 3, 2)).toBe(3);
      await files.datasyncLater(file);
      await files.syncLater(file);
      const target = Buffer.alloc(4);
      expect([await files.readLater(file, target, 1, 3, 3), target.toString("latin1")]).toEqual([2, "\0bc\0"]);
      await files.closeLater(file);
      await files.renameLater(path, join(folder, "b"));
      expect([files.list(folder), textOf(join(folder, "b"))]).toEqual([["b"], "\0\0abc"]);
      await expect(files.openLater(path, "r")).rejects.toMatchObject({ code: "ENOENT" });
      await expect(files.renameLater(path, join(folder, "c"))).rejects.toMatchObject({ code: "ENOENT" });
    });

    it("takes syncs of files and folders, in both ways", async () => {
      const { files, folder, path, write } = world();
      write(path, "x");
      for (const at of [path, folder]) {
        const file = files.open(at, "r");
        files.sync(file);
        await files.syncLater(file);
        files.close(file);
      }
      const file = files.open(path, "r+");
      files.datasync(file);
      files.close(file);
      expect(files.freeBytes(folder)).toBeGreaterThan(0);
    });

    it("carries the durable files of the service", async () => {
      const { files, folder, path, textOf } = world();
      replaceFileDurably(files, path, Buffer.from("first"));
      await replaceFileDurablyLater(files, path, Buffer.from("second"));
      const md5 = writeFileDurably(files, join(folder, "temporary"), (append) => {
        append(Buffer.from("th"));
        append(Buffer.from("ird"));
        return join(folder, "made");
      });
      expect([textOf(path), textOf(join(folder, "made")), md5]).toEqual([
        "second",
        "third",
        createHash("md5").update("third").digest("base64"),
      ]);
      expect(files.list(folder).toSorted()).toEqual(["file", "made"]);
    });
  });
}

function catchError(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
